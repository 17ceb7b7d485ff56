"""Random trees from a seed, and rows for them to see; one of those that py_trees has too, built there as well."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import py_trees
from numpy.typing import NDArray
from py_trees.common import OneShotPolicy, ParallelPolicy, Status

from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.nodes import Authored, Node
from app.modules.behavior.trees.tree import Tree
from tests.modules.behavior.stage import LAYOUT

LIMITS = TreeLimits()
FLAGS = [f"{block}_{name}" for block in ("doing", "told") for name in LAYOUT.intent_names]
KEYS = {"a": 0.0, "b": 2.0}


def flag(rng: random.Random) -> str:
    return f"{rng.choice(FLAGS)} > 0.5"


def expression(rng: random.Random) -> str:
    """Any expression, with parentheses, keys and chance."""
    atoms = (
        lambda: flag(rng),
        lambda: f"hunger {rng.choice(('<', '<=', '>', '>=', '==', '!='))} {rng.choice((0, 0.25, 0.5, 1))}",
        lambda: f"gold < {rng.choice((10, 200))}",
        lambda: f"a {rng.choice(('<', '>=', '=='))} {rng.choice((0, 1, 2))}",
        lambda: "a < b",
        lambda: "hunger >= b",
        lambda: f"chance({rng.choice((0, 0.3, 0.7, 1))})",
        lambda: f"not ({flag(rng)} and hp > 0.5)",
    )
    found = rng.choice(atoms)()
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        found = f"({found}) {rng.choice(('and', '||'))} {rng.choice(atoms)()}"
    return found


def scripted(rng: random.Random) -> Node:
    """A leaf whose status the rows decide: forbidden, over, or RUNNING."""
    if rng.random() < 0.35:
        return nodes.Condition(when=flag(rng))
    until = flag(rng) if rng.random() < 0.8 else None
    return nodes.Action(intent=rng.choice(LAYOUT.intent_names), until=until)


def any_leaf(rng: random.Random) -> Node:
    """A leaf of any kind."""
    intent = rng.choice(LAYOUT.intents)
    slots = [f"slot{slot}" for slot in intent.slots]
    target = rng.choice(["nearest", "trader", "none", "{a}", *slots] if slots else ["none"])
    makers: tuple[Callable[[], Node], ...] = (
        lambda: scripted(rng),
        lambda: nodes.Condition(when=expression(rng)),
        lambda: nodes.Action(
            intent=intent.name, target=target, must_aim=target != "none" and rng.random() < 0.3,
            until=rng.choice((None, expression(rng))), seconds=rng.choice((None, 0.5, 1.0)),
        ),
        lambda: nodes.Wait(ticks=rng.randint(1, 3)),
        lambda: nodes.Set(key="a", to=rng.choice((0, 1, 2, "b", "hunger"))),
        lambda: nodes.Add(key=rng.choice("ab"), by=rng.choice((1, -1, "a"))),
        lambda: nodes.Always(status=rng.choice(("success", "failure", "running", "skipped"))),
    )  # fmt: skip
    return rng.choice(makers)()


def shared_node(rng: random.Random, below: Callable[[int], tuple[Node, ...]]) -> Node:
    """An inner node that py_trees has too."""
    one = lambda: below(1)[0]  # noqa: E731  # a name for one line, used at once
    changed = rng.choice(("success", "failure", "running"))
    other = rng.choice([name for name in ("success", "failure", "running") if name != changed])
    makers: tuple[Callable[[], Node], ...] = (
        lambda: nodes.Sequence(memory=rng.random() < 0.5, children=below(rng.randint(1, 4))),
        lambda: nodes.Selector(memory=rng.random() < 0.5, children=below(rng.randint(1, 4))),
        lambda: nodes.Sequence(memory=True, children=below(rng.randint(2, 4))),
        lambda: nodes.Selector(memory=False, children=below(rng.randint(2, 4))),
        lambda: parallel(rng, below(rng.randint(1, 4))),
        lambda: nodes.Inverter(child=one()),
        lambda: nodes.Map(child=one(), **{changed: other}),
        lambda: nodes.Map(child=one(), failure="running"),
        lambda: nodes.Repeat(child=one(), cycles=rng.choice((-1, 1, 2, 3))),
        lambda: nodes.Retry(child=one(), attempts=rng.choice((1, 2, 3))),
        lambda: nodes.Timeout(child=one(), ticks=rng.randint(1, 3)),
        lambda: nodes.OneShot(child=one(), on=rng.choice(("completion", "success"))),
        lambda: nodes.Guard(child=one(), when=flag(rng)),
    )  # fmt: skip
    return rng.choice(makers)()


def parallel(rng: random.Random, children: tuple[Node, ...]) -> Node:
    named = [type(child)(**{**fields(child), "name": f"c{at}"}) for at, child in enumerate(children)]
    some = tuple(rng.sample([child.name for child in named], rng.randint(1, len(named))))
    return nodes.Parallel(
        children=tuple(named), success=rng.choice(("all", "one", some)), synchronize=rng.random() < 0.6
    )  # fmt: skip


def fields(node: Node) -> dict[str, Any]:
    return {name: getattr(node, name) for name in node.__struct_fields__}


def any_node(rng: random.Random, below: Callable[[int], tuple[Node, ...]]) -> Node:
    """An inner node of any kind."""
    one = lambda: below(1)[0]  # noqa: E731  # a name for one line, used at once
    settled = rng.choice(("success", "failure", "running", "skipped"))
    count = rng.randint(1, 4)
    makers: tuple[Callable[[], Node], ...] = (
        lambda: nodes.StarSequence(children=below(count)),
        lambda: nodes.CountedParallel(
            children=below(count), successes=rng.randint(-count, count), failures=rng.randint(-count, count)
        ),
        lambda: nodes.FullParallel(children=below(count), failures=rng.randint(-count, count)),
        lambda: nodes.IfThenElse(children=below(rng.choice((2, 3)))),
        lambda: nodes.WhileDoElse(children=below(rng.choice((2, 3)))),
        lambda: nodes.Switch(variable=rng.choice("ab"), cases=(0, "a", 2), children=below(4)),
        lambda: nodes.ForceSuccess(child=one()),
        lambda: nodes.ForceFailure(child=one()),
        lambda: nodes.UntilFail(child=one()),
        lambda: nodes.RepeatAtOnce(child=one(), cycles=rng.choice((-1, 2, 3, 40))),
        lambda: nodes.RetryAtOnce(child=one(), attempts=rng.choice((-1, 2, 3))),
        lambda: nodes.Delay(child=one(), seconds=rng.choice((0.5, 1.0))),
        lambda: nodes.Cutoff(child=one(), seconds=rng.choice((0.5, 1.0))),
        lambda: nodes.Timeout(child=one(), seconds=0.5),
        lambda: nodes.Cooldown(child=one(), seconds=rng.choice((0.5, 1.0))),
        lambda: nodes.RunOnce(child=one(), then_skip=rng.random() < 0.5),
        lambda: nodes.Guard(child=one(), when=expression(rng), otherwise=settled),
        lambda: nodes.StartIf(child=one(), when=expression(rng), otherwise=settled),
        lambda: shared_node(rng, below),
        lambda: shared_node(rng, below),
        lambda: shared_node(rng, below),
    )  # fmt: skip
    return rng.choice(makers)()


def grow(
    rng: random.Random, budget: int, inner: Callable[..., Node], leaf: Callable[..., Node], depth: int = 0
) -> Node:
    """A tree of about `budget` nodes."""
    if budget <= 1 or depth > 12:
        return leaf(rng)

    def below(count: int) -> tuple[Node, ...]:
        return tuple(grow(rng, (budget - 1) // count, inner, leaf, depth + 1) for _ in range(count))

    return inner(rng, below)


def make(node: Node) -> Tree:
    """A tree of one node with all below it."""
    return Tree(Authored(schema="open_world", root="main", trees={"main": node}, blackboard=KEYS), LAYOUT, LIMITS)


def rows(generator: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Observations and masks of `count` NPCs: flags of 0 or 1, other features anywhere or on a threshold."""
    obs = generator.random((count, len(LAYOUT.features)), np.float32)
    for name in FLAGS:
        obs[:, LAYOUT.columns[name]] = generator.integers(0, 2, count)
    obs[:, LAYOUT.columns["hunger"]] = generator.choice([0.0, 0.25, 0.5, 0.75, 1.0], count)
    for slot in range(LAYOUT.slots):
        obs[:, LAYOUT.slot_columns[slot]] *= generator.integers(0, 2, count)
        obs[:, LAYOUT.columns[f"slot{slot}_trades"]] = generator.integers(0, 2, count)
        obs[:, LAYOUT.columns[f"slot{slot}_distance"]] = generator.choice([0.1, 0.5, 0.5], count)
    return obs, (generator.random((count, len(LAYOUT.intents))) < 0.75).astype(np.uint8)


class Peer:
    """The same tree in py_trees, for one NPC."""

    def __init__(self, node: Node) -> None:
        self.obs = np.zeros(0, np.float32)
        self.mask = np.zeros(0, np.uint8)
        self.wanted, self._count = -1, 0
        self.root = self._build(node)

    def tick(self, obs: NDArray[np.float32], mask: NDArray[np.uint8]) -> tuple[Status, int, list[int]]:
        """Status, the intent of the last action that acted or -1, and the leaves ticked, by number in preorder."""
        self.obs, self.mask, self.wanted = obs, mask, -1
        leaves = [visited.number for visited in self.root.tick() if isinstance(visited, _Leaf)]
        return self.root.status, self.wanted, leaves

    def holds(self, text: str) -> bool:
        return bool(self.obs[LAYOUT.columns[text.split()[0]]] > 0.5)

    def _build(self, node: Node) -> py_trees.behaviour.Behaviour:
        name, number = node.name or "node", self._count
        self._count += 1
        if isinstance(node, nodes.Condition | nodes.Action):
            return _Leaf(self, node, number)
        if isinstance(node, nodes.Composite):
            return self._composite(node, name, [self._build(child) for child in node.children])
        assert isinstance(node, nodes.Decorator)
        return self._decorator(node, name, self._build(node.child))

    def _composite(
        self, node: nodes.Composite, name: str, children: list[py_trees.behaviour.Behaviour]
    ) -> py_trees.behaviour.Behaviour:
        if isinstance(node, nodes.Sequence):
            return py_trees.composites.Sequence(name, node.memory, children)
        if isinstance(node, nodes.Selector):
            return py_trees.composites.Selector(name, node.memory, children)
        assert isinstance(node, nodes.Parallel)
        policy: ParallelPolicy.Base
        if node.success == "one":
            policy = ParallelPolicy.SuccessOnOne()
        elif node.success == "all":
            policy = ParallelPolicy.SuccessOnAll(synchronise=node.synchronize)
        else:
            chosen = [child for child in children if child.name in node.success]
            policy = ParallelPolicy.SuccessOnSelected(children=chosen, synchronise=node.synchronize)
        return py_trees.composites.Parallel(name, policy, children)

    def _decorator(
        self, node: nodes.Decorator, name: str, child: py_trees.behaviour.Behaviour
    ) -> py_trees.behaviour.Behaviour:
        decorators = py_trees.decorators
        match node:
            case nodes.Inverter():
                return decorators.Inverter(name, child)
            case nodes.Map():
                names = ("success", "failure", "running")
                changed = next(word for word in names if getattr(node, word) != word)
                other = getattr(node, changed)
                return getattr(decorators, f"{changed.title()}Is{other.title()}")(name, child)
            case nodes.Repeat(cycles=cycles):
                return decorators.Repeat(name, child, cycles)
            case nodes.Retry(attempts=attempts):
                return decorators.Retry(name, child, attempts)
            case nodes.Timeout(ticks=ticks):
                assert ticks is not None
                return decorators.Timeout(name, child, ticks)
            case nodes.OneShot(on=on):
                policy = OneShotPolicy.ON_COMPLETION if on == "completion" else OneShotPolicy.ON_SUCCESSFUL_COMPLETION
                return decorators.OneShot(name, child, policy)
            case nodes.Guard(when=when):
                return decorators.EternalGuard(name, child, lambda: self.holds(when))
        raise AssertionError(node)


class _Leaf(py_trees.behaviour.Behaviour):
    """A condition or an action, as `scripted` makes them."""

    def __init__(self, peer: Peer, node: nodes.Condition | nodes.Action, number: int) -> None:
        super().__init__(node.name or "leaf")
        self._peer, self._node, self.number = peer, node, number

    def update(self) -> Status:
        if isinstance(self._node, nodes.Condition):
            return Status.SUCCESS if self._peer.holds(self._node.when) else Status.FAILURE
        intent = LAYOUT.intent_index[self._node.intent]
        if not self._peer.mask[intent]:
            return Status.FAILURE
        if self._node.until is not None and self._peer.holds(self._node.until):
            return Status.SUCCESS
        self._peer.wanted = intent
        return Status.RUNNING if self._node.until is not None else Status.SUCCESS
