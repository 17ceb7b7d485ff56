"""Expressions of conditions: comparisons of features and blackboard keys, chance, joined by and, or, not.

It parses text into terms that are intervals (`low <= value <= high`), which every ticker evaluates alike, and evaluates
them for one row; `kernels.py` does so for many. It does not know nodes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from app.core.errors import nearest
from app.modules.behavior.schema import F32, Schema
from app.modules.behavior.trees.limits import wrong

EQUAL = 1e-5
"""How far apart two encoded values or keys may be that are equal."""
AND, OR, NOT = -1, -2, -3
"""Tokens of a postfix expression; 0 and more is the number of a term."""
STACK_MAX = 16
"""Values that an expression may hold back at once."""
CHANCES = 1 << 24
"""Parts of a probability."""
MASK_64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<name>[@A-Za-z_][\w]*)|\{(?P<key>[@A-Za-z_]\w*)\}"
    r"|'(?P<text>[^']*)'|(?P<op>&&|\|\||==|!=|<=|>=|[<>!()\-,]))"
)
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_WORDS = {"and": "&&", "or": "||", "not": "!"}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class Kind(IntEnum):
    """What a term measures; `a` and `b` are columns or keys."""

    FEATURE = 0
    """obs[a]"""
    KEY = 1
    """keys[a]"""
    KEYS = 2
    """keys[a] - keys[b]"""
    FEATURE_KEY = 3
    """obs[a] * scale - keys[b]"""
    CHANCE = 4
    """a draw below b / 2**24"""


@dataclass(frozen=True, slots=True)
class Term:
    """True where low <= value <= high; the other way round where `negated`."""

    kind: Kind
    a: int
    b: int = 0
    low: float = -np.inf
    high: float = np.inf
    scale: float = 1.0
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """A postfix program over terms."""

    text: str
    tokens: tuple[int, ...]
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A name that is a feature of the schema."""

    number: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A name that is a key of the blackboard."""

    number: int


Named = Column | Cell | float


class Names(Protocol):
    """What names mean where an expression stands."""

    @property
    def schema(self) -> Schema: ...

    def find(self, name: str) -> Named | None:
        """A feature, a key or a number; None where the name means nothing."""
        ...

    def known(self) -> Iterator[str]:
        """All names, for a hint."""
        ...


def word_value(text: str) -> float:
    """The number that stands for a text on a blackboard, the same in every tree; whole, so that float32 holds it."""
    return float(zlib.crc32(text.encode()) % (1 << 23) + (1 << 23))


def as_number(text: str) -> float | None:
    """The number that a text is, or None; `nan` and `inf` are names."""
    return float(text) if _NUMBER.fullmatch(text) else None


def parse(text: str, names: Names, place: str) -> Expression:
    """The expression that `text` says; raises Invalid with the place, the column and the nearest known name."""
    return _Parser(text, names, place).whole()


class _Parser:
    """Recursive descent: or, and, not, comparison, operand."""

    def __init__(self, text: str, names: Names, place: str) -> None:
        self._text, self._names, self._place = text, names, place
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        self._out: list[int] = []
        self._terms: list[Term] = []
        self._depth = 0

    def whole(self) -> Expression:
        at = 0
        while self._text[at:].strip():
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                raise self._wrong(f"{self._text[at:].strip()[:20]!r}", at, "write comparisons such as hunger > 0.6")
            kind, value = found.lastgroup, found[found.lastgroup]
            kind, value = ("op", _WORDS[value]) if kind == "name" and value in _WORDS else (kind, value)
            self._tokens.append((kind, value, found.start(found.lastgroup)))
            at = found.end()
        self._either()
        if self._at < len(self._tokens):
            raise self._wrong(
                f"{self._tokens[self._at][1]!r}", self._tokens[self._at][2], "join comparisons by and, or"
            )
        return Expression(self._text, tuple(self._out), tuple(self._terms))

    def _wrong(self, what: str, at: int, hint: str) -> Exception:
        return wrong(self._place, f"{what} at column {at + 1} of {self._text!r}", hint)

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "the end", len(self._text))

    def _take(self, op: str) -> bool:
        taken = self._peek()[:2] == ("op", op)
        self._at += taken
        return taken

    def _expect(self, op: str) -> None:
        _, value, at = self._peek()
        if not self._take(op):
            raise self._wrong(f"{value!r}", at, f"expected {op!r}")

    def _either(self) -> None:
        self._depth += 1
        if self._depth > STACK_MAX // 2:
            raise self._wrong("too many parentheses", self._peek()[2], f"at most {STACK_MAX // 2 - 1} within another")
        self._both()
        while self._take("||"):
            self._both()
            self._out.append(OR)
        self._depth -= 1

    def _both(self) -> None:
        self._single()
        while self._take("&&"):
            self._single()
            self._out.append(AND)

    def _single(self) -> None:
        turned = 0
        while self._take("!"):
            turned += 1
        if self._take("("):
            self._either()
            self._expect(")")
        else:
            self._compare()
        if turned % 2:
            self._out.append(NOT)

    def _compare(self) -> None:
        if self._peek()[:2] == ("name", "chance"):
            self._add(self._chance())
            return
        start = self._peek()[2]
        left = self._operand()
        op = self._peek()[1]
        if self._peek()[0] == "op" and op in _MIRROR:
            self._at += 1
            self._add(self._term(left, op, self._operand(), start))
        else:
            self._add(self._term(left, "!=", 0.0, start))

    def _add(self, term: Term) -> None:
        self._out.append(len(self._terms))
        self._terms.append(term)

    def _chance(self) -> Term:
        self._at += 1
        self._expect("(")
        at = self._peek()[2]
        share = self._operand()
        self._expect(")")
        if not isinstance(share, float) or not 0.0 <= share <= 1.0:
            raise self._wrong("a chance that is not a number from 0 to 1", at, "such as chance(0.25)")
        return Term(Kind.CHANCE, 0, round(share * CHANCES))

    def _operand(self) -> Named:
        minus = self._take("-")
        kind, value, at = self._peek()
        self._at += 1
        if kind == "number":
            return -float(value) if minus else float(value)
        if kind == "text" and not minus:
            return word_value(value)
        if kind not in ("name", "key") or minus:
            raise self._wrong(f"{value!r}", at, "expected a name or a number; there is no arithmetic in expressions")
        if value in ("true", "false"):
            return float(value == "true")
        found = self._names.find(value)
        if found is None:
            raise self._wrong(f"the unknown name {value!r}", at, nearest(value, self._names.known()))
        return found

    def _term(self, left: Named, op: str, right: Named, at: int) -> Term:
        if isinstance(left, float) and not isinstance(right, float):
            return self._term(right, _MIRROR[op], left, at)
        if isinstance(left, Cell) and isinstance(right, Column):
            return self._term(right, _MIRROR[op], left, at)
        low, high, turned = _interval(op, 0.0)
        match left, right:
            case float(), float():
                low, high, turned = _interval(op, right)
                holds = (low <= left <= high) != turned
                return Term(Kind.CHANCE, 0, CHANCES if holds else 0)
            case Column(number), float(value):
                return self._feature(number, op, value, at)
            case Cell(number), float(value):
                low, high, turned = _interval(op, value)
                return Term(Kind.KEY, number, low=low, high=high, negated=turned)
            case Cell(a), Cell(b):
                return Term(Kind.KEYS, a, b, low, high, negated=turned)
            case Column(number), Cell(b):
                feature = self._names.schema.features[number]
                if feature.scale != "linear":
                    hint = "compare it with a number, or use a feature of a linear scale"
                    raise self._wrong(f"{feature.name!r} of a logarithmic scale beside a key", at, hint)
                return Term(Kind.FEATURE_KEY, number, b, low, high, float(np.float32(feature.high)), turned)
        raise self._wrong("two features", at, "compare a feature with a number or a key")

    def _feature(self, number: int, op: str, value: float, at: int) -> Term:
        feature = self._names.schema.features[number]
        if not feature.low <= value <= feature.high:
            hint = f"it lies in {feature.low:g} .. {feature.high:g} {feature.unit}"
            raise self._wrong(f"{feature.name!r} beside {value!r}", at, hint)
        low, high, turned = _interval(op, feature.encode(value))
        return Term(Kind.FEATURE, number, low=low, high=high, negated=turned)


def _interval(op: str, value: float) -> tuple[float, float, bool]:
    """The float32 bounds of what compares so, and whether they are turned around."""
    edge, infinite = np.float32(value), np.float32(np.inf)
    match op:
        case ">":
            return float(np.nextafter(edge, infinite)), np.inf, False
        case ">=":
            return float(edge), np.inf, False
        case "<":
            return -np.inf, float(np.nextafter(edge, -infinite)), False
        case "<=":
            return -np.inf, float(edge), False
    return float(edge - np.float32(EQUAL)), float(edge + np.float32(EQUAL)), op == "!="


def mix(value: int) -> int:
    """Splitmix64's finalizer (Steele, Lea and Flood 2014) of a number below 2**64."""
    z = (value + 1) * GOLDEN & MASK_64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK_64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK_64
    return z ^ (z >> 31)


def tick_seed(seed: int, tick: int) -> int:
    """What the draws of one tick have in common."""
    return mix((seed ^ mix(tick & MASK_64)) & MASK_64)


def draw(ticked: int, handle: int, node: int) -> int:
    """A number below 2**24 for a tick's seed, an NPC and a node."""
    return mix((ticked + handle + node * GOLDEN) & MASK_64) >> 40


def holds(expression: Expression, obs: F32, keys: list[np.float32], drawn: int) -> bool:
    """Whether it is true of one row: `obs` (features,), its blackboard, and the draw of the node."""
    stack: list[bool] = []
    for token in expression.tokens:
        if token >= 0:
            stack.append(_true(expression.terms[token], obs, keys, drawn))
        elif token == NOT:
            stack.append(not stack.pop())
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(left and right if token == AND else left or right)
    return stack.pop()


def _true(term: Term, obs: F32, keys: list[np.float32], drawn: int) -> bool:
    match term.kind:
        case Kind.CHANCE:
            return drawn < term.b
        case Kind.FEATURE:
            value = obs[term.a]
        case Kind.KEY:
            value = keys[term.a]
        case Kind.KEYS:
            value = keys[term.a] - keys[term.b]
        case Kind.FEATURE_KEY:
            value = obs[term.a] * np.float32(term.scale) - keys[term.b]
    return bool(np.float32(term.low) <= value <= np.float32(term.high)) != term.negated
