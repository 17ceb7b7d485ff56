"""Overlays of a world: deadly roads are avoided and forgiven, work is bounded, a failing network never stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import EngineDown, Invalid
from app.core.messages import Event
from app.core.ports import After, Arrays, EngineStatus
from app.modules.pathfinding.overlays import ground
from app.modules.pathfinding.overlays.counts import AMBUSH, DEATH, VISIT
from app.modules.pathfinding.overlays.settings import OverlaySettings
from app.modules.pathfinding.overlays.world import Overlays
from app.world.entities import StoredMap
from app.world.events import Happened, MapStored
from tests.modules.pathfinding.overlays import twin

WALL = np.ones((48, 48), np.uint8)
WALL[:, 24] = 0
WALL[8:11, 24] = WALL[34:37, 24] = 1
"""Two rooms with two doors; the one at row 9 is the nearer one for those who walk along row 12."""
START, GOAL = (14, 4), (14, 44)


class Fake:
    """A network that says what it was told to, and keeps what it was asked."""

    def __init__(self, answer: Any = None, fingerprint: str = ground.FINGERPRINT) -> None:
        self.answer, self.asked = answer, []
        self.metadata: Mapping[str, str] = {"fingerprint": fingerprint}
        self.name = "danger"

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="onnx", state="ready")

    async def close(self) -> None:
        """Holds nothing."""

    def rows_by(self, deadline: Deadline) -> int:
        return 1 << 30

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        self.asked.append(inputs["obs"])
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"logits": np.full((len(inputs["obs"]), 2), -8.0, np.float32) if self.answer is None else self.answer}


def overlays(network: Fake | None = None, **limits: Any) -> Overlays:
    found = Overlays(OverlaySettings(**limits), network, SystemClock())
    found.lay("vale", ground.survey(WALL), {"guard": 1.0, "hero": 0.0})
    return found


def kill(known: Overlays, count: int, at_s: float, agents: str = "") -> None:
    known.record("vale", agents, DEATH, np.array([[24, 9]] * count), at_s)
    for row in (9, 35):
        known.walked("vale", agents, np.array([[4, row], [44, row]]), at_s)


def door(known: Overlays, agents: str = "guard") -> int:
    """The row at which the cheapest way goes through the wall."""
    overlay = known.overlay("vale", agents)
    cost = WALL * (overlay.multiplier if overlay is not None else np.float32(1.0))
    return next(row for row, column in twin.way(cost.astype(np.float32), START, GOAL) if column == 24)


async def test_a_door_where_many_die_is_avoided_until_it_is_forgotten() -> None:
    known = overlays(death_cells=200.0, half_life_s=100.0)
    assert door(known) < 12
    kill(known, 4, 0.0)
    (deadly,) = await known.refresh(1.0)
    assert (deadly.map, deadly.agents, deadly.rung) == ("vale", "guard", "counts")
    assert door(known) > 30
    (forgiven,) = await known.refresh(2_000.0)
    assert forgiven.version > deadly.version
    assert door(known) < 12
    assert (forgiven.multiplier == 1.0).all()
    assert await known.refresh(3_000.0) == ()


async def test_only_what_changed_is_told_and_arrays_cannot_be_written() -> None:
    known = overlays()
    kill(known, 5, 0.0)
    (found,) = await known.refresh(0.0)
    touched = np.zeros(WALL.shape, bool)
    for x, y, width, height in found.changed.tolist():
        touched[y : y + height, x : x + width] = True
    assert touched[9, 24]
    assert not touched.all()
    np.testing.assert_array_equal(found.multiplier != 1.0, touched)
    with pytest.raises(ValueError, match="read-only"):
        found.multiplier[0, 0] = 2.0


async def test_a_little_more_of_the_same_changes_no_overlay() -> None:
    known = overlays()
    kill(known, 5, 0.0)
    await known.refresh(0.0)
    kept = known.overlay("vale", "guard")
    known.record("vale", "", DEATH, np.array([[24, 9]]), 1.0, weight=0.01)
    assert await known.refresh(60.0) == ()
    assert known.overlay("vale", "guard") is kept


async def test_the_fearless_and_other_classes_have_overlays_of_their_own() -> None:
    known = overlays()
    known.lay("vale", ground.survey(WALL), {"guard": 1.0, "hero": 0.0, "cart": 1.0})
    kill(known, 5, 0.0, agents="cart")
    (found,) = await known.refresh(0.0)
    assert found.agents == "cart"
    assert known.overlay("vale", "guard") is None
    kill(known, 5, 20.0)
    assert {one.agents for one in await known.refresh(20.0)} == {"guard", "cart"} - (
        {"cart"} if known.overlay("vale", "cart") is found else set()
    )
    assert known.overlay("vale", "hero") is None


async def test_refreshing_again_within_refresh_s_does_nothing() -> None:
    known = overlays(refresh_s=10.0)
    kill(known, 5, 0.0)
    assert len(await known.refresh(100.0)) == 1
    known.record("vale", "", DEATH, np.array([[4, 40]] * 20), 101.0)
    assert await known.refresh(109.0) == ()
    assert len(await known.refresh(110.0)) == 1


async def test_one_refresh_at_a_time() -> None:
    network = Fake()
    known = overlays(network, refresh_s=0.0)
    kill(known, 5, 0.0)
    await asyncio.gather(known.refresh(1.0), known.refresh(2.0))
    assert len(network.asked) == 1


async def test_all_maps_are_asked_about_in_one_run_and_those_beyond_the_bound_in_the_next() -> None:
    network = Fake()
    known = overlays(network, refresh_s=0.0)
    known.lay("moor", ground.survey(WALL), {"guard": 1.0})
    known.record("moor", "", DEATH, np.array([[1, 1]]), 0.0)
    kill(known, 5, 0.0)
    await known.refresh(0.0)
    assert [rows.shape for rows in network.asked] == [(2 * 36, ground.FEATURES)]
    logits = np.full((36, 2), -9.0, np.float32)
    logits[7, 0] = 1.0
    tight = overlays(Fake(logits), refresh_s=0.0, rows_max=40)
    tight.lay("moor", ground.survey(WALL), {"guard": 1.0})
    tight.restore(known.saved())
    assert [one.map for at_s in (1.0, 2.0) for one in await tight.refresh(at_s)] == ["moor", "vale"]


async def test_the_network_s_word_is_taken_where_it_speaks() -> None:
    logits = np.full((36, 2), -9.0, np.float32)
    logits[7, 0] = 1.0
    known = overlays(Fake(logits))
    known.lay("vale", ground.survey(WALL), {"guard": 1.0})
    kill(known, 1, 0.0)
    (found,) = await known.refresh(0.0)
    assert (found.rung, known.rung) == ("network", "network")
    assert found.changed.tolist() == [[8, 8, 8, 8]]


@pytest.mark.parametrize(
    "answer", [EngineDown("gone"), np.zeros((3, 2), np.float32), np.full((36, 2), np.nan, np.float32)]
)
async def test_counts_answer_where_the_network_cannot(answer: Any) -> None:
    known = overlays(Fake(answer))
    known.lay("vale", ground.survey(WALL), {"guard": 1.0})
    kill(known, 5, 0.0)
    (found,) = await known.refresh(0.0)
    assert found.rung == "counts"
    assert found.multiplier[9, 24] > 1.0


async def test_a_network_of_another_layout_is_never_asked() -> None:
    network = Fake(fingerprint="another")
    known = overlays(network)
    kill(known, 5, 0.0)
    await known.refresh(0.0)
    assert (known.rung, network.asked) == ("counts", [])


def happened(at_s: float, **details: Any) -> Event:
    return Event(seq=1, id="e", wall_ms=0, game_s=at_s, change=Happened(verb="died", actor="a", details=details))


def stored(width: int) -> Event:
    kept = StoredMap(name="fen", version=1, format="rows", sha256="0", width=width, height=16, data=b"")
    return Event(seq=1, id="e", wall_ms=0, game_s=0.0, change=MapStored(map=kept))


async def test_the_log_alone_rebuilds_what_it_told() -> None:
    known, again = overlays(), overlays()
    events = [
        stored(24), happened(1.0, map="fen", x=3.0, y=4.0), happened(9.0, map="nowhere", x=3.0, y=4.0),
        happened(5.0, map="fen", x=24.0, y=4.0), happened(3.0, map="fen", x=23.5, y=4.0, agents="cart"),
    ]  # fmt: skip
    for one in events:
        known.observe(one)
        again.observe(one)
    assert known.saved() == again.saved()
    known.lay("fen", ground.survey(np.ones((16, 24), np.uint8)), {"cart": 1.0})
    assert [one.map for one in await known.refresh(10.0)] == ["fen"]
    known.observe(stored(32))
    assert known.overlay("fen", "cart") is None
    assert await known.refresh(30.0) == ()


async def test_saved_tallies_make_the_same_overlay_in_another_process() -> None:
    known, again = overlays(), overlays()
    kill(known, 5, 0.0)
    known.record("vale", "", AMBUSH, np.array([[30, 30]]), 5.0)
    again.restore(known.saved())
    await known.refresh(20.0)
    await again.refresh(20.0)
    first, second = known.overlay("vale", "guard"), again.overlay("vale", "guard")
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.multiplier, second.multiplier)


@pytest.mark.parametrize("data", [b"", b"junk", b"\x91\x90\x90"])
def test_bytes_that_are_no_saved_tallies_change_nothing(data: bytes) -> None:
    known = overlays()
    kill(known, 5, 0.0)
    before = known.saved()
    with pytest.raises(Invalid):
        known.restore(data)
    assert known.saved() == before


async def test_a_forgotten_map_costs_nothing_even_when_it_is_forgotten_during_a_refresh() -> None:
    known = overlays(Fake(np.zeros((36, 2), np.float32) + np.arange(36, dtype=np.float32)[:, None]), refresh_s=0.0)
    known.lay("vale", ground.survey(WALL), {"guard": 1.0})
    kill(known, 5, 0.0)
    running = asyncio.ensure_future(known.refresh(1.0))
    await asyncio.sleep(0)
    known.forget("vale")
    assert await running == ()
    assert known.overlay("vale", "guard") is None


async def test_what_is_remembered_is_bounded_and_an_overlay_without_memory_ends() -> None:
    known = overlays(refresh_s=0.0, tallies_max=2)
    kill(known, 5, 0.0)
    await known.refresh(0.0)
    for agents in ("a", "b"):
        known.record("vale", agents, VISIT, np.array([[1, 1]]), 1.0)
    (found,) = await known.refresh(1.0)
    assert (found.multiplier == 1.0).all()


def test_a_map_that_was_never_laid_cannot_be_counted_on() -> None:
    with pytest.raises(Invalid, match="'moon'"):
        overlays().record("moon", "", DEATH, np.array([[0, 0]]), 0.0)
