"""Expressions of ink and Yarn: text to a tree, by a small parser of our own; nothing is ever evaluated as code.

The two languages differ in their words and in which operator binds tighter. It does not know what names mean: that is
the machine's matter, and the compilers' before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import Invalid
from app.modules.dialogue.stories.model import Binary, Call, Constant, Expr, Target, Unary, Variable

TOKENS_MAX = 200
"""Tokens of one expression."""
DIGITS_MAX = 15
"""Digits of a whole number in a story, so that every arithmetic on it is exact enough."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """`binary` maps an operator as written to (its meaning, how tight it binds)."""

    token: re.Pattern[str]
    binary: Mapping[str, tuple[str, int]]
    negations: frozenset[str]


_REST = (
    r"(?P<number>\d+(?:\.\d+)?|\.\d+)(?![A-Za-z_])|(?P<op>&&|\|\||==|!=|<=|>=|!\?|->|[-+*/%<>!(),?^])"
    r'|"(?P<text>(?:[^"\\]|\\.)*)")'
)
INK = Dialect(
    re.compile(r"\s*(?:(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)|" + _REST),
    {
        "&&": ("and", 1), "||": ("or", 1), "and": ("and", 1), "or": ("or", 1),
        "==": ("==", 2), ">=": (">=", 2), "<=": ("<=", 2), "<": ("<", 2), ">": (">", 2), "!=": ("!=", 2),
        "?": ("has", 3), "has": ("has", 3), "!?": ("hasnt", 3), "hasnt": ("hasnt", 3),
        "+": ("+", 4), "-": ("-", 5), "*": ("*", 6), "/": ("/", 7), "%": ("%", 8), "mod": ("%", 8),
    },
    frozenset({"!", "not"}),
)  # fmt: skip
YARN = Dialect(
    re.compile(r"\s*(?:(?P<name>\$?[^\W\d]\w*(?:\.[^\W\d]\w*)*)|" + _REST),
    {
        "&&": ("and", 1), "||": ("or", 1), "and": ("and", 1), "or": ("or", 1), "^": ("xor", 1), "xor": ("xor", 1),
        "==": ("==", 2), "eq": ("==", 2), "is": ("==", 2), "!=": ("!=", 2), "neq": ("!=", 2),
        "<=": ("<=", 3), "lte": ("<=", 3), ">=": (">=", 3), "gte": (">=", 3), "<": ("<", 3), "lt": ("<", 3),
        ">": (">", 3), "gt": (">", 3), "+": ("+", 4), "-": ("-", 4), "*": ("*", 5), "/": ("/", 5), "%": ("%", 5),
    },
    frozenset({"!", "not"}),
)  # fmt: skip


def parse(text: str, dialect: Dialect, place: str, line: int, nesting_max: int) -> Expr:
    """The expression that `text` says; raises Invalid naming the place and the word."""
    return _Parser(text, dialect, place, line, nesting_max).whole()


class _Parser:
    """Precedence climbing over tokens (kind, text)."""

    def __init__(self, text: str, dialect: Dialect, place: str, line: int, nesting_max: int) -> None:
        self._dialect, self._place, self._line = dialect, place, line
        self._left = nesting_max
        self._at = 0
        self._text = " ".join(text.split())
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = dialect.token.match(text, at)
            if found is None or found.lastgroup is None:
                raise self._wrong(text[at:].strip()[:20], 'write names, numbers, "text" and operators')
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
            if len(self._tokens) > TOKENS_MAX:
                raise self._wrong(found[0].strip(), f"write at most {TOKENS_MAX} names and operators in one expression")

    def whole(self) -> Expr:
        if not self._tokens:
            raise self._wrong("", "write an expression")
        found = self._binary(0)
        if self._at < len(self._tokens):
            raise self._wrong(self._tokens[self._at][1], "join two values by an operator")
        return found

    def _wrong(self, word: str, hint: str) -> Invalid:
        what = f"{word!r} is not understood" if word else "something is missing"
        return Invalid(f"{self._place}: {what} in the expression {self._text[:80]!r}", hint=hint)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, text: str) -> bool:
        kind, found = self._peek()
        if kind != "text" and found == text:
            self._at += 1
            return True
        return False

    def _binary(self, tightness: int) -> Expr:
        self._deeper()
        left = self._unary()
        while True:
            kind, word = self._peek()
            op, binds = self._dialect.binary.get(word, ("", -1)) if kind in ("op", "name") else ("", -1)
            if binds <= tightness:
                break
            self._at += 1
            left = Binary(op, left, self._binary(binds))
        self._left += 1
        return left

    def _deeper(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._wrong("(", "nest fewer brackets and operators, or name parts of it")

    def _unary(self) -> Expr:
        kind, word = self._peek()
        if kind in ("op", "name") and (word == "-" or word in self._dialect.negations):
            self._at += 1
            self._deeper()
            of = self._unary()
            self._left += 1
            if word == "-" and isinstance(of, Constant) and isinstance(of.value, int | float):
                return Constant(-of.value)
            return Unary("-" if word == "-" else "not", of)
        return self._operand()

    def _operand(self) -> Expr:
        kind, word = self._peek()
        self._at += 1
        match kind:
            case "number":
                if len(word) > DIGITS_MAX:
                    raise self._wrong(word[:20], f"write numbers of at most {DIGITS_MAX} digits")
                whole = "." not in word and self._dialect is INK
                return Constant(int(word) if whole else float(word))
            case "text":
                return Constant(re.sub(r"\\(.)", r"\1", word))
            case "name" if word in ("true", "false"):
                return Constant(word == "true")
            case "name" if self._take("("):
                return Call(word, self._arguments(), self._line)
            case "name":
                return Variable(word, self._line)
            case "op" if word == "(":
                found = self._binary(0)
                if not self._take(")"):
                    raise self._wrong(self._peek()[1], "close the bracket")
                return found
            case "op" if word == "->" and self._dialect is INK:
                kind, name = self._peek()
                self._at += 1
                if kind != "name":
                    raise self._wrong("->", "name the knot after the arrow")
                return Constant(Target(name))
            case _:
                raise self._wrong(word, 'write a name, a number, "text" or a bracket here')

    def _arguments(self) -> tuple[Expr, ...]:
        found: list[Expr] = []
        if self._take(")"):
            return ()
        while True:
            found.append(self._binary(0))
            if self._take(")"):
                return tuple(found)
            if not self._take(","):
                raise self._wrong(self._peek()[1], "separate arguments by commas and close the bracket")
