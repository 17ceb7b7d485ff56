"""The policy's large ticks beside the same network bare on as many threads, in FP32 and INT8, and what an NPC costs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from report import Report

from app.core.clock import Deadline, SystemClock
from app.engines.onnx import Engine
from brains.stage import BATCH, CROWD, ask, bare_session, compose, observations, open_policy, tick_of, turns

FORMS = {"": "behavior-open-world-int8", "fp32_": "behavior-open-world"}
"""Prefix of the figures -> model; mode 2 runs the first."""


def measure(report: Report, loop: asyncio.AbstractEventLoop, rounds: int) -> None:
    """Each form of the policy beside itself bare, then what an NPC of a larger crowd costs."""
    for prefix, id in FORMS.items():
        engine = open_policy(id)
        _crowd(report, loop, engine, prefix=prefix, id=id, rounds=rounds)
        if not prefix:
            _usual(report, loop, engine, id, rounds)
            _costs(report, loop, engine, rounds)
        loop.run_until_complete(engine.close())


def _crowd(
    report: Report, loop: asyncio.AbstractEventLoop, engine: Engine, *, prefix: str, id: str, rounds: int
) -> None:
    """The largest tick against bare runs of its chunks on two threads."""
    bare, large = bare_session(id), observations(CROWD)
    tick = ask(compose(engine, CROWD), tick_of(CROWD), deadline_ms=60_000.0)
    starts = range(0, CROWD, BATCH)
    with ThreadPoolExecutor(2) as threads:

        async def bare_crowd() -> None:
            list(threads.map(partial(bare.run, None), [{"obs": large[at : at + BATCH]} for at in starts]))

        slow = turns(loop, {"ours": tick, "bare": bare_crowd}, rounds=max(20, rounds // 5))
    report.add(
        f"{prefix}decisions_per_s", CROWD / slow["ours"], "1/s", "higher", goal=5e6,
        peer="bare onnxruntime, the same file, two threads", peer_value=CROWD / slow["bare"],
    )  # fmt: skip
    report.add(
        f"{prefix}ort_ratio", slow["bare"] / slow["ours"], "ratio", "higher", goal=0.85,
        peer="bare onnxruntime, the same file, two threads", peer_value=1.0,
    )  # fmt: skip


def _usual(report: Report, loop: asyncio.AbstractEventLoop, engine: Engine, id: str, rounds: int) -> None:
    """A usual tick and a single NPC against one bare run."""
    bare, usual = bare_session(id), observations(BATCH)
    soon = Deadline.after_ms(6e5, SystemClock())

    async def bare_once() -> None:
        bare.run(None, {"obs": usual})

    once = ask(compose(engine, BATCH), tick_of(BATCH), deadline_ms=5_000.0)
    works = {"tick": once, "engine": lambda: engine.run({"obs": usual}, soon), "bare": bare_once}
    took = turns(loop, works, rounds=rounds)
    for id, what in (("tick_ratio", "tick"), ("engine_ratio", "engine")):
        report.add(
            id, took["bare"] / took[what], "ratio", "higher", peer="bare onnxruntime, one run of 1,024", peer_value=1.0
        )
    alone = turns(loop, {"one": ask(compose(engine, 1), tick_of(1), deadline_ms=5_000.0)}, rounds=10 * rounds)
    report.add("one_npc_us", alone["one"] * 1e6, "us", "lower", goal=100.0)


def _costs(report: Report, loop: asyncio.AbstractEventLoop, engine: Engine, rounds: int) -> None:
    """What an NPC of a larger crowd costs beside one of 256."""
    sizes = (256, 1_024, 16_384, 65_536)
    ticks = {npcs: ask(compose(engine, npcs), tick_of(npcs), deadline_ms=60_000.0) for npcs in sizes}
    cost = {}
    for npcs, tick in ticks.items():
        cost[npcs] = turns(loop, {"tick": tick}, rounds=max(10, rounds // 10))["tick"] / npcs
    report.add("cost_growth", max(cost.values()) / cost[256], "ratio", "lower", goal=1.3)
    report.add("cost_spread", max(cost.values()) / min(cost.values()), "ratio", "lower")
