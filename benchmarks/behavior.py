"""Decisions: the policy and the rules in process beside bare ONNX Runtime and py_trees, and ticks under a hung network.

It drives the module's own handler over the shipped policy. Through the socket it drives a real server. The
peers run on the same observations in the same run, in turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
import py_trees
from numpy.typing import NDArray
from report import ROOT, Report, interleaved, note, start

from app.core.clock import Deadline, SystemClock
from app.core.messages import Change, Chunk, Event
from app.core.module import Call, Module
from app.core.ports import Arrays, EngineStatus, Network
from app.engines import catalog
from app.engines.onnx import Engine, open_onnx
from app.modules.behavior import considerations, logic, messages, module, schema
from app.modules.behavior.settings import Settings
from app.world.entities import Npc
from app.world.events import EntityUpserted
from app.world.reducers import apply
from app.world.state import World, Worlds

BATCH = 1_024
LAYOUT = schema.load("open_world")
MODELS = ROOT / "models"
UNTIL_THE_SERVER = "not measured here yet: needs the tick over a live socket"


class Quiet:
    """A log, a watcher and a journal for which nothing needs to be told."""

    def debug(self, event: str, **fields: object) -> None: ...
    def info(self, event: str, **fields: object) -> None: ...
    def warning(self, event: str, **fields: object) -> None: ...
    def error(self, event: str, **fields: object) -> None: ...
    def rung_fell(self, module: str, rung: str, reason: str) -> None: ...
    def rung_rose(self, module: str, rung: str) -> None: ...
    async def append(self, *args: Any, **more: Any) -> list[Event]:
        return []


class Hung:
    """A network that never answers."""

    name = "policy"
    metadata: Mapping[str, str] = {"fingerprint": LAYOUT.fingerprint}

    def status(self) -> EngineStatus:
        return EngineStatus(name="policy", kind="onnx", state="ready")

    async def run(self, inputs: Arrays, deadline: Deadline) -> Arrays:
        await asyncio.sleep(3_600)
        return {}

    async def close(self) -> None: ...


def open_policy() -> Engine:
    entry = catalog.load(MODELS / "catalog.toml").entry("behavior-open-world")
    return open_onnx(name="policy", entry=entry, folder=MODELS, batch_rows_max=BATCH)


def bare_session() -> onnxruntime.InferenceSession:
    """The same network with the same options, without us."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        str(MODELS / "behavior-open-world.onnx"), options, providers=["CPUExecutionProvider"]
    )


def observations(npcs: int) -> NDArray[np.float32]:
    obs = np.random.default_rng(1).random((npcs, 64), np.float32)
    obs[:, LAYOUT.role_columns] = np.eye(5, dtype=np.float32)[np.arange(npcs) % 5]
    return obs


def compose(policy: Network | None, npcs: int) -> Module:
    worlds, quiet = Worlds(), Quiet()
    world = World("t", "w")
    worlds.add(world)
    for index in range(npcs):
        change: Change = EntityUpserted(entity=Npc(id=f"npc-{index}"))
        apply(world.state, Event(seq=index + 1, id=str(index), wall_ms=0, game_s=0.0, change=change))
    return module.build(
        settings=Settings(npcs_max=200_000),
        worlds=worlds,
        journal=quiet,
        clock=SystemClock(),
        watcher=quiet,
        policy=policy,
    )


async def _discard(chunk: Chunk) -> None: ...


def ask(built: Module, request: messages.Decide, *, deadline_ms: float) -> Callable[[], Any]:
    """A coroutine function that decides one tick."""

    async def once() -> messages.Decided:
        call = Call("1", "t", "w", Deadline.after_ms(deadline_ms, SystemClock()), Quiet(), _discard)
        reply = await built.handlers[0].run(call, request)
        assert isinstance(reply, messages.Decided)
        return reply

    return once


def tick_of(npcs: int, number: int = 1) -> messages.Decide:
    handles = np.arange(npcs, dtype="<u4").tobytes()
    mask = np.ones((npcs, 12), np.uint8).tobytes()
    return messages.Decide(tick=number, handles=handles, obs=observations(npcs).tobytes(), mask=mask)


def measure_policy(report: Report, loop: asyncio.AbstractEventLoop, rounds: int) -> None:
    """One session against the same network bare, one thread each; then the cost of an NPC as crowds grow."""
    engine, bare = open_policy(), bare_session()
    obs = observations(BATCH)
    once = ask(compose(engine, BATCH), tick_of(BATCH), deadline_ms=5_000.0)
    took = interleaved(
        {
            "ours": lambda: loop.run_until_complete(once()),
            "engine": lambda: loop.run_until_complete(engine.run({"obs": obs}, Deadline.after_ms(5e3, SystemClock()))),
            "bare": lambda: bare.run(None, {"obs": obs}),
        },
        rounds=rounds,
    )
    bare_per_s = BATCH / took["bare"]
    report.add(
        "decisions_per_s",
        BATCH / took["ours"],
        "1/s",
        "higher",
        goal=5e6,
        peer="bare onnxruntime",
        peer_value=bare_per_s,
    )
    report.add(
        "ort_ratio", took["bare"] / took["ours"], "ratio", "higher", goal=0.85, peer="bare onnxruntime", peer_value=1.0
    )
    report.add(
        "engine_ratio", took["bare"] / took["engine"], "ratio", "higher", peer="bare onnxruntime", peer_value=1.0
    )
    costs = {}
    for npcs in (256, 1_024, 16_384, 65_536):
        crowd = ask(compose(engine, npcs), tick_of(npcs), deadline_ms=60_000.0)
        each = interleaved({"tick": lambda crowd=crowd: loop.run_until_complete(crowd())}, rounds=max(5, rounds // 20))
        costs[npcs] = each["tick"] / npcs
    report.add("cost_growth", max(costs.values()) / min(costs.values()), "ratio", "lower", goal=1.3)
    loop.run_until_complete(engine.close())


def measure_rules(report: Report, rounds: int) -> None:
    """The utility brain on one thread, and authored trees' usual peer on the same decision."""
    rules = considerations.load("open_world", LAYOUT)
    obs, mask = observations(BATCH), np.ones((BATCH, 12), np.uint8)
    tree = peer_tree()
    took = interleaved(
        {"ours": lambda: logic.follow_rules(rules, obs, mask), "py_trees": tree.tick_once}, rounds=rounds
    )
    report.add(
        "utility_decisions_per_s", BATCH / took["ours"], "1/s", "higher", goal=12e6,
        peer="py_trees, one tick", peer_value=1.0 / took["py_trees"],
    )  # fmt: skip


def peer_tree() -> py_trees.behaviour.Behaviour:
    """A usual villager: flee, eat, sleep or work, as a selector of sequences."""
    names = ("flee", "eat", "sleep", "trade")
    arms = [
        py_trees.composites.Sequence(
            name,
            memory=False,
            children=[py_trees.behaviours.Failure(f"may {name}"), py_trees.behaviours.Running(name)],
        )
        for name in names
    ]
    return py_trees.composites.Selector("villager", memory=False, children=[*arms, py_trees.behaviours.Running("work")])


def measure_misses(report: Report, loop: asyncio.AbstractEventLoop, ticks: int) -> None:
    """1,000 NPCs, 50 ms a tick, a network that hangs; a miss is a late tick or an NPC without an intent."""
    built = compose(Hung(), 1_000)
    missed = 0
    for number in range(ticks):
        once = ask(built, tick_of(1_000, number), deadline_ms=50.0)
        began = time.perf_counter()
        reply = loop.run_until_complete(once())
        missed += time.perf_counter() - began > 0.05 or 255 in reply.intents
    report.add("missed_ticks", float(missed), "ticks", "lower", goal=0)


def main() -> None:
    report = start("behavior")
    rounds = 100 if report.options.quick else 600
    loop = asyncio.new_event_loop()
    note("policy and bare onnxruntime")
    measure_policy(report, loop, rounds)
    note("rules")
    measure_rules(report, rounds)
    note("a hung network")
    measure_misses(report, loop, 100)
    for id, unit in (("socket_decisions_per_s", "1/s"), ("single_requests_per_s", "1/s"), ("tick_p99_ms", "ms")):
        report.add(id, None, unit, "lower" if unit == "ms" else "higher", why=UNTIL_THE_SERVER)
    for id, unit in (("tree_ticks_per_s", "1/s"), ("py_trees_ratio", "ratio")):
        report.add(id, None, unit, "higher", why="authored trees are not built yet")
    for id in ("litserve_ratio", "mlserver_ratio"):
        report.add(id, None, "ratio", "higher", why="the peer is not installed")
    loop.close()
    report.close()


if __name__ == "__main__":
    main()
