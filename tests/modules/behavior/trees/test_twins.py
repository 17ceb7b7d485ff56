"""The kernel against its twin on random trees of all kinds of nodes: decisions and memories, bit for bit."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.behavior.trees.formats import shipped
from app.modules.behavior.trees.memory import Memory, Outcome
from app.modules.behavior.trees.tree import Tree
from tests.modules.behavior.stage import LAYOUT
from tests.modules.behavior.trees import forest

SHIPPED = ("guard.toml", "shopkeeper.toml", "boss.toml", "sentinel.xml", "wolf.json")
SIZES = (1, 2, 7, 31, 63, 64, 65, 128, 200, 257, 500)


def bits_of(out: Outcome, memory: Memory) -> tuple[bytes, ...]:
    parts = (out.status, out.intents, out.targets, out.leaf, memory.bits, memory.floats)
    return tuple(part.tobytes() for part in parts)


def random_tree(seed: int, budget: int) -> Tree:
    try:
        return forest.make(forest.grow(random.Random(seed), budget, forest.any_node, forest.any_leaf))
    except Invalid as error:
        assume("loops within loops" not in error.message)
        raise


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from((2, 4, 8, 16, 60)), st.sampled_from((1, 5, 70)))
def test_the_kernel_equals_its_twin(seed: int, budget: int, count: int) -> None:
    slow, fast = random_tree(seed, budget), random_tree(seed, budget)
    fast.warm()
    generator = np.random.default_rng(seed)
    handles = generator.permutation(count).astype(np.uint32)
    memories = slow.memory(count), fast.memory(count)
    for tick in range(6):
        obs, mask = forest.rows(generator, count)
        outs = Outcome.of(count), Outcome.of(count)
        for tree, memory, out in zip((slow, fast), memories, outs, strict=True):
            tree.tick(obs, mask, handles, memory, seed, tick, 0.3, out, 0, count)
        assert bits_of(outs[0], memories[0]) == bits_of(outs[1], memories[1])


def replay(tree: Tree, count: int, order: NDArray[np.intp], cuts: list[int]) -> tuple[bytes, ...]:
    """Five ticks of the same NPCs in some order and some parts; decisions back in the NPCs' own order."""
    generator, memory, told = np.random.default_rng(3), tree.memory(count), []
    for tick in range(5):
        obs, mask = forest.rows(generator, count)
        out = Outcome.of(count)
        for first, last in zip([0, *cuts], [*cuts, count], strict=True):
            tree.tick(obs[order], mask[order], order.astype(np.uint32), memory, 9, tick, 0.3, out, first, last)
        parts = (out.status, out.intents, out.targets, out.leaf)
        told += [part[np.argsort(order)].tobytes() for part in parts]
    return (*told, memory.bits.tobytes(), memory.floats.tobytes())


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("count", SIZES)
def test_nobody_s_decision_depends_on_the_batch(name: str, count: int) -> None:
    tree = shipped(name, LAYOUT)
    tree.warm()
    whole = replay(tree, count, np.arange(count), [])
    order = np.random.default_rng(count).permutation(count)
    cuts = sorted({count // 3, count // 2 + 1} - {0, count} & set(range(count)))
    assert replay(tree, count, np.arange(count), cuts) == whole
    assert replay(tree, count, order, cuts) == whole


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_no_random_tree_depends_on_the_batch(seed: int, count: int) -> None:
    tree = random_tree(seed, 30)
    tree.warm()
    order = np.random.default_rng(seed).permutation(count)
    assert replay(tree, count, order, [count // 2]) == replay(tree, count, np.arange(count), [])
