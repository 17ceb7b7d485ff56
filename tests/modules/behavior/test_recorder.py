"""Recording beside a running module: what is kept, what a tick may cost, and what feedback is promised."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import Conflict, Invalid, NotFound, Overloaded, StoreDown, TooLarge
from app.core.module import Call
from app.modules.behavior import messages, recorder, scribe
from app.modules.behavior.messages import Feedback
from app.modules.behavior.recordings import SUFFIX
from app.modules.behavior.scribe import Scribe, drop_recordings, folder_name
from tests.doubles import ManualClock
from tests.modules.behavior.playing import decide, files, recording, reward, rewards, ticks
from tests.modules.behavior.stage import LAYOUT, Net, Stage, _discard, handles, observations, stage


async def test_a_recorded_tick_holds_what_the_brains_saw_and_said(tmp_path: Path) -> None:
    obs, mask = observations(5), np.ones((5, 12), np.uint8)
    obs[1, 0], obs[2, 3], mask[3] = 7.0, np.nan, 0
    mask[4, 11] = 0
    async with recording(tmp_path, policy=Net()) as on:
        said = await decide(on, obs=obs.tobytes(), mask=mask.tobytes(), tick=12)
    (found,) = ticks(tmp_path)
    assert (found.head.tick, found.head.npcs, found.segment.tenant, found.segment.world) == (12, 5, "t", "w")
    assert found.arrays["intents"].tobytes() == said.intents
    assert found.arrays["targets"].tobytes() == said.targets
    assert found.arrays["confidence"].tobytes() == said.confidence
    assert found.arrays["rung_of"].tobytes() == said.rung_of
    assert np.array_equal(found.mask, mask)
    assert found.obs[1, 0] == 1.0, "clipped"
    assert found.obs[2].sum() == 1.0, "of a row that is not finite the archetype alone is left"
    assert (found.context.rungs, found.context.fingerprint) == (said.rungs, LAYOUT.fingerprint)
    assert found.context.features == LAYOUT.feature_names


async def test_nobody_unknown_is_recorded(tmp_path: Path) -> None:
    async with recording(tmp_path) as on:
        await decide(on, 6)
        await decide(on, handles=b"\xff" * 4, obs=observations(1).tobytes(), tick=2)
    assert [record.handles.tolist() for record in ticks(tmp_path)] == [[0, 1, 2, 3, 4]]


async def test_npcs_are_drawn_for_whole_episodes_the_same_in_every_run(tmp_path: Path) -> None:
    seen: list[list[list[int]]] = []
    for run in ("first", "second"):
        async with recording(tmp_path / run, npcs=400, npc_share=0.25, episode_ticks_max=3) as on:
            for tick in range(6):
                some = 400 if run == "first" else 300
                await decide(on, some, tick=tick)
        seen.append([record.handles.tolist() for record in ticks(tmp_path / run)])
    first, second = seen
    assert first[0] == first[1] == first[2] != first[3] == first[4] == first[5]
    assert 50 < len(first[0]) < 150
    assert [[handle for handle in tick if handle < 300] for tick in first] == second


async def test_tenants_and_worlds_lie_apart_whatever_their_names(tmp_path: Path) -> None:
    names = ["w", "../w", "a/b", "W.", "ü" * 128, "w" * 200, "w" * 201]
    folders = {folder_name(name) for name in names}
    assert len(folders) == len(names)
    assert all("/" not in name and "." not in name and len(name) <= 120 for name in folders)
    async with recording(tmp_path) as on:
        await decide(on)
    assert [path.parent.relative_to(tmp_path) for path in files(tmp_path)] == [Path("t/w")]


async def test_files_are_rotated_and_the_oldest_dropped(tmp_path: Path) -> None:
    async with recording(tmp_path, world_bytes_max=60_000, segment_bytes_max=12_000) as on:
        for tick in range(200):
            await decide(on, tick=tick)
            await reward(on, tick=tick)
            total = sum(path.stat().st_size for path in files(tmp_path))
            assert total <= 60_000
    numbers = [record.head.tick for record in ticks(tmp_path)]
    assert numbers == list(range(numbers[0], 200)), "the newest, without a hole"
    assert len(files(tmp_path)) >= 3


async def test_a_tenant_s_bound_drops_the_oldest_of_all_its_worlds(tmp_path: Path) -> None:
    async with recording(tmp_path, tenant_bytes_max=30_000, segment_bytes_max=10_000) as on:
        old = tmp_path / "t" / "older" / f"0{SUFFIX}"
        old.parent.mkdir(parents=True)
        old.write_bytes(b"x" * 25_000)
        await decide(on)
        await reward(on)
        assert not old.exists()


async def test_a_full_queue_drops_ticks_tells_once_and_slows_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()
    write = Scribe.write

    def slow(self: Scribe, moment: scribe.Moment) -> None:
        stuck.wait(30)
        write(self, moment)

    monkeypatch.setattr(Scribe, "write", slow)
    async with recording(tmp_path, queue_bytes_max=1_420) as on:
        for tick in range(20):
            assert len((await decide(on, tick=tick)).intents) == 5
        with pytest.raises(Overloaded):
            await reward(on, npcs=(), handles=handles(5), rewards=(), reward=bytes(20))
        assert [event for _, event, _ in on.log.told] == ["recorder.fell_behind"]
        stuck.set()
        for _ in range(1_000):
            if on.log.told[-1][1] == "recorder.caught_up":
                break
            await asyncio.sleep(0.01)
        await decide(on, tick=99)
    found = ticks(tmp_path)
    assert found[-1].head.tick == 99
    assert len(found) + found[-1].head.dropped == 21, "who reads the file knows how many are missing"


async def test_a_full_disk_costs_no_tick_is_told_once_and_feedback_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    full = True

    class Torn(io.FileIO):
        """Takes half of what it is given."""

        def write(self, data: Any) -> int:
            if full:
                super().write(bytes(data)[: len(data) // 2])
                raise OSError(28, "No space left on device")
            return super().write(data)

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: Torn(self, mode) if mode == "ab" else opened(self, mode))
    async with recording(tmp_path, clock=clock) as on:
        for tick in range(5):
            assert len((await decide(on, tick=tick)).intents) == 5
        with pytest.raises(StoreDown, match="No space left"):
            await reward(on, key="k")
        full = False
        clock.now_s += 2 * recorder.REST_S
        await decide(on, tick=7)
        assert (await reward(on, key="k")).recorded == 1, "a key that failed may be used again"
    assert [record.head.tick for record in ticks(tmp_path)] == [7]
    assert len(rewards(tmp_path)) == 1
    said = [event for _, event, _ in on.log.told]
    assert [event for event in said if event != "recorder.closed"] == ["recorder.failed", "recorder.recovered"]


async def test_a_folder_that_is_taken_away_is_made_again(tmp_path: Path) -> None:
    async with recording(tmp_path) as on:
        await decide(on, tick=1)
        await reward(on)
        for path in files(tmp_path):
            path.unlink()
        await decide(on, tick=2)
    assert [record.head.tick for record in ticks(tmp_path)] == [2]


async def test_feedback_counts_once_for_each_key_also_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        async with recording(tmp_path) as on:
            for _ in range(3):
                assert (await reward(on, key="a", rewards=(2.0,))).recorded == 1
            with pytest.raises(Conflict, match="'a'"):
                await reward(on, key="a", rewards=(3.0,))
            await reward(on, rewards=(1.0,))
    assert [record.head.key for record in rewards(tmp_path)] == ["a", "", ""]


async def test_answered_feedback_is_on_the_disk_with_the_ticks_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[str, int] = {}
    fsync = os.fsync

    def watched(handle: int) -> None:
        place = os.readlink(f"/proc/self/fd/{handle}")
        synced[place] = os.fstat(handle).st_size
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    async with recording(tmp_path) as on:
        await decide(on, tick=3)
        await reward(on)
        path = files(tmp_path)[0]
        assert synced[str(path)] == path.stat().st_size
        assert str(path.parent) in synced, "so is the file's name"
        assert [record.head.tick for record in ticks(tmp_path)] == [3]


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"npcs": ("npc-0", "nobody"), "rewards": (1.0, 1.0)}, ["unknown_npc"]),
        ({"npcs": (), "handles": handles(3), "rewards": (), "reward": np.array([np.nan, 1, np.inf], "<f4").tobytes()},
         ["not_finite", "not_finite"]),
        ({"npcs": ("npc-0", "npc-1"), "rewards": (1e30, 1.0)}, ["out_of_range"]),
        ({"npcs": ("npc-0", "npc-1"), "rewards": (-1e300, 1.0)}, ["not_finite"]),
        ({"npcs": (), "handles": b"\xff\xff\xff\xff" + handles(1), "rewards": (1.0, 2.0)}, ["unknown_npc"]),
    ],
)  # fmt: skip
async def test_a_bad_row_is_an_error_of_its_npc_and_the_others_are_recorded(
    tmp_path: Path, fields: dict[str, Any], codes: list[str]
) -> None:
    async with recording(tmp_path) as on:
        said = await reward(on, **fields)
    assert [error.code for error in said.errors] == codes
    assert (said.recorded, said.refused) == (1, len(codes))
    (kept,) = rewards(tmp_path)
    assert len(kept.arrays["reward"]) == 1
    assert np.isfinite(kept.arrays["reward"]).all()


async def test_feedback_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    async with recording(tmp_path, rewards_max=3) as on:
        for fields in (
            {"rewards": (1.0, 2.0)}, {"npcs": ()}, {"handles": handles(1)}, {"rewards": ()}, {"reward": bytes(4)},
            {"npcs": (), "handles": b"123"}, {"rewards": (), "reward": b"123"},
        ):  # fmt: skip
            with pytest.raises(Invalid):
                await reward(on, **fields)
        with pytest.raises(TooLarge, match="at most 3"):
            await reward(on, npcs=("npc-0",) * 4, rewards=(1.0,) * 4)
    assert files(tmp_path) == []


async def test_many_bad_rows_are_counted_and_the_first_listed(tmp_path: Path) -> None:
    async with recording(tmp_path, errors_max=2) as on:
        said = await reward(on, npcs=tuple(f"no-{n}" for n in range(9)), rewards=(1.0,) * 9)
    assert (len(said.errors), said.refused, said.recorded) == (2, 9, 0)


async def test_without_a_recorder_feedback_is_refused_and_ticks_are_answered() -> None:
    on: Stage = await stage()
    with pytest.raises(Conflict, match="records no play"):
        await on.ask(Feedback(tick=1, npcs=("npc-0",), rewards=(1.0,)))
    assert await on.ask(messages.Decide(tick=1, handles=handles(5), obs=observations(5).tobytes()))


async def test_a_world_that_is_not_here_is_not_found(tmp_path: Path) -> None:
    async with recording(tmp_path) as on:
        request = messages.Feedback(tick=1, npcs=("npc-0",), rewards=(1.0,))
        handler = next(each for each in on.module.handlers if each.request is Feedback)
        call = Call("1", "other", "w", Deadline.after_ms(500, SystemClock()), on.log, _discard)
        with pytest.raises(NotFound):
            await handler.run(call, request)


async def test_what_was_recorded_of_a_tenant_goes_with_it_and_nobody_else_s(tmp_path: Path) -> None:
    async with recording(tmp_path) as on:
        await decide(on)
    (tmp_path / "t+" / "w").mkdir(parents=True)
    drop_recordings(tmp_path, "nobody")
    assert files(tmp_path)
    drop_recordings(tmp_path, "t")
    assert not files(tmp_path)
    assert (tmp_path / "t+" / "w").is_dir()
