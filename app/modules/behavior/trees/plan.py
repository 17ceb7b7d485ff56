"""From an author's nodes to numbered spots: subtrees put in place, names resolved, words of memory given out.

It checks everything that can be wrong with a tree; after it nothing can fail. It does not tick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from app.core.errors import Invalid, nearest
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees import nodes, spots
from app.modules.behavior.trees.expressions import Cell, Column, Expression, parse, word_value
from app.modules.behavior.trees.limits import CYCLES_MAX, NESTED_CYCLES_MAX, TreeLimits, wrong
from app.modules.behavior.trees.nodes import Authored, Node
from app.modules.behavior.trees.scopes import Board, Scope
from app.modules.behavior.trees.spots import Aim, Mode, Source, Spot, Status

STATUS = {"success": Status.SUCCESS, "failure": Status.FAILURE, "running": Status.RUNNING, "skipped": Status.SKIPPED}
MODES = {nodes.Delay: Mode.DELAY, nodes.Timeout: Mode.TIMEOUT, nodes.Cutoff: Mode.CUTOFF}
Cycling = nodes.Repeat | nodes.Retry | nodes.RepeatAtOnce | nodes.RetryAtOnce
_SLOT = re.compile(r"slot(\d+)$")


@dataclass(frozen=True, slots=True)
class Plan:
    """A tree ready to be ticked. Bits: transient, then kept; floats: keys, transient, then cooldowns."""

    root: Spot
    count: int
    keys: dict[str, float]
    """Keys with their first values, by number."""
    transient_bits: int
    kept_bits: int
    transient_floats: int
    cooled: tuple[spots.Cooled, ...]
    """The nodes with a cooldown, by word."""

    @property
    def bits(self) -> int:
        return self.transient_bits + self.kept_bits

    @property
    def floats(self) -> int:
        return len(self.keys) + self.transient_floats + len(self.cooled)


def make_plan(authored: Authored, schema: Schema, limits: TreeLimits) -> Plan:
    """The plan of a file; raises Invalid with the path of node names, the value and the nearest known name."""
    if authored.schema != schema.name:
        raise Invalid(f"the tree is for schema {authored.schema!r}", hint=f"this world's is {schema.name!r}")
    builder = _Builder(authored, schema, limits)
    scope = Scope.root(builder.board, authored.blackboard, "blackboard")
    root = builder.build(builder.tree(authored.root, "root"), _Place(authored.root, 1, 1, (authored.root,), scope))
    cooled = tuple(spot for spot in spots.walk(root) if isinstance(spot, spots.Cooled))
    return Plan(root, builder.count, builder.board.keys, builder.bits, builder.kept_bits, builder.floats, cooled)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands."""

    path: str
    depth: int
    cycles: int
    """How often it may run in one tick."""
    within: tuple[str, ...]
    """The trees around it."""
    scope: Scope


class _Own(TypedDict):
    """What every spot has."""

    number: int
    path: str
    label: str


class _Builder:
    """Gives out numbers and words while it walks down."""

    def __init__(self, authored: Authored, schema: Schema, limits: TreeLimits) -> None:
        self._trees, self._schema, self._limits = authored.trees, schema, limits
        self.board = Board(schema, limits.keys_max)
        self.count = self.bits = self.floats = self.kept_bits = self.cooldowns = 0

    def tree(self, name: str, place: str) -> Node:
        """A tree of the file."""
        if name not in self._trees:
            raise wrong(place, f"the unknown tree {name!r}", nearest(name, self._trees))
        return self._trees[name]

    def build(self, node: Node, at: _Place) -> Spot:
        """A node with all below it."""
        if isinstance(node, nodes.SubTree):
            return self._subtree(node, at)
        if at.depth > self._limits.depth_max:
            raise wrong(at.path, f"more than {self._limits.depth_max} nodes from the root", "make the tree flatter")
        if self.count == self._limits.nodes_max:
            raise wrong(at.path, f"more than {self._limits.nodes_max} nodes", "split the tree, or raise nodes_max")
        number, bits, floats = self.count, self.bits, self.floats
        self.count += 1
        spot = self._make(node, number, at)
        spot.bits, spot.floats = (bits, self.bits), (floats, self.floats)
        return spot

    def _subtree(self, node: nodes.SubTree, at: _Place) -> Spot:
        inner = self.tree(node.tree, at.path)
        if node.tree in at.within:
            raise wrong(at.path, f"the tree {node.tree!r} within itself", "a tree cannot hold itself")
        scope = at.scope.inside(at.path, node.remap, written_keys(inner), shares=node.autoremap)
        path = at.path if node.name else f"{at.path}:{node.tree}"
        return self.build(inner, _Place(path, at.depth, at.cycles, (*at.within, node.tree), scope))

    def _make(self, node: Node, number: int, at: _Place) -> Spot:
        if isinstance(node, nodes.Composite):
            return self._composite(node, number, at)
        if isinstance(node, nodes.Decorator):
            return self._decorator(node, number, at)
        return self._leaf(node, number, at)

    def _below(self, node: nodes.Composite, at: _Place) -> list[Spot]:
        return [self.build(child, self._step(child, index, at)) for index, child in enumerate(node.children)]

    def _step(self, child: Node, index: int, at: _Place, cycles: int = 1) -> _Place:
        label = child.name or _unnamed(child, index)
        return _Place(f"{at.path}/{label}", at.depth + 1, at.cycles * cycles, at.within, at.scope)

    def _take_bits(self, count: int) -> int:
        self.bits += count
        return self.bits - count

    def _keep_bits(self, count: int) -> int:
        self.kept_bits += count
        return self.kept_bits - count

    def _composite(self, node: nodes.Composite, number: int, at: _Place) -> Spot:
        own = _Own(number=number, path=at.path, label=label_of(node))
        match node:
            case nodes.Sequence() | nodes.Selector():
                passes = Status.SUCCESS if isinstance(node, nodes.Sequence) else Status.FAILURE
                resume = self._take_bits(len(node.children) - 1) if node.memory else -1
                below = self._below(node, at)
                seen = self._take_bits(1) if node.memory and any(map(self._skips, node.children)) else -1
                return spots.Ordered(**own, children=below, passes=passes, resume=resume, seen=seen)
            case nodes.StarSequence():
                return spots.Star(**own, children=self._below(node, at), kept=self._keep_bits(len(node.children) - 1))
            case nodes.Parallel():
                wanted, any_of = _wanted(node, at.path), node.success == "one"
                done = self._take_bits(len(wanted)) if node.synchronize and not any_of else -1
                return spots.Together(**own, children=self._below(node, at), wanted=wanted, any_of=any_of, done=done)
            case nodes.CountedParallel() | nodes.FullParallel():
                return self._counted(node, own, at)
            case nodes.IfThenElse() | nodes.WhileDoElse():
                if len(node.children) not in (2, 3):
                    raise wrong(at.path, f"{len(node.children)!r} children", "a condition, then, and perhaps else")
                resume = self._take_bits(2) if isinstance(node, nodes.IfThenElse) else -1
                return spots.Branch(**own, children=self._below(node, at), resume=resume)
            case nodes.Switch():
                return self._switch(node, own, at)
        raise TypeError(node)

    def _counted(self, node: nodes.CountedParallel | nodes.FullParallel, own: _Own, at: _Place) -> Spot:
        count = len(node.children)
        named = {"failures": node.failures}
        if isinstance(node, nodes.CountedParallel):
            named["successes"] = node.successes
        for name, value in named.items():
            if value > count:
                raise wrong(at.path, f"{name} = {value!r} of {count} children", f"at most {count}, or -1 for all")
        numbers = {name: value if value >= 0 else max(count + value + 1, 0) for name, value in named.items()}
        done = self._take_bits(2 * count)
        return spots.Counted(
            **own, children=self._below(node, at), successes=numbers.get("successes", count),
            lenient=named.get("successes", 0) < 0, failures=numbers["failures"],
            full=isinstance(node, nodes.FullParallel), done=done,
        )  # fmt: skip

    def _switch(self, node: nodes.Switch, own: _Own, at: _Place) -> Spot:
        if len(node.children) != len(node.cases) + 1:
            hint = "one child for each case and one for all others"
            raise wrong(at.path, f"{len(node.children)!r} children for {len(node.cases)} cases", hint)
        cases = tuple(self._parse(f"{node.variable} == {case}", at) for case in node.cases)
        return spots.Choice(**own, children=self._below(node, at), cases=cases)

    def _decorator(self, node: nodes.Decorator, number: int, at: _Place) -> Spot:
        own = _Own(number=number, path=at.path, label=label_of(node))

        def below() -> list[Spot]:
            return [self.build(node.child, self._step(node.child, 0, at))]

        match node:
            case nodes.Inverter() | nodes.ForceSuccess() | nodes.ForceFailure() | nodes.UntilFail() | nodes.Map():
                return spots.Mapped(**own, children=below(), to=_exchange(node))
            case nodes.Repeat() | nodes.Retry() | nodes.RepeatAtOnce() | nodes.RetryAtOnce():
                return self._cycled(node, own, at)
            case nodes.Delay() | nodes.Timeout() | nodes.Cutoff():
                limit, in_ticks = _time(node, at.path)
                self.floats += 1
                word = self.floats - 1
                return spots.Timed(
                    **own, mode=MODES[type(node)], limit=limit, in_ticks=in_ticks, word=word, children=below()
                )
            case nodes.Cooldown():
                limit, in_ticks = _time(node, at.path)
                self.cooldowns += 1
                word = self.cooldowns - 1
                return spots.Cooled(**own, limit=limit, in_ticks=in_ticks, word=word, children=below())
            case nodes.OneShot():
                kept = self._keep_bits(2)
                return spots.Once(**own, kept=kept, on_success=node.on == "success", then_skip=False, children=below())
            case nodes.RunOnce():
                kept = self._keep_bits(2)
                return spots.Once(**own, kept=kept, on_success=False, then_skip=node.then_skip, children=below())
            case nodes.Guard() | nodes.StartIf():
                running = self._take_bits(1) if isinstance(node, nodes.StartIf) else -1
                when, otherwise = self._parse(node.when, at), STATUS[node.otherwise]
                return spots.Guarded(**own, when=when, otherwise=otherwise, running=running, children=below())
        raise TypeError(node)

    def _cycled(self, node: Cycling, own: _Own, at: _Place) -> Spot:
        repeats = isinstance(node, nodes.Repeat | nodes.RepeatAtOnce)
        limit = node.cycles if isinstance(node, nodes.Repeat | nodes.RepeatAtOnce) else node.attempts
        if limit == 0:
            raise wrong(at.path, "0 times", "at least 1, or -1 for ever")
        at_once = isinstance(node, nodes.RepeatAtOnce | nodes.RetryAtOnce)
        cycles = min(limit if limit > 0 else CYCLES_MAX, CYCLES_MAX) if at_once else 1
        if at.cycles * cycles > NESTED_CYCLES_MAX:
            hint = f"let one of the loops take a cycle a tick; at most {NESTED_CYCLES_MAX} in all"
            raise wrong(at.path, f"{at.cycles * cycles} cycles in one tick, by loops within loops", hint)
        width = max(limit, 0).bit_length()
        counter = self._take_bits(width)
        child = self.build(node.child, self._step(node.child, 0, at, cycles))
        return spots.Cycled(
            **own, counts=Status.SUCCESS if repeats else Status.FAILURE, limit=max(limit, 0),
            at_once=at_once, counter=counter, width=width, children=[child],
        )  # fmt: skip

    def _leaf(self, node: Node, number: int, at: _Place) -> Spot:
        own = _Own(number=number, path=at.path, label=label_of(node))
        match node:
            case nodes.Condition():
                return spots.Test(**own, when=self._parse(node.when, at))
            case nodes.Action() | nodes.Wait():
                return self._act(node, own, at)
            case nodes.Set():
                return self._write(node.key, node.to, own, at, adds=False)
            case nodes.Add():
                return self._write(node.key, node.by, own, at, adds=True)
            case nodes.Always():
                return spots.Fixed(**own, status=STATUS[node.status])
        raise TypeError(node)

    def _act(self, node: nodes.Action | nodes.Wait, own: _Own, at: _Place) -> Spot:
        limit, in_ticks = _time(node, at.path) if node.seconds or node.ticks else (0.0, False)
        until = self._parse(node.until, at) if node.until is not None else None
        self.floats += limit > 0.0
        word = self.floats - 1 if limit > 0.0 else -1
        intent, aim, which, must = -1, Aim.NONE, 0, False
        if isinstance(node, nodes.Action):
            known = self._schema.intent_index
            if node.intent not in known:
                raise wrong(at.path, f"the unknown intent {node.intent!r}", nearest(node.intent, known))
            intent, must = known[node.intent], node.must_aim
            aim, which = self._aim(node, at)
        elif until is None and limit == 0.0:
            raise wrong(at.path, "a wait without an end", "give it until, seconds or ticks")
        return spots.Act(
            **own, intent=intent, aim=aim, which=which, must_aim=must, until=until,
            limit=limit, in_ticks=in_ticks, word=word,
        )  # fmt: skip

    def _aim(self, node: nodes.Action, at: _Place) -> tuple[Aim, int]:
        slots, target = self._schema.intents[self._schema.intent_index[node.intent]].slots, node.target
        if target == "none" and node.must_aim:
            raise wrong(at.path, "must_aim with target 'none'", "leave one of the two out")
        if target == "none" or (target == "nearest" and not slots and not node.must_aim):
            return Aim.NONE, 0
        if not slots:
            raise wrong(at.path, f"target {target!r} of {node.intent!r}, which aims at nothing", "leave target out")
        if target.startswith("{") and target.endswith("}"):
            return Aim.KEY, at.scope.key(target[1:-1], at.path)
        if found := _SLOT.match(target):
            if int(found[1]) not in slots:
                hint = f"it may aim at {', '.join(f'slot{slot}' for slot in slots)}"
                raise wrong(at.path, f"target {target!r} of {node.intent!r}", hint)
            return Aim.SLOT, int(found[1])
        words = {"nearest": Aim.NEAREST, "trader": Aim.TRADER}
        if target not in words:
            raise wrong(at.path, f"the unknown target {target!r}", nearest(target, [*words, "none", "slot0", "{key}"]))
        return words[target], 0

    def _write(self, key: str, value: float | str, own: _Own, at: _Place, *, adds: bool) -> Spot:
        number = at.scope.key(key, at.path)
        source, which = Source.NUMBER, 0
        if isinstance(value, str):
            found = word_value(value[1:-1]) if value[:1] == value[-1:] == "'" else at.scope.find(value.strip("{}"))
            match found:
                case Cell(which):
                    source, value = Source.KEY, 0.0
                case Column(which):
                    feature = self._schema.features[which]
                    if feature.scale != "linear":
                        hint = "features of a linear scale alone can be remembered"
                        raise wrong(at.path, f"{feature.name!r}, which has a logarithmic scale", hint)
                    source, value = Source.FEATURE, feature.high
                case float():
                    value = found
                case None:
                    raise wrong(at.path, f"the unknown name {value!r}", nearest(value, at.scope.known()))
        return spots.Write(**own, key=number, adds=adds, source=source, which=which, value=float(value))

    def _parse(self, text: str, at: _Place) -> Expression:
        if len(text) > self._limits.expression_chars_max:
            hint = f"at most {self._limits.expression_chars_max}"
            raise wrong(at.path, f"an expression of {len(text)} characters", hint)
        return parse(text, at.scope, at.path)

    def _skips(self, node: Node) -> bool:
        """Whether a node may answer SKIPPED."""
        match node:
            case nodes.Guard(otherwise="skipped") | nodes.StartIf(otherwise="skipped") | nodes.RunOnce(then_skip=True):
                return True
            case nodes.Always(status=status):
                return status == "skipped"
            case nodes.SubTree():
                return self._skips(self._trees[node.tree])
        return any(map(self._skips, children_of(node)))


def _unnamed(node: Node, index: int) -> str:
    """What stands in a path for a node without a name, different for each of its parent's."""
    if isinstance(node, nodes.Condition):
        return f"{node.when[:60]} #{index + 1}"
    return f"{node.intent if isinstance(node, nodes.Action) else label_of(node)} #{index + 1}"


def label_of(node: nodes.Named) -> str:
    """What the author calls this kind of node."""
    return str(type(node).__struct_config__.tag)


def children_of(node: Node) -> tuple[Node, ...]:
    """The nodes right below one, without those of subtrees."""
    if isinstance(node, nodes.Composite):
        return node.children
    return (node.child,) if isinstance(node, nodes.Decorator) else ()


def written_keys(node: Node) -> Iterator[str]:
    """The keys that a tree writes, without those of its subtrees."""
    if isinstance(node, nodes.Set | nodes.Add):
        yield node.key
    for child in children_of(node):
        yield from written_keys(child)


def _wanted(node: nodes.Parallel, place: str) -> tuple[bool, ...]:
    """Which children a parallel waits for."""
    if isinstance(node.success, str):
        return (True,) * len(node.children)
    names = [child.name for child in node.children]
    for name in node.success:
        if name not in names:
            raise wrong(place, f"success of the unknown child {name!r}", nearest(name, filter(None, names)))
    return tuple(name in node.success for name in names)


def _exchange(node: nodes.Decorator) -> tuple[Status, Status, Status]:
    """What success, failure and running become."""
    match node:
        case nodes.Inverter():
            return Status.FAILURE, Status.SUCCESS, Status.RUNNING
        case nodes.ForceSuccess():
            return Status.SUCCESS, Status.SUCCESS, Status.RUNNING
        case nodes.ForceFailure():
            return Status.FAILURE, Status.FAILURE, Status.RUNNING
        case nodes.UntilFail():
            return Status.RUNNING, Status.SUCCESS, Status.RUNNING
        case nodes.Map():
            return STATUS[node.success], STATUS[node.failure], STATUS[node.running]
    raise TypeError(node)


def _time(node: nodes.Timed | nodes.Action | nodes.Wait, place: str) -> tuple[float, bool]:
    """A time, and whether it is in ticks."""
    if (node.seconds is None) == (node.ticks is None):
        raise wrong(place, f"seconds = {node.seconds!r} and ticks = {node.ticks!r}", "give it one of the two")
    return (node.seconds, False) if node.seconds is not None else (float(node.ticks or 0), True)
