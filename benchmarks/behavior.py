"""Decisions: the policy and the rules in process beside bare ONNX Runtime and py_trees, and ticks under a hung network.

It drives the module's own handler over the shipped policy. Through the socket it drives a real server. The
peers run on the same observations in the same run, in turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import behavior_wire as wire
import msgspec
import numpy as np
import py_trees
import uvloop
from brains import goals, misses, policy, trees
from brains.stage import BATCH, LAYOUT, observations, tick_of
from report import Report, interleaved, note, start

from app.cli.allocator import keep_pages
from app.modules.behavior import considerations, kernels, logic
from app.modules.behavior.brains import ANY_ROLE


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
    keep_pages()  # as a server does
    quick = report.options.quick
    rounds = 100 if quick else 600
    loop = uvloop.new_event_loop()
    note("policy and bare onnxruntime")
    policy.measure(report, loop, rounds)
    note("rules")
    measure_rules(report, rounds)
    note("trees and goals")
    trees.measure(report, rounds)
    goals.measure(report, rounds)
    note("hung and overloaded networks")
    misses.measure(report, loop, 100)
    note("the socket and the peers")
    loop.run_until_complete(measure_wire(report, 1.0 if quick else 8.0))
    loop.close()
    report.close()


if __name__ == "__main__":
    main()
