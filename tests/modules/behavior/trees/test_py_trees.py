"""Compiled trees against py_trees: the same statuses, leaves and actions, tick for tick, on random trees."""

from __future__ import annotations

import random
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import py_trees
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.behavior.schema import NONE
from app.modules.behavior.trees.memory import Outcome
from app.modules.behavior.trees.spots import Status
from tests.modules.behavior.trees import forest

NPCS, TICKS = 3, 22


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from((3, 6, 12, 25, 60)))
def test_a_compiled_tree_ticks_as_py_trees_does(seed: int, budget: int) -> None:
    rng, generator, clock = random.Random(seed), np.random.default_rng(seed), SimpleNamespace(now=0.0)
    node = forest.grow(rng, budget, forest.shared_node, forest.scripted)
    tree = forest.make(node)
    tree.warm()
    peers = [forest.Peer(node) for _ in range(NPCS)]
    leaves = {number for number in range(tree.plan.count) if not _children(tree.paths, number)}
    memory, handles = tree.memory(NPCS), np.arange(NPCS, dtype=np.uint32)
    with patch.object(py_trees.decorators, "time", SimpleNamespace(monotonic=lambda: clock.now)):
        for tick in range(TICKS):
            clock.now = float(tick)
            obs, mask = forest.rows(generator, NPCS)
            before, out = memory.take(handles), Outcome.of(NPCS)
            tree.tick(obs, mask, handles, memory, seed, tick, 0.1, out, 0, NPCS)
            for npc, peer in enumerate(peers):
                status, wanted, visited = peer.tick(obs[npc], mask[npc])
                one = type(before)(before.bits[npc : npc + 1], before.floats[npc : npc + 1])
                told = tree.explain(obs[npc], mask[npc], npc, one, seed, tick, 0.1)
                assert Status(out.status[npc]).name == status.name == told[0].status.name
                assert out.intents[npc] == (wanted if wanted >= 0 else NONE)
                assert [visit.number for visit in told if visit.number in leaves] == visited
                if wanted < 0 and visited:
                    assert out.leaf[npc] == visited[-1]


def _children(paths: tuple[str, ...], number: int) -> bool:
    return number + 1 < len(paths) and paths[number + 1].startswith(f"{paths[number]}/")
