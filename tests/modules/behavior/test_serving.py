"""The policy under load: nobody is without a decision in time, the important come first, and it is told once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.ports import After, Arrays, EngineStatus
from app.engines.batching import Batcher, Model
from app.engines.costs import Cost
from app.engines.onnx import Engine, open_onnx
from app.modules.behavior import messages
from app.modules.behavior.memory import Memories, Memory
from app.modules.behavior.settings import Settings
from app.modules.behavior.shedding import most_important
from app.telemetry.metrics import Metrics, RungWatch
from app.world.events import EntityRemoved
from tests.doubles import SilentLog
from tests.engines import tiny_onnx
from tests.modules.behavior.stage import LAYOUT, ROLES, Stage, handles, observations, stage


class Busy:
    """A policy on a real batcher whose network takes `row_us` a row, and hangs while `gate` is shut."""

    name = "policy"

    def __init__(self, *, row_us: float = 0.0) -> None:
        self.metadata: Mapping[str, str] = {"fingerprint": LAYOUT.fingerprint, "roles": ",".join(ROLES)}
        self.row_us, self.rows = row_us, 0
        self.gate = threading.Event()
        self.gate.set()
        model = Model(self._compute, Cost(max(row_us, 0.1), 0.0))
        self._batcher = Batcher(model, name="policy", rows_max=256, queue_rows_max=65_536, workers=2)

    def _compute(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.gate.wait(30.0)
        rows = len(inputs["obs"])
        time.sleep(rows * self.row_us / 1e6)
        self.rows += rows
        return {"logits": np.tile(np.arange(16, dtype=np.float32) / 8.0, (rows, 1))}

    def status(self) -> EngineStatus:
        return EngineStatus(name="policy", kind="double", state="ready", provider="double")

    def rows_by(self, deadline: Deadline) -> int:
        return self._batcher.rows_by(deadline)

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        return await self._batcher.run(inputs, deadline, after=after)

    async def close(self) -> None:
        self.gate.set()
        await self._batcher.close()


async def decide(on: Stage, count: int, *, tick: int = 1, deadline_ms: float = 400.0) -> messages.Decided:
    request = messages.Decide(tick=tick, handles=handles(count), obs=observations(count).tobytes())
    return cast(messages.Decided, await on.ask(request, deadline_ms=deadline_ms))


def rungs(reply: messages.Decided) -> list[str]:
    return [reply.rungs[index] for index in reply.rung_of]


async def test_five_times_more_than_the_policy_can_do_costs_no_npc_its_decision_and_is_told_once() -> None:
    policy = Busy(row_us=200.0)  # Two workers: 4,000 rows in the 400 ms of a tick, less what is left for the rules.
    on = await stage(policy, npcs=2_000, settings=Settings(policy_reserve_ms=60.0))
    asked = [decide(on, 2_000, tick=tick) for tick in range(10)]
    replies = await asyncio.gather(*asked)
    names = [name for reply in replies for name in rungs(reply)]
    assert all(255 not in reply.intents for reply in replies)
    assert set(names) <= {"policy", "utility", "reflex"}
    assert 200 < names.count("policy") < 4_500
    assert on.watch.fell == ["policy"]
    await policy.close()


async def test_an_engine_that_hangs_in_its_worker_costs_no_tick_and_is_told_once() -> None:
    policy = Busy()
    on = await stage(policy, npcs=500)
    assert set(rungs(await decide(on, 500))) == {"policy"}
    policy.gate.clear()
    took_s = []
    for tick in range(12):
        began_s = time.perf_counter()
        reply = await decide(on, 500, tick=tick, deadline_ms=200.0)
        took_s.append(time.perf_counter() - began_s)
        assert set(rungs(reply)) <= {"utility", "reflex"}
        assert 255 not in reply.intents
    assert on.watch.fell.count("policy") <= 2  # That it was late, and that nothing is given to it any more.
    assert sorted(took_s)[6] < 0.15, "every tick waited for what hangs"
    await policy.close()


async def test_a_fall_and_a_recovery_stand_once_in_log_and_metrics() -> None:
    policy = Busy(row_us=200.0)
    log, metrics = SilentLog(), Metrics()
    on = await stage(policy, npcs=2_000, settings=Settings(policy_rest_ms=400.0), watcher=RungWatch(log, metrics))
    for tick in range(3):
        await asyncio.gather(*(decide(on, 2_000, tick=tick) for _ in range(4)))
    assert 'innkeeper_rung_falls_total{module="behavior",rung="policy"} 1.0' in metrics.render().decode()
    policy.row_us = 0.0
    for tick in range(60):
        await decide(on, 10, tick=tick)
        await asyncio.sleep(0.02)
    assert 'innkeeper_rung_down{module="behavior",rung="policy"} 0.0' in metrics.render().decode()
    await policy.close()


def test_the_most_important_rows_are_chosen_and_keep_their_order() -> None:
    importance = np.array([1, 9, 3, 9, 0, 2], np.uint8)
    chosen, others = most_important(importance, 6, 3)
    assert (chosen.tolist(), others.tolist()) == ([1, 2, 3], [0, 4, 5])
    chosen, others = most_important(None, 4, 1)
    assert (chosen.tolist(), others.tolist()) == ([0], [1, 2, 3])
    chosen, _ = most_important(np.array([np.nan, 0.5, 2.0], np.float32), 3, 1)
    assert chosen.tolist() == [2]


def recurrent(folder: Path) -> Engine:
    metadata = {"fingerprint": LAYOUT.fingerprint, "roles": ",".join(ROLES)}
    data = tiny_onnx.gru(features=64, width=8, outputs=16, metadata=metadata)
    widths = {"obs": 64, "state_in": 8}, {"logits": 16, "state_out": 8}
    return open_onnx(name="policy", entry=tiny_onnx.entry(folder, "gru", data, *widths), folder=folder)


async def test_a_recurrent_policy_remembers_each_npc_from_tick_to_tick(tmp_path: Path) -> None:
    engine = recurrent(tmp_path)
    on = await stage(engine, npcs=6, settings=Settings(taste_share=0.0))
    state = np.zeros((6, 8), np.float32)
    for tick in range(5):
        there = np.random.default_rng(tick).permutation(6)[:4]  # another crowd each tick
        obs = observations(6, seed=tick)[there]
        request = messages.Decide(tick=tick, handles=there.astype("<u4").tobytes(), obs=obs.tobytes())
        reply = cast(messages.Decided, await on.ask(request))
        logits, state[there] = tiny_onnx.gru_step(obs, state[there], 16)
        assert list(reply.intents) == logits[:, :12].argmax(axis=1).tolist()
    told = cast(messages.Explained, await on.ask(messages.Explain(npc=f"npc-{there[0]}")))
    assert told.rung == "policy"
    await engine.close()


async def test_rows_that_need_mending_or_name_nobody_leave_no_trace_in_memory(tmp_path: Path) -> None:
    engine = recurrent(tmp_path)
    settings = Settings(taste_share=0.0)
    clean, dirty = await stage(engine, npcs=4, settings=settings), await stage(engine, npcs=4, settings=settings)
    obs = observations(4)
    mended = obs.copy()
    obs[1, 3], mended[1, 3] = 5.0, 1.0
    for tick in range(3):
        plain = messages.Decide(tick=tick, handles=handles(4), obs=mended.tobytes())
        rows = np.concatenate([obs, np.full((1, 64), 0.3, np.float32)])
        strange = messages.Decide(tick=tick, handles=handles(4) + (7).to_bytes(4, "little"), obs=rows.tobytes())
        wanted = cast(messages.Decided, await clean.ask(plain))
        found = cast(messages.Decided, await dirty.ask(strange))
        assert found.intents[:4] == wanted.intents
        assert found.confidence[:16] == wanted.confidence
    await engine.close()


async def test_who_is_removed_and_comes_back_begins_anew(tmp_path: Path) -> None:
    engine = recurrent(tmp_path)
    on = await stage(engine, npcs=2, settings=Settings(taste_share=0.0))
    obs = observations(2)
    request = messages.Decide(tick=1, handles=handles(2), obs=obs.tobytes())
    first = cast(messages.Decided, await on.ask(request))
    second = cast(messages.Decided, await on.ask(request))
    assert second.confidence != first.confidence
    assert on.module.observe is not None
    on.module.observe(on.world, [event_of(EntityRemoved(entity_kind="npc", id="npc-0"))])
    third = cast(messages.Decided, await on.ask(request))
    assert third.confidence[:4] == first.confidence[:4]
    assert third.confidence[4:] != first.confidence[4:]
    await engine.close()


def event_of(change: EntityRemoved) -> Any:
    from app.core.messages import Event

    return Event(seq=1, id="1", wall_ms=0, game_s=0.0, change=change)


def test_memory_is_saved_restored_moved_and_bounded() -> None:
    names = {"a": 0, "b": 3, "c": 2}
    memory = Memory(npcs_max=4)
    rows = np.arange(6, dtype=np.float32).reshape(2, 3) + 1.0
    memory.keep(np.array([0, 3], np.uint32), rows)
    memory.keep(np.array([9], np.uint32), rows[:1])
    assert memory.recall(np.array([3, 2, 9, 0], np.uint32), 3).tolist() == [[4, 5, 6], [0, 0, 0], [0, 0, 0], [1, 2, 3]]
    saved = memory.snapshot(names)
    other = Memory(npcs_max=100)
    other.restore(saved, {"b": 50, "c": 51})
    assert other.recall(np.array([50, 51], np.uint32), 3).tolist() == [[4, 5, 6], [0, 0, 0]]
    other.restore(memory.snapshot({"a": 0}), {"a": 7})  # one NPC moves
    assert other.recall(np.array([7, 50], np.uint32), 3).tolist() == [[1, 2, 3], [4, 5, 6]]
    memory.forget(0)
    assert memory.recall(np.array([0], np.uint32), 3).tolist() == [[0, 0, 0]]
    assert memory.recall(np.array([3], np.uint32), 5).tolist() == [[0, 0, 0, 0, 0]]  # another network
    for broken in (b"", b"\x81", saved[:-2]):
        with pytest.raises(Exception, match="memory"):
            memory.restore(broken, names)


def test_memories_of_many_worlds_are_bounded() -> None:
    memories = Memories(worlds_max=2, npcs_max=10)
    one = np.ones((1, 2), np.float32)
    memories.of("t", "a", 5).keep(np.array([1], np.uint32), one)
    memories.of("t", "b", 5)
    memories.of("t", "c", 5)
    assert memories.of("t", "a", 5).recall(np.array([1], np.uint32), 2).tolist() == [[0, 0]]
