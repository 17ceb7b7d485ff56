"""Ticks under a network that hangs, a worker that hangs, and five times more than the policy can do.

A miss is a late tick or an NPC without an intent. The overload runs on the shipped network made twenty times dearer,
so that the policy and not the machine is what is overloaded.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from report import Report

from app.core.clock import Deadline
from app.core.ports import After, Arrays, EngineStatus
from app.engines.batching import Batcher, Model
from app.engines.costs import Cost
from brains.stage import BATCH, Hung, ask, compose, open_policy, tick_of

NPCS, DEADLINE_MS = 1_000, 50.0
TIMES, OVER = 20, 5.0
NONE = 255


class Dear:
    """The shipped policy, `TIMES` times dearer, on a real batcher of two workers; it can be made to hang."""

    name = "policy"

    def __init__(self) -> None:
        self._engine = open_policy()
        self.metadata: Mapping[str, str] = self._engine.metadata
        self.gate = threading.Event()
        self.gate.set()
        cost = Cost(TIMES * self._engine.row_us, 10.0)
        self._batcher = Batcher(
            Model(self._compute, cost), name="policy", rows_max=BATCH, queue_rows_max=65_536, workers=2
        )
        self.rows_per_s = 2e6 / cost.row_us

    def _compute(self, inputs: Arrays) -> dict[str, object]:
        self.gate.wait()
        for _ in range(TIMES - 1):
            self._engine.compute(inputs)
        return dict(self._engine.compute(inputs))

    def status(self) -> EngineStatus:
        return self._engine.status()

    def rows_by(self, deadline: Deadline) -> int:
        return self._batcher.rows_by(deadline)

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        return await self._batcher.run(inputs, deadline, after=after)

    async def close(self) -> None:
        self.gate.set()
        await self._batcher.close()
        await self._engine.close()


@dataclass(slots=True)
class Tally:
    """What became of ticks."""

    ticks: int = 0
    missed: int = 0
    npcs: int = 0
    led: int = 0


def measure(report: Report, loop: asyncio.AbstractEventLoop, ticks: int) -> None:
    """All three; `missed_ticks` is of all together."""
    hung, stuck, over = Tally(), Tally(), Tally()
    loop.run_until_complete(_one_by_one(Hung(), ticks, hung))
    dear = Dear()
    dear.gate.clear()
    loop.run_until_complete(_one_by_one(dear, ticks, stuck))
    dear.gate.set()
    loop.run_until_complete(dear.close())
    dear = Dear()
    loop.run_until_complete(_flood(dear, ticks * 5, over))
    loop.run_until_complete(dear.close())
    missed = hung.missed + stuck.missed + over.missed
    report.add("missed_ticks", float(missed), "ticks", "lower", goal=0)
    report.add("overload_ticks", float(over.ticks), "ticks", "higher")
    report.add("overload_policy_share", over.led / over.npcs, "share", "higher")


async def _one_by_one(policy: Hung | Dear, ticks: int, tally: Tally) -> None:
    built = compose(policy, NPCS)
    for number in range(ticks):
        await _tick(built, number, tally)


async def _flood(policy: Dear, ticks: int, tally: Tally) -> None:
    """Ticks at OVER times the rate at which the policy alone could answer them, whoever is still waiting."""
    built = compose(policy, NPCS)
    every_s = NPCS / (OVER * policy.rows_per_s)
    asked, began_s = [], time.perf_counter()
    for number in range(ticks):
        await asyncio.sleep(max(0.0, began_s + number * every_s - time.perf_counter()))
        asked.append(asyncio.create_task(_tick(built, number, tally)))
    await asyncio.gather(*asked)


async def _tick(built: object, number: int, tally: Tally) -> None:
    once = ask(built, tick_of(NPCS, number), deadline_ms=DEADLINE_MS)
    began_s = time.perf_counter()
    reply = await once()
    late = (time.perf_counter() - began_s) * 1e3 > DEADLINE_MS
    tally.ticks += 1
    tally.missed += late or NONE in reply.intents
    tally.npcs += reply.npcs
    tally.led += sum(reply.rungs[rung] == "policy" for rung in reply.rung_of)
