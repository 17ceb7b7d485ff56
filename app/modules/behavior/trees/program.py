"""A plan laid out flat: instructions over masks of NPCs, for the kernel.

A node becomes an instruction where it is entered and one after each of its children; results travel in registers, state
of nodes in frames by depth. Where no NPC of a block goes, `jump` leads past. It knows the kernel's tables, not numba.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.schema import F32, Schema
from app.modules.behavior.trees import spots
from app.modules.behavior.trees.expressions import Expression, Kind
from app.modules.behavior.trees.plan import Plan
from app.modules.behavior.trees.spots import Aim, Source, Spot, Status

I32 = NDArray[np.int32]


class Op(IntEnum):
    """Instructions; what a, b, c and e mean stands in the emitter of each."""

    END = 0
    TEST = 1
    ACT = 2
    WRITE = 3
    FIXED = 4
    ORDERED = 5
    SEQUENCE_NEXT = 6
    SELECTOR_NEXT = 7
    STAR = 8
    STAR_NEXT = 9
    TOGETHER = 10
    TOGETHER_NEXT = 11
    COUNTED = 12
    COUNTED_NEXT = 13
    BRANCH = 14
    BRANCH_NEXT = 15
    CASE = 16
    CHOICE = 17
    CHOICE_NEXT = 18
    MAP = 19
    CYCLE = 20
    LOOP = 21
    LOOP_NEXT = 22
    TIMED = 23
    TIMED_NEXT = 24
    COOLED = 25
    COOLED_NEXT = 26
    ONCE = 27
    ONCE_NEXT = 28
    GUARDED = 29
    GUARDED_NEXT = 30


COLUMNS = 12
"""Of an instruction: op, frame, a, b, c, e, jump, exit, node, expression, number, unused."""
OP, FRAME, A, B, C, E, JUMP, EXIT, NODE, EXPRESSION, NUMBER = range(11)
NODE_OF, INTENT, AIM, WHICH, MUST_AIM, WORD, IN_TICKS, UNTIL = range(8)
"""Columns of an action."""


@dataclass(frozen=True, slots=True)
class Program:
    """The tables of one tree, as the kernel takes them."""

    code: I32
    """(instructions, COLUMNS)"""
    ranges: I32
    """(nodes, 4) transient bits from and to, transient floats from and to"""
    acts: I32
    """(actions, 8) node, intent, aim, which, must aim, timer word, in ticks, has until"""
    expressions: I32
    """(expressions, 2) tokens from and to"""
    tokens: I32
    terms: I32
    """(terms, 4) kind, a, b, negated"""
    bounds: F32
    """(terms, 3) low, high, scale"""
    numbers: F32
    """What instructions count or write."""
    used: NDArray[np.intp]
    """Columns of observations that are read; terms and slots count in these."""
    slots: I32
    """(slots, 3) where in `used` a slot's health, trade and distance are; -1 where it is not needed"""
    cooled: I32
    """(cooldowns,) 1 where it counts ticks"""
    sizes: I32
    """nodes, frames, transient bits, all bits, keys, transient floats"""


@dataclass(slots=True)
class _Emitter:
    plan: Plan
    schema: Schema
    code: list[list[int]] = field(default_factory=list)
    acts: list[list[int]] = field(default_factory=list)
    expressions: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    terms: list[list[int]] = field(default_factory=list)
    bounds: list[tuple[float, float, float]] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    frames: int = 1
    loop: tuple[int, int] = (0, 0)
    """Nodes of the outermost loop around."""

    def emit(self, op: Op, spot: Spot, frame: int, **fields: int) -> int:
        """Add an instruction; returns its number."""
        row = [int(op), frame, 0, 0, 0, 0, 0, 0, spot.number, -1, -1, 0]
        for name, value in fields.items():
            row[_FIELDS[name]] = int(value)
        self.code.append(row)
        return len(self.code) - 1

    def kept(self, bit: int) -> int:
        """The place of a persistent bit among all."""
        return self.plan.transient_bits + bit

    def column(self, column: int) -> int:
        """Where a column of observations is among those used."""
        if column not in self.used:
            self.used.append(column)
        return self.used.index(column)

    def number(self, value: float) -> int:
        self.numbers.append(value)
        return len(self.numbers) - 1

    def expression(self, expression: Expression, node: int) -> int:
        """The number of an expression; a draw of chance is the node's own."""
        first, base = len(self.tokens), len(self.terms)
        self.tokens.extend(token if token < 0 else base + token for token in expression.tokens)
        for term in expression.terms:
            a = term.a
            if term.kind in (Kind.FEATURE, Kind.FEATURE_KEY):
                a = self.column(a)
            elif term.kind == Kind.CHANCE:
                a = node
            self.terms.append([int(term.kind), a, term.b, int(term.negated)])
            self.bounds.append((term.low, term.high, term.scale))
        self.expressions.append((first, len(self.tokens)))
        return len(self.expressions) - 1

    def node(self, spot: Spot, frame: int) -> None:
        """Emit a node with all below it."""
        self.frames = max(self.frames, frame + 1)
        _EMIT[type(spot)](self, spot, frame)

    def children(self, spot: Spot, frame: int, op: Op, enter: int, **fields: int) -> list[int]:
        """Every child followed by `op`, whose `b` is the child's place and `e` marks the last; links jumps to them."""
        after, count = [], len(spot.children)
        for at, child in enumerate(spot.children):
            self.node(child, frame + 1)
            after.append(self.emit(op, spot, frame, b=at, e=at == count - 1, **fields))
        for before, place in zip([enter, *after], after, strict=False):
            self.code[before][JUMP], self.code[before][EXIT] = place, after[-1]
        return after

    def around(self, spot: Spot, frame: int, enter: int, op: Op, **fields: int) -> None:
        """The only child, and the instruction after it, to which `enter` jumps."""
        self.node(spot.children[0], frame + 1)
        self.code[enter][JUMP] = self.emit(op, spot, frame, **fields)


_FIELDS = {
    "a": A, "b": B, "c": C, "e": E, "jump": JUMP, "exit": EXIT, "node": NODE, "expression": EXPRESSION,
    "number": NUMBER,
}  # fmt: skip


def _ordered(out: _Emitter, spot: spots.Ordered, frame: int) -> None:
    """a: first resume bit or -1; b: their count; c: the seen bit. After children: a: its resume bit, b: the next's."""
    count = len(spot.children)
    enter = out.emit(Op.ORDERED, spot, frame, a=spot.resume, b=count - 1, c=spot.seen)
    op = Op.SEQUENCE_NEXT if spot.passes == Status.SUCCESS else Op.SELECTOR_NEXT
    for at, place in enumerate(out.children(spot, frame, op, enter, c=spot.seen)):
        bits = (spot.resume + at - 1 if at else -1, spot.resume + at) if spot.resume >= 0 else (-1, -1)
        out.code[place][A], out.code[place][B] = bits


def _star(out: _Emitter, spot: spots.Star, frame: int) -> None:
    """a: first persistent bit; c: how many."""
    bits = {"a": out.kept(spot.kept), "c": len(spot.children) - 1}
    out.children(spot, frame, Op.STAR_NEXT, out.emit(Op.STAR, spot, frame, **bits), **bits)


def _together(out: _Emitter, spot: spots.Together, frame: int) -> None:
    """a: first bit of those done or -1; c: 1 wanted, 2 any of them is enough."""
    enter = out.emit(Op.TOGETHER, spot, frame, a=spot.done)
    for at, place in enumerate(out.children(spot, frame, Op.TOGETHER_NEXT, enter, a=spot.done)):
        out.code[place][C] = int(spot.wanted[at]) + 2 * int(spot.any_of)


def _counted(out: _Emitter, spot: spots.Counted, frame: int) -> None:
    """a: first of two bits per child; c: children; `number`: successes, lenient, failures, full."""
    first = out.number(float(spot.successes))
    for value in (spot.lenient, spot.failures, spot.full):
        out.number(float(value))
    fields = {"a": spot.done, "c": len(spot.children), "number": first}
    out.children(spot, frame, Op.COUNTED_NEXT, out.emit(Op.COUNTED, spot, frame, **fields), **fields)


def _branch(out: _Emitter, spot: spots.Branch, frame: int) -> None:
    """a: first of two resume bits or -1; c: 1 with an else."""
    fields = {"a": spot.resume, "c": int(len(spot.children) == 3)}
    out.children(spot, frame, Op.BRANCH_NEXT, out.emit(Op.BRANCH, spot, frame, **fields), **fields)


def _choice(out: _Emitter, spot: spots.Choice, frame: int) -> None:
    """A CASE for each case (b: its place), then CHOICE (b: the last place)."""
    for at, case in enumerate(spot.cases):
        out.emit(Op.CASE, spot, frame, b=at, expression=out.expression(case, spot.number))
    enter = out.emit(Op.CHOICE, spot, frame, b=len(spot.cases))
    out.children(spot, frame, Op.CHOICE_NEXT, enter)


def _mapped(out: _Emitter, spot: spots.Mapped, frame: int) -> None:
    """a, b, c: what success, failure and running become."""
    out.node(spot.children[0], frame)
    a, b, c = spot.to
    out.emit(Op.MAP, spot.children[0], frame, a=a, b=b, c=c)


def _cycled(out: _Emitter, spot: spots.Cycled, frame: int) -> None:
    """a: first bit of the count; b: its width; c: the limit or 0; e: the status that counts."""
    fields = {"a": spot.counter, "b": spot.width, "c": spot.limit, "e": int(spot.counts)}
    child = spot.children[0]
    if not spot.at_once:
        out.node(child, frame)
        out.emit(Op.CYCLE, child, frame, **fields)
        return
    outermost = out.loop == (0, 0)
    if outermost:
        out.loop = (child.number, spots.walk(child)[-1].number + 1)
    enter = out.emit(Op.LOOP, spot, frame)
    out.node(child, frame + 1)
    out.emit(Op.LOOP_NEXT, child, frame, jump=enter + 1, **fields)
    if outermost:
        out.loop = (0, 0)


def _timed(out: _Emitter, spot: spots.Timed, frame: int) -> None:
    """a: the word; b: the mode; c: in ticks; `number`: 1 + the limit."""
    fields = {"a": spot.word, "b": int(spot.mode), "c": int(spot.in_ticks), "number": out.number(1.0 + spot.limit)}
    enter = out.emit(Op.TIMED, spot, frame, **fields)
    out.around(spot, frame, enter, Op.TIMED_NEXT, node=spot.children[0].number, **fields)


def _cooled(out: _Emitter, spot: spots.Cooled, frame: int) -> None:
    """a: the word; `number`: the limit."""
    fields = {"a": spot.word, "number": out.number(spot.limit)}
    out.around(spot, frame, out.emit(Op.COOLED, spot, frame, **fields), Op.COOLED_NEXT, **fields)


def _once(out: _Emitter, spot: spots.Once, frame: int) -> None:
    """a: first of two persistent bits; b: success alone is an end; c: skipped from then on."""
    fields = {"a": out.kept(spot.kept), "b": int(spot.on_success), "c": int(spot.then_skip)}
    out.around(spot, frame, out.emit(Op.ONCE, spot, frame, **fields), Op.ONCE_NEXT, **fields)


def _guarded(out: _Emitter, spot: spots.Guarded, frame: int) -> None:
    """a: the running bit or -1; b: the status otherwise."""
    fields = {"a": spot.running, "b": int(spot.otherwise)}
    enter = out.emit(Op.GUARDED, spot, frame, expression=out.expression(spot.when, spot.number), **fields)
    out.around(spot, frame, enter, Op.GUARDED_NEXT, **fields)


def _leaf(out: _Emitter, op: Op, spot: Spot, frame: int, **fields: int) -> None:
    """Jump and exit: the nodes of the outermost loop around, or 0 and 0."""
    out.emit(op, spot, frame, jump=out.loop[0], exit=out.loop[1], **fields)


def _test(out: _Emitter, spot: spots.Test, frame: int) -> None:
    _leaf(out, Op.TEST, spot, frame, expression=out.expression(spot.when, spot.number))


def _act(out: _Emitter, spot: spots.Act, frame: int) -> None:
    """a: the action; `number`: 1 + its limit."""
    until = out.expression(spot.until, spot.number) if spot.until is not None else -1
    if spot.aim != Aim.NONE:
        for slot in range(out.schema.slots):
            if out.schema.aims[spot.intent, slot]:
                trades, distance = out.schema.aim_columns[slot].tolist()
                for column in (out.schema.slot_columns[slot], distance, *[trades] * (spot.aim == Aim.TRADER)):
                    out.column(int(column))
    flags = (int(spot.must_aim), spot.word, int(spot.in_ticks), int(spot.until is not None))
    out.acts.append([spot.number, spot.intent, int(spot.aim), spot.which, *flags])
    number = out.number(1.0 + spot.limit)
    _leaf(out, Op.ACT, spot, frame, a=len(out.acts) - 1, expression=until, number=number)


def _write(out: _Emitter, spot: spots.Write, frame: int) -> None:
    """a: the key; b: adds; c: the source; e: which key or column; `number`: the value or factor."""
    which = out.column(spot.which) if spot.source == Source.FEATURE else spot.which
    fields = {"a": spot.key, "b": int(spot.adds), "c": int(spot.source), "e": which}
    _leaf(out, Op.WRITE, spot, frame, number=out.number(spot.value), **fields)


def _fixed(out: _Emitter, spot: spots.Fixed, frame: int) -> None:
    _leaf(out, Op.FIXED, spot, frame, a=int(spot.status))


_EMIT: dict[type[Spot], Callable[[_Emitter, Any, int], None]] = {
    spots.Ordered: _ordered, spots.Star: _star, spots.Together: _together, spots.Counted: _counted,
    spots.Branch: _branch, spots.Choice: _choice, spots.Mapped: _mapped, spots.Cycled: _cycled, spots.Timed: _timed,
    spots.Cooled: _cooled, spots.Once: _once, spots.Guarded: _guarded, spots.Test: _test, spots.Act: _act,
    spots.Write: _write, spots.Fixed: _fixed,
}  # fmt: skip


def lay_out(plan: Plan, schema: Schema) -> Program:
    """The tables of a plan."""
    out = _Emitter(plan, schema)
    out.node(plan.root, 0)
    out.emit(Op.END, plan.root, 0)
    every = spots.walk(plan.root)
    slots = []
    for slot in range(schema.slots):
        columns = (int(schema.slot_columns[slot]), *(int(column) for column in schema.aim_columns[slot]))
        slots.append([out.used.index(column) if column in out.used else -1 for column in columns])
    return Program(
        code=np.array(out.code, np.int32),
        ranges=np.array([[*spot.bits, *spot.floats] for spot in every], np.int32),
        acts=np.array(out.acts, np.int32).reshape(-1, 8),
        expressions=np.array(out.expressions, np.int32).reshape(-1, 2),
        tokens=np.array(out.tokens, np.int32),
        terms=np.array(out.terms, np.int32).reshape(-1, 4),
        bounds=np.array(out.bounds, np.float32).reshape(-1, 3),
        numbers=np.array(out.numbers, np.float32),
        used=np.array(out.used, np.intp),
        slots=np.array(slots, np.int32).reshape(-1, 3),
        cooled=np.array([spot.in_ticks for spot in plan.cooled], np.int32),
        sizes=np.array(
            [plan.count, out.frames, plan.transient_bits, plan.bits, len(plan.keys), plan.transient_floats], np.int32
        ),
    )
