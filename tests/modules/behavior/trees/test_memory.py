"""Memory of NPCs: growing, clearing, snapshots, strangers, and explanations from a moment before."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.behavior.trees.formats import shipped
from app.modules.behavior.trees.memory import Memory, Outcome
from app.modules.behavior.trees.tree import Tree
from tests.modules.behavior.stage import LAYOUT
from tests.modules.behavior.trees import forest

NPCS = 90
HANDLES = np.arange(NPCS, dtype=np.uint32)


def lived(tree: Tree, memory: Memory, ticks: int, *, seed: int = 1) -> None:
    generator = np.random.default_rng(seed)
    for tick in range(ticks):
        obs, mask = forest.rows(generator, NPCS)
        tree.tick(obs, mask, HANDLES, memory, 1, tick, 0.5, Outcome.of(NPCS), 0, NPCS)


def test_a_snapshot_brings_everything_back() -> None:
    tree = shipped("boss.toml", LAYOUT)
    tree.warm()
    memory = tree.memory(NPCS)
    lived(tree, memory, 20)
    taken = memory.snapshot()
    lived(tree, memory, 5, seed=2)
    after = memory.snapshot()
    assert after != taken
    other = tree.memory(3)
    other.restore(taken)
    assert other.snapshot() == taken
    lived(tree, other, 5, seed=2)
    assert other.snapshot() == after


def test_a_snapshot_of_another_tree_is_refused() -> None:
    boss, guard = (shipped(name, LAYOUT).memory(4) for name in ("boss.toml", "guard.toml"))
    with pytest.raises(Invalid, match="another tree"):
        guard.restore(boss.snapshot())
    with pytest.raises(Invalid, match="another tree"):
        boss.restore(boss.snapshot()[:-1])


def test_growing_keeps_what_is_known_and_newcomers_start_fresh() -> None:
    tree = shipped("boss.toml", LAYOUT)
    tree.warm()
    memory = tree.memory(NPCS)
    lived(tree, memory, 9)
    before = memory.take(HANDLES)
    memory.grow(NPCS + 1)
    assert memory.capacity >= NPCS + 1
    after = memory.take(HANDLES)
    assert after.bits.tobytes() == before.bits.tobytes()
    assert after.floats.tobytes() == before.floats.tobytes()
    assert memory.read(NPCS, "phase") == 1.0


def test_clearing_an_npc_lets_it_start_anew_and_nobody_else() -> None:
    tree = shipped("boss.toml", LAYOUT)
    tree.warm()
    memory = tree.memory(NPCS)
    lived(tree, memory, 9)
    other = memory.take(HANDLES[1:])
    memory.clear(np.array([0, 4_000_000_000], np.uint32))
    assert memory.take(HANDLES[:1]).floats.tobytes() == tree.memory(1).floats.tobytes()
    assert memory.take(HANDLES[1:]).floats.tobytes() == other.floats.tobytes()


@pytest.mark.parametrize("warm", [True, False])
def test_an_npc_beyond_the_capacity_is_answered_as_a_newcomer_and_not_remembered(warm: bool) -> None:
    tree = shipped("guard.toml", LAYOUT)
    if warm:
        tree.warm()
    memory = tree.memory(2)
    obs, mask = np.zeros((3, 64), np.float32), np.ones((3, 12), np.uint8)
    obs[:, LAYOUT.columns["energy"]] = 1.0
    for tick in range(50):
        out = Outcome.of(3)
        tree.tick(obs, mask, np.array([0, 1, 0xFFFF_FFFF], np.uint32), memory, 1, tick, 1.0, out, 0, 3)
    names = [LAYOUT.intent_names[intent] for intent in out.intents]
    assert names == ["guard", "guard", "patrol"]


def test_a_moment_before_explains_the_tick_after() -> None:
    tree = shipped("sentinel.xml", LAYOUT)
    tree.warm()
    memory = tree.memory(NPCS)
    lived(tree, memory, 30)
    obs, mask = forest.rows(np.random.default_rng(8), NPCS)
    before, out = memory.take(HANDLES), Outcome.of(NPCS)
    tree.tick(obs, mask, HANDLES, memory, 1, 31, 0.5, out, 0, NPCS)
    for npc in range(NPCS):
        one = type(before)(before.bits[npc : npc + 1], before.floats[npc : npc + 1])
        told = tree.explain(obs[npc], mask[npc], npc, one, 1, 31, 0.5)
        assert told[0].status == out.status[npc]
        assert any(visit.number == out.leaf[npc] for visit in told)
    assert memory.take(HANDLES).bits.tobytes() != before.bits.tobytes()


def test_an_unknown_key_names_the_nearest() -> None:
    memory = shipped("boss.toml", LAYOUT).memory(1)
    with pytest.raises(Invalid) as caught:
        memory.write(HANDLES[:1], "phaze", 2.0)
    assert caught.value.hint == "did you mean 'phase'?"
