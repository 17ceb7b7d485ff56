"""Trees in the manner of Beehave (Godot) from JSON to native nodes.

Beehave keeps its trees in scenes; this is their nodes as JSON, by class name (`SelectorReactiveComposite`) or short
(`selector_reactive`). What a leaf means is in `meanings.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from app.core.errors import Invalid, nearest
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.limits import TreeLimits, wrong
from app.modules.behavior.trees.meanings import Meanings, leaf, literal, snake
from app.modules.behavior.trees.nodes import Authored, Cycles, Key, Label, Node, Text, Time

SUFFIXES = ("_composite", "_decorator", "_leaf")
OPERATORS = ("==", "!=", ">", "<", ">=", "<=")
"""In the order of Beehave's own numbers."""


class Hive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node; which fields it needs depends on its type."""

    type: Label
    name: Label = ""
    children: Annotated[tuple[Hive, ...], msgspec.Meta(max_length=256)] = ()
    max_count: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    """limiter: ticks that the child may take"""
    repetitions: Cycles = 1
    """repeater"""
    wait_time: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0
    """cooldown, delayer, time_limiter: seconds"""
    key: Key | None = None
    value: float | Text | None = None
    left_operand: float | Text | None = None
    operator: int | Text = "=="
    right_operand: float | Text | None = None
    when: Text | None = None
    """condition: an expression of our own"""
    intent: Label | None = None
    """action: an intent of the schema, with target, until and seconds"""
    target: Label = "nearest"
    until: Text | None = None
    seconds: Time | None = None


class HiveFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: its root, and the keys of its blackboard with their first values."""

    root: Hive
    blackboard: Annotated[dict[Key, float], msgspec.Meta(max_length=256)] = {}
    meanings: Meanings = Meanings()


def read_beehave(data: bytes, schema: Schema, meanings: Meanings, limits: TreeLimits) -> Authored:
    """The native form of a file; raises Invalid with the path of node names and the nearest known name."""
    if len(data) > limits.source_bytes_max:
        raise Invalid(f"the file has {len(data)} bytes", hint=f"at most {limits.source_bytes_max}")
    try:
        file = msgspec.json.decode(data, type=HiveFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the tree cannot be read: {error}", hint="see docs/how-to/behavior-trees.md") from error
    given = Meanings(
        conditions={**meanings.conditions, **file.meanings.conditions},
        actions={**meanings.actions, **file.meanings.actions},
    )
    board = {**meanings.blackboard, **file.meanings.blackboard, **file.blackboard}
    root = _Reader(schema, given).node(file.root, file.root.name or file.root.type, limits.depth_max)
    return Authored(schema=schema.name, root="main", trees={"main": root}, blackboard=board)


class _Reader:
    """Turns nodes into nodes."""

    def __init__(self, schema: Schema, meanings: Meanings) -> None:
        self._schema, self._meanings = schema, meanings

    def node(self, hive: Hive, path: str, depth: int) -> Node:
        """A node with all below it."""
        if depth == 0:
            raise wrong(path, "too many nodes from the root", "make the tree flatter")
        kind = _short(hive.type)
        below = tuple(self.node(child, f"{path}/{child.name or child.type}", depth - 1) for child in hive.children)
        if kind in _COMPOSITES:
            if not below:
                raise wrong(path, "no children", "give it one at least")
            return _COMPOSITES[kind](hive.name, below)
        if kind in _DECORATORS:
            if len(below) != 1:
                raise wrong(path, f"{len(below)} children", "expected exactly one")
            return _DECORATORS[kind](hive, below[0])
        if below:
            raise wrong(path, f"the unknown node {hive.type!r} with children", nearest(kind, _COMPOSITES | _DECORATORS))
        return self._leaf(hive, kind, path)

    def _leaf(self, hive: Hive, kind: str, path: str) -> Node:
        if hive.when is not None:
            return nodes.Condition(name=hive.name, when=hive.when)
        if hive.intent is not None:
            return nodes.Action(
                name=hive.name, intent=hive.intent, target=hive.target, until=hive.until, seconds=hive.seconds
            )
        match kind:
            case "blackboard_compare_condition":
                left, right = _given(hive.left_operand, path), _given(hive.right_operand, path)
                return nodes.Condition(name=hive.name, when=f"{left} {_operator(hive.operator, path)} {right}")
            case "blackboard_has_condition":
                return nodes.Condition(name=hive.name, when=f"{_key(hive, path)} != 0")
            case "blackboard_set_action":
                value = literal(str(_given(hive.value, path)))
                return nodes.Set(name=hive.name, key=_key(hive, path), to=value)
            case "blackboard_erase_action":
                return nodes.Set(name=hive.name, key=_key(hive, path), to=0.0)
        return leaf(hive.type, hive.name, {}, self._meanings, self._schema, path)


def _short(name: str) -> str:
    found = snake(name)
    for suffix in SUFFIXES:
        found = found.removesuffix(suffix)
    return found


def _given(value: float | str | None, path: str) -> float | str:
    if value is None:
        raise wrong(path, "an operand or a value that is missing", "give it a number or a name")
    return value


def _key(hive: Hive, path: str) -> str:
    if hive.key is None:
        raise wrong(path, "no key", "name a key of the blackboard")
    return hive.key


def _operator(given: int | str, path: str) -> str:
    found = OPERATORS[given] if isinstance(given, int) and 0 <= given < len(OPERATORS) else given
    if found not in OPERATORS:
        raise wrong(path, f"the operator {given!r}", f"one of {', '.join(OPERATORS)}")
    return str(found)


def _sequence(name: str, below: tuple[Node, ...]) -> Node:
    return nodes.Sequence(name=name, memory=True, children=below)


def _selector(name: str, below: tuple[Node, ...]) -> Node:
    return nodes.Selector(name=name, memory=True, children=below)


_COMPOSITES: dict[str, Callable[[str, tuple[Node, ...]], Node]] = {
    "sequence": _sequence,
    "sequence_reactive": lambda name, below: nodes.Sequence(name=name, memory=False, children=below),
    "sequence_star": lambda name, below: nodes.StarSequence(name=name, children=below),
    "selector": _selector,
    "selector_reactive": lambda name, below: nodes.Selector(name=name, memory=False, children=below),
    "selector_star": _selector,
}
_DECORATORS: dict[str, Callable[[Hive, Node], Node]] = {
    "inverter": lambda hive, child: nodes.Inverter(name=hive.name, child=child),
    "always_succeed": lambda hive, child: nodes.ForceSuccess(name=hive.name, child=child),
    "succeeder": lambda hive, child: nodes.ForceSuccess(name=hive.name, child=child),
    "always_fail": lambda hive, child: nodes.ForceFailure(name=hive.name, child=child),
    "failer": lambda hive, child: nodes.ForceFailure(name=hive.name, child=child),
    "until_fail": lambda hive, child: nodes.UntilFail(name=hive.name, child=child),
    "repeater": lambda hive, child: nodes.Repeat(name=hive.name, child=child, cycles=hive.repetitions),
    "limiter": lambda hive, child: (
        nodes.Cutoff(name=hive.name, child=child, ticks=hive.max_count)
        if hive.max_count
        else nodes.Always(name=hive.name, status="failure")
    ),
    "time_limiter": lambda hive, child: (
        nodes.Cutoff(name=hive.name, child=child, seconds=hive.wait_time)
        if hive.wait_time
        else nodes.Always(name=hive.name, status="failure")
    ),
    "delay": lambda hive, child: _delay(hive, child),
    "delayer": lambda hive, child: _delay(hive, child),
    "cooldown": lambda hive, child: (
        nodes.Cooldown(name=hive.name, child=child, seconds=hive.wait_time) if hive.wait_time else child
    ),
}


def _delay(hive: Hive, child: Node) -> Node:
    return nodes.Delay(name=hive.name, child=child, seconds=hive.wait_time) if hive.wait_time else child
