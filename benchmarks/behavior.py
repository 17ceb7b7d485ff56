"""Decisions: the policy and the rules in process beside bare ONNX Runtime and py_trees, and ticks under a hung network.

It drives the module's own handler over the shipped policy. Through the socket it drives a real server. The
peers run on the same observations in the same run, in turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import behavior_wire as wire
import msgspec
import numpy as np
import onnxruntime
import py_trees
import uvloop
from numpy.typing import NDArray
from report import ROOT, Report, interleaved, note, start

from app.core.clock import Deadline, SystemClock
from app.core.messages import Change, Chunk, Event
from app.core.module import Call, Module
from app.core.ports import After, Arrays, EngineStatus, Network
from app.engines import catalog
from app.engines.onnx import Engine, open_onnx
from app.modules.behavior import considerations, kernels, logic, messages, module, schema
from app.modules.behavior.brains import ANY_ROLE
from app.modules.behavior.settings import Settings
from app.world.entities import Npc
from app.world.events import EntityUpserted
from app.world.reducers import apply
from app.world.state import World, Worlds

BATCH = 1_024
CROWD = 16_384
"""The most NPCs in one tick."""
LAYOUT = schema.load("open_world")
MODELS = ROOT / "models"


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

    def rows_by(self, deadline: Deadline) -> int:
        return 1 << 30

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
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
    built = module.build(
        settings=Settings(npcs_max=200_000),
        worlds=worlds,
        journal=quiet,
        clock=SystemClock(),
        watcher=quiet,
        policy=policy,
        words=None,
        log=quiet,
    )
    assert built.warm is not None
    built.warm()
    return built


async def _discard(chunk: Chunk) -> None: ...


def ask(built: Module, request: messages.Decide, *, deadline_ms: float) -> Callable[[], Any]:
    """A coroutine function that decides one tick."""

    async def once() -> messages.Decided:
        call = Call("1", "t", "w", Deadline.after_ms(deadline_ms, SystemClock()), Quiet(), _discard)
        reply = await built.handlers[0].run(call, request)
        assert isinstance(reply, messages.Decided)
        return reply

    return once


def turns(
    loop: asyncio.AbstractEventLoop, works: dict[str, Callable[[], Coroutine[Any, Any, object]]], *, rounds: int
) -> dict[str, float]:
    """Like `interleaved`, on a loop that runs already, as a server's does: starting one is no part of the work."""
    taken: dict[str, list[float]] = {name: [] for name in works}

    async def all_rounds() -> None:
        for _ in range(rounds):
            for name, work in works.items():
                began = time.perf_counter()
                await work()
                taken[name].append(time.perf_counter() - began)

    loop.run_until_complete(all_rounds())
    return {name: statistics.median(values) for name, values in taken.items()}


def tick_of(npcs: int, number: int = 1) -> messages.Decide:
    handles = np.arange(npcs, dtype="<u4").tobytes()
    mask = np.ones((npcs, 12), np.uint8).tobytes()
    return messages.Decide(tick=number, handles=handles, obs=observations(npcs).tobytes(), mask=mask)


def measure_policy(report: Report, loop: asyncio.AbstractEventLoop, rounds: int) -> None:
    """Large ticks against the same network bare on as many threads; a usual tick against one bare run."""
    engine, bare = open_policy(), bare_session()
    large, usual = observations(CROWD), observations(BATCH)
    crowd = ask(compose(engine, CROWD), tick_of(CROWD), deadline_ms=60_000.0)
    once = ask(compose(engine, BATCH), tick_of(BATCH), deadline_ms=5_000.0)
    soon = Deadline.after_ms(6e5, SystemClock())
    starts = range(0, CROWD, BATCH)
    with ThreadPoolExecutor(2) as threads:

        async def bare_crowd() -> None:
            list(threads.map(partial(bare.run, None), [{"obs": large[at : at + BATCH]} for at in starts]))

        slow = turns(loop, {"ours": crowd, "bare": bare_crowd}, rounds=max(20, rounds // 5))

    async def bare_once() -> None:
        bare.run(None, {"obs": usual})

    works = {"tick": once, "engine": lambda: engine.run({"obs": usual}, soon), "bare": bare_once}
    took = turns(loop, works, rounds=rounds)
    peer = "bare onnxruntime, two threads"
    report.add(
        "decisions_per_s", CROWD / slow["ours"], "1/s", "higher", goal=5e6, peer=peer, peer_value=CROWD / slow["bare"]
    )
    report.add("ort_ratio", slow["bare"] / slow["ours"], "ratio", "higher", goal=0.85, peer=peer, peer_value=1.0)
    for id, what in (("tick_ratio", "tick"), ("engine_ratio", "engine")):
        report.add(
            id, took["bare"] / took[what], "ratio", "higher", peer="bare onnxruntime, one run of 1,024", peer_value=1.0
        )
    measure_costs(report, loop, engine, rounds)
    loop.run_until_complete(engine.close())


def measure_costs(report: Report, loop: asyncio.AbstractEventLoop, engine: Engine, rounds: int) -> None:
    """What an NPC of a larger crowd costs beside one of 256."""
    sizes = (256, 1_024, 16_384, 65_536)
    ticks = {npcs: ask(compose(engine, npcs), tick_of(npcs), deadline_ms=60_000.0) for npcs in sizes}
    cost = {}
    for npcs, tick in ticks.items():
        cost[npcs] = turns(loop, {"tick": tick}, rounds=max(10, rounds // 10))["tick"] / npcs
    report.add("cost_growth", max(cost.values()) / cost[256], "ratio", "lower", goal=1.3)
    report.add("cost_spread", max(cost.values()) / min(cost.values()), "ratio", "lower")


def measure_rules(report: Report, rounds: int) -> None:
    """The utility brain on one thread: compiled, its numpy twin, and authored trees' usual peer on one decision."""
    rules = considerations.load("open_world", LAYOUT)
    obs, mask = observations(BATCH), np.ones((BATCH, 12), np.uint8)
    table = logic.taste_table(12, 0.05)
    taste = logic.Taste(table, 1, np.arange(BATCH, dtype=np.uint32))
    choice = logic.Choice.over(np.empty((BATCH, 12), np.float32), np.empty((BATCH, LAYOUT.slots), np.float32))
    sound, passes, tree = np.empty(BATCH, np.uint8), kernels.Fast(LAYOUT, rules), peer_tree()

    def decide() -> None:
        passes.weigh(obs, choice, 0, BATCH)
        passes.choose(obs, mask, taste, ANY_ROLE, logic.UTILITY_SHARPNESS, choice, sound, 0, BATCH)

    took = interleaved(
        {"ours": decide, "numpy": lambda: logic.follow_rules(rules, obs, mask), "py_trees": tree.tick_once},
        rounds=rounds,
    )
    report.add(
        "utility_decisions_per_s", BATCH / took["ours"], "1/s", "higher", goal=12e6,
        peer="py_trees, one tick", peer_value=1.0 / took["py_trees"],
    )  # fmt: skip
    report.add(
        "utility_numpy_ratio", took["numpy"] / took["ours"], "ratio", "higher", peer="its numpy twin", peer_value=1.0
    )


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


def decide_frame(number: int, npcs: int) -> bytes:
    """A behavior.decide for the socket."""
    request = tick_of(npcs, number)
    data = {"tick": number, "handles": request.handles, "obs": request.obs, "mask": request.mask}
    envelope = {"id": f"t{number}", "op": "behavior.decide", "deadline_ms": 5_000, "data": data}
    return msgspec.msgpack.encode(envelope)


async def measure_wire(report: Report, spell_s: float) -> None:
    """Decisions through a real server's socket and routes, in spells that take turns with the peers'."""
    with wire.innkeeper(2, 1_000) as ours, wire.peer("litserve") as litserve, wire.peer("mlserver") as mlserver:

        def sockets(count: int, npcs: int, *, in_flight: int = 1) -> list[wire.Client]:
            frames = [decide_frame(number, npcs) for number in range(8)]
            return [wire.Socket(frames, in_flight=in_flight, key=ours.key, world="w") for _ in range(count)]

        rate, _, _ = await wire.spell(sockets(4, 1_000, in_flight=2), ours.port, spell_s)
        report.add("socket_decisions_per_s", 1_000 * rate, "1/s", "higher", goal=1.2e6)
        rates: dict[str, list[float]] = {"ours": [], "litserve": [], "mlserver": []}
        for _ in range(3):
            rate, _, _ = await wire.spell(sockets(4, 256, in_flight=2), ours.port, spell_s)
            rates["ours"].append(256 * rate)
            for name, served in {"litserve": litserve, "mlserver": mlserver}.items():
                if served is not None:
                    rate, _, _ = await wire.spell(peer_clients(name), served.port, spell_s)
                    rates[name].append(256 * rate)
        report_peers(report, rates)
        measure_singles(report, "single", await wire.spell(sockets(16, 1), ours.port, spell_s), goal=True)
        data = {"world": "w", "tick": 1, "npcs": ["npc-1"], "rows": observations(1).round(3).tolist()}
        headers = {"Authorization": f"Bearer {ours.key}"}
        post = wire.post_bytes("/v1/behavior/decide", msgspec.json.encode(data), headers)
        posts = [wire.Posts([post]) for _ in range(16)]
        measure_singles(report, "single_post", await wire.spell(posts, ours.port, spell_s), goal=False)
        paced = sockets(1, 1_000)
        await wire.connected(paced, ours.port)
        await measure_ticks(report, paced[0], 5 * spell_s)
        paced[0].close()


def report_peers(report: Report, rates: dict[str, list[float]]) -> None:
    """Rows a second, 256 a request: ours beside each peer's."""
    mine = statistics.median(rates.pop("ours"))
    report.add("socket_256_decisions_per_s", mine, "1/s", "higher", goal=1.2e6)
    for name, found in rates.items():
        if not found:
            report.add(f"{name}_ratio", None, "ratio", "higher", why="the peer does not install here")
            continue
        theirs = statistics.median(found)
        peer = f"{name}, 256 rows a request in JSON, rows/s"
        report.add(f"{name}_ratio", mine / theirs, "ratio", "higher", peer=peer, peer_value=theirs, ratio=mine / theirs)


def measure_singles(report: Report, name: str, found: tuple[float, list[float], int], *, goal: bool) -> None:
    rate, ms, _ = found
    report.add(f"{name}_requests_per_s", rate, "1/s", "higher", goal=10_000 if goal else None)
    report.add(f"{name}_p99_ms", ms[len(ms) * 99 // 100], "ms", "lower", goal=6.0 if goal else None)


async def measure_ticks(report: Report, client: wire.Client, seconds: float) -> None:
    """1,000 NPCs, ten times a second."""
    taken: list[float] = []
    began = time.perf_counter()
    for number in range(int(10 * seconds)):
        await asyncio.sleep(max(0.0, began + number / 10 - time.perf_counter()))
        _, ms, refused = await wire.press([client], 0.0)
        taken.extend(ms if not refused else [1_000.0])
    taken.sort()
    report.add("tick_p50_ms", taken[len(taken) // 2], "ms", "lower")
    report.add("tick_p99_ms", taken[len(taken) * 99 // 100], "ms", "lower", goal=8.0)


def peer_clients(name: str) -> list[wire.Client]:
    """Four connections to a peer, each asking for 256 rows at a time."""
    rows = observations(256).round(3)
    path, body = "/predict", msgspec.json.encode({"rows": rows.tolist()})
    if name == "mlserver":
        tensor = {"name": "obs", "shape": [256, 64], "datatype": "FP32", "data": rows.ravel().tolist()}
        path, body = "/v2/models/policy/infer", msgspec.json.encode({"inputs": [tensor]})
    return [wire.Posts([wire.post_bytes(path, body, {})]) for _ in range(4)]


def main() -> None:
    report = start("behavior")
    quick = report.options.quick
    rounds = 100 if quick else 600
    loop = uvloop.new_event_loop()
    note("policy and bare onnxruntime")
    measure_policy(report, loop, rounds)
    note("rules")
    measure_rules(report, rounds)
    note("a hung network")
    measure_misses(report, loop, 100)
    note("the socket and the peers")
    loop.run_until_complete(measure_wire(report, 1.0 if quick else 8.0))
    for id, unit in (("tree_ticks_per_s", "1/s"), ("py_trees_ratio", "ratio")):
        report.add(id, None, unit, "higher", why="authored trees are not built yet")
    loop.close()
    report.close()


if __name__ == "__main__":
    main()
