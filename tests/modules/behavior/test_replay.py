"""Recorded ticks decided again: the same bits from the same brains, and a plain word where they are others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clock import SystemClock
from app.core.ports import Network
from app.modules.behavior import considerations
from app.modules.behavior.brains import RUNGS, Brains
from app.modules.behavior.recordings import Context, Reader
from app.modules.behavior.replay import Replayed, replay
from app.modules.behavior.settings import Settings
from app.world.events import IntentSet
from tests.modules.behavior.playing import decide, recording, reward
from tests.modules.behavior.stage import LAYOUT, ROLES, Net, Watch, handles, observations

RULES = considerations.load("open_world", LAYOUT)


def brains(policy: Network | None, *, warm: bool = False, rungs: tuple[str, ...] = RUNGS) -> Brains:
    found = Brains(LAYOUT, RULES, policy=policy, rungs=rungs, settings=Settings(), clock=SystemClock(), watcher=Watch())
    if warm:
        found.warm()
    return found


async def again(folder: Path, chosen: Brains | None, *, most: int = 20) -> Replayed:
    return await replay(Reader(folder), lambda context: chosen, clock=SystemClock(), differences_max=most)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31), ticks=st.lists(st.integers(0, 2**40), min_size=1, max_size=4, unique=True),
    share=st.sampled_from((1.0, 0.4)), roles=st.sampled_from((",".join(ROLES), "guard,prey")),
    warm=st.booleans(), told=st.booleans(),
)  # fmt: skip
async def test_every_recorded_tick_replays_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, seed: int, ticks: list[int], share: float, roles: str, warm: bool,
    told: bool,
) -> None:  # fmt: skip
    folder, generator = tmp_path_factory.mktemp("play"), np.random.default_rng(seed)
    rows = 0
    async with recording(folder, npcs=60, policy=Net(roles=roles), npc_share=share) as on:
        if told:
            on.world.state.intents["npc-3"] = IntentSet(npc="npc-3", intent="work")
        for tick in ticks:
            obs = observations(60, seed=seed ^ tick)
            obs[generator.integers(0, 60, 5), generator.integers(0, 64, 5)] = (np.nan, np.inf, 9.0, -9.0, 0.5)
            mask = (generator.random((60, 12)) < 0.5).astype(np.uint8)
            mask[7] = 0
            await decide(on, 60, tick=tick, obs=obs.tobytes(), mask=mask.tobytes())
            await reward(on, tick=tick)
        rows = sum(len(part.arrays["handles"]) for part in Reader(folder) if hasattr(part.head, "npcs"))
    found = await again(folder, brains(Net(roles=roles), warm=warm))
    assert found.equal, found.differences
    assert (found.ticks, found.rows) == (len(ticks), rows)
    assert set(found.rungs) <= {"policy", "utility", "reflex"}
    assert not [why for why in found.why if "passes" not in why]


async def test_a_tick_that_overload_sent_to_a_lower_rung_replays_by_that_rung(tmp_path: Path) -> None:
    async with recording(tmp_path, policy=Net("down")) as on:
        said = await decide(on)
    assert {said.rungs[rung] for rung in said.rung_of} == {"utility"}
    found = await again(tmp_path, brains(Net()))
    assert found.equal
    assert found.rungs == {"utility": 5}


class Other(Net):
    """Another model: it would rather rest."""

    @property
    def metadata(self) -> dict[str, str]:
        return {**super().metadata, "sha256": "other", "runtime": "made up"}

    async def run(self, inputs, deadline, *, after=None):  # type: ignore[no-untyped-def]  # as its parent's
        found = dict(await super().run(inputs, deadline))
        found["logits"] = found["logits"].copy()
        found["logits"][inputs["obs"][:, 0] > 0.5, 9] = 50.0
        if after is not None:
            after(0, len(inputs["obs"]), found)
        return found


async def test_another_model_is_found_out_and_named_with_the_npcs_that_decide_otherwise(tmp_path: Path) -> None:
    obs = observations(5)
    obs[:, 0] = (0.9, 0.1, 0.9, 0.1, 0.1)
    async with recording(tmp_path, policy=Net()) as on:
        await decide(on, tick=8, obs=obs.tobytes())
        await decide(on, tick=9, obs=obs[1:2].tobytes(), handles=handles(1))
    found = await again(tmp_path, brains(Other()))
    assert not found.equal
    assert (found.ticks, found.differing_ticks, found.differing_rows) == (2, 1, 2)
    assert [(each.tick, each.npc, each.rung) for each in found.differences] == [(8, 0, "policy"), (8, 2, "policy")]
    assert found.differences[0].now.startswith("rest (")
    assert any("another model: '' was recorded, 'other' is loaded" in why for why in found.why)
    assert any("another runtime" in why for why in found.why)


async def test_one_bit_of_confidence_is_a_difference(tmp_path: Path) -> None:
    class Sharper(Net):
        async def run(self, inputs, deadline, *, after=None):  # type: ignore[no-untyped-def]  # as its parent's
            found = dict(await super().run(inputs, deadline))
            sharper = {"logits": found["logits"] * np.float32(1.0 + 2**-20)}
            if after is not None:
                after(0, len(inputs["obs"]), sharper)
            return sharper

    async with recording(tmp_path, npcs=40, policy=Net()) as on:
        await decide(on, 40)
    found = await again(tmp_path, brains(Sharper()), most=3)
    assert found.differing_rows > 10
    assert len(found.differences) == 3, "all are counted, a few are listed"


async def test_what_cannot_be_repeated_is_no_success(tmp_path: Path) -> None:
    async with recording(tmp_path, policy=Net()) as on:
        await decide(on)
    without = await again(tmp_path, brains(None))
    assert (without.equal, without.unrepeated_rows, without.differing_rows) == (False, 5, 0)
    assert any("another ladder" in why for why in without.why)
    unknown = await again(tmp_path, None)
    assert (unknown.equal, unknown.unrepeated_rows) == (False, 5)
    assert any("no schema 'open_world'" in why for why in unknown.why)
    down = await again(tmp_path, brains(Net("down")))
    assert (down.equal, down.unrepeated_rows) == (False, 5)


async def test_brains_are_asked_for_once_for_each_context(tmp_path: Path) -> None:
    asked: list[Context] = []

    def brains_of(context: Context) -> Brains:
        asked.append(context)
        return brains(Net())

    async with recording(tmp_path, policy=Net()) as on:
        for tick in range(4):
            await decide(on, tick=tick)
    told: list[int] = []
    await replay(Reader(tmp_path), brains_of, clock=SystemClock(), tell=told.append)
    assert (len(asked), told) == (1, [1, 2, 3, 4])
