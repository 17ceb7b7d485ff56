"""How fast a usual guard's tree is ticked on one thread, beside py_trees on the same tree and the same NPCs.

The guard (13 nodes, with RUNNING actions, timers and a sequence with memory) is the one that ships. Both see the same
rows; before anything is timed their statuses are compared over many ticks.
"""

from __future__ import annotations

import time

import numpy as np
import py_trees
from numpy.typing import NDArray
from py_trees.common import Status
from report import Report, interleaved

from app.modules.behavior import schema
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.formats import shipped
from app.modules.behavior.trees.memory import Outcome
from app.modules.behavior.trees.tree import Tree

LAYOUT = schema.load("open_world")
BATCH = 1_024
CROWD = 16_384
DT_S = 0.1
TURN = 16


def measure(report: Report, rounds: int) -> None:
    """Add the figures of trees; a few seconds."""
    tree = shipped("guard.toml", LAYOUT)
    tree.warm()
    compare(tree)
    obs = rows(CROWD)
    peer, clock = Peer(tree.authored.trees["guard"]), Clock(tree, obs[:BATCH])
    crowd = Clock(tree, obs)

    def theirs_too() -> None:
        for row in obs[:TURN]:
            peer.tick(row, DT_S)

    took = interleaved({"ours": clock.ticks, "crowd": crowd.ticks, "py_trees": theirs_too}, rounds=max(20, rounds // 2))
    ours, theirs = TURN * BATCH / took["ours"], TURN / took["py_trees"]
    report.add("tree_ticks_per_s", ours, "1/s", "higher", goal=40e6, peer="py_trees", peer_value=theirs)
    report.add("tree_ticks_per_s_crowd", TURN * CROWD / took["crowd"], "1/s", "higher")
    report.add(
        "py_trees_ratio", ours / theirs, "ratio", "higher", peer="py_trees, ticks/s", peer_value=theirs,
        ratio=ours / theirs,
    )  # fmt: skip
    for name in ("shopkeeper.toml", "boss.toml", "sentinel.xml", "wolf.json"):
        other = shipped(name, LAYOUT)
        other.warm()
        seconds = interleaved({"ours": Clock(other, obs[:BATCH]).ticks}, rounds=max(20, rounds // 10))["ours"]
        report.add(f"tree_ticks_per_s.{name.partition('.')[0]}", TURN * BATCH / seconds, "1/s", "higher")
    slow = shipped("guard.toml", LAYOUT)
    cold = interleaved({"slow": Clock(slow, obs[:64]).tick}, rounds=10)["slow"]
    report.add("tree_python_us_per_tick", cold / 64 * 1e6, "us", "lower")
    began = time.perf_counter()
    shipped("shopkeeper.toml", LAYOUT).warm()
    report.add("tree_compile_ms", (time.perf_counter() - began) * 1e3, "ms", "lower")


class Clock:
    """A tree over some NPCs, a tick at a time."""

    def __init__(self, tree: Tree, obs: NDArray[np.float32]) -> None:
        count = len(obs)
        self.tree, self.obs, self.mask = tree, obs, np.ones((count, len(LAYOUT.intents)), np.uint8)
        self.handles, self.memory = np.arange(count, dtype=np.uint32), tree.memory(count)
        self.out, self.number = Outcome.of(count), 0

    def ticks(self) -> None:
        """TURN ticks of everybody, so that what a turn begins with does not count."""
        for _ in range(TURN):
            self.tick()

    def tick(self) -> None:
        """One tick of everybody."""
        self.number += 1
        self.tree.tick(self.obs, self.mask, self.handles, self.memory, 1, self.number, DT_S, self.out, 0, len(self.obs))


def rows(count: int) -> NDArray[np.float32]:
    """NPCs of all kinds: a third in peace, a third with a foe in reach, some hurt, some tired."""
    generator = np.random.default_rng(1)
    obs = generator.random((count, len(LAYOUT.features)), np.float32)
    obs[:, LAYOUT.columns["threats_near"]] *= generator.integers(0, 2, count)
    obs[:, LAYOUT.columns["slot0_hp"]] *= generator.integers(0, 2, count)
    return obs


def compare(tree: Tree) -> None:
    """Both give the same statuses and intents, or nothing is timed."""
    generator = np.random.default_rng(2)
    npcs, base = 8, rows(512)
    peers = [Peer(tree.authored.trees["guard"]) for _ in range(npcs)]
    clock = Clock(tree, base[:npcs].copy())
    for _ in range(1_200):
        if generator.random() < 0.02:
            clock.obs[:] = base[generator.integers(0, len(base), npcs)]
        clock.tick()
        for npc, peer in enumerate(peers):
            status, intent = peer.tick(clock.obs[npc], DT_S)
            assert status.name == ("", "SUCCESS", "FAILURE", "RUNNING")[clock.out.status[npc]]
            assert intent == clock.out.intents[npc]


class Peer:
    """The guard in py_trees, for one NPC."""

    def __init__(self, node: nodes.Node) -> None:
        self.obs = np.zeros(0, np.float32)
        self.dt_s, self.intent = 0.0, 255
        self.root = self._build(node)

    def tick(self, obs: NDArray[np.float32], dt_s: float) -> tuple[Status, int]:
        """Its status, and the intent of the last action that acted."""
        self.obs, self.dt_s, self.intent = obs, dt_s, 255
        self.root.tick_once()
        return self.root.status, self.intent

    def _build(self, node: nodes.Node) -> py_trees.behaviour.Behaviour:
        if isinstance(node, nodes.Sequence | nodes.Selector):
            kind = py_trees.composites.Sequence if isinstance(node, nodes.Sequence) else py_trees.composites.Selector
            return kind(node.name or "node", node.memory, [self._build(child) for child in node.children])
        return Leaf(self, node)


class Leaf(py_trees.behaviour.Behaviour):
    """A condition or an action of the guard; comparisons are prepared, as a careful author would."""

    def __init__(self, peer: Peer, node: nodes.Node) -> None:
        super().__init__(node.name or "leaf")
        self._peer, self._seconds, self._elapsed, self._intent = peer, 0.0, np.float32(0.0), 255
        text = node.when if isinstance(node, nodes.Condition) else ""
        self._acts = isinstance(node, nodes.Action)
        if isinstance(node, nodes.Action):
            text, self._seconds = node.until or "", node.seconds or 0.0
            self._intent, self._must_aim = LAYOUT.intent_index[node.intent], node.must_aim
        self._tests = [comparison(part) for part in text.split(" and ") if part]

    def initialise(self) -> None:
        """Where it starts."""
        self._elapsed = np.float32(-1.0)

    def update(self) -> Status:
        """What a guard's leaf answers."""
        obs = self._peer.obs
        holds = all(compares(obs[column], edge) for column, compares, edge in self._tests)
        if not self._acts:
            return Status.SUCCESS if holds else Status.FAILURE
        self._elapsed = np.float32(0.0) if self._elapsed < 0 else self._elapsed + np.float32(self._peer.dt_s)
        if (self._tests and holds) or (self._seconds and self._elapsed + np.float32(1.0) >= 1.0 + self._seconds):
            return Status.SUCCESS
        if self._must_aim and not any(obs[LAYOUT.columns[f"slot{slot}_hp"]] > 0.0 for slot in (0, 1)):
            return Status.FAILURE
        self._peer.intent = self._intent
        return Status.RUNNING


def comparison(text: str) -> tuple[int, object, np.float32]:
    """A column, how it compares, and the edge in the matrix's values."""
    name, op, value = text.split()
    column = LAYOUT.columns[name]
    edge = np.float32(LAYOUT.features[column].encode(float(value)))
    ways = {"<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal}
    return column, ways[op], edge
