"""Arithmetic, comparison and text of values, as ink and Yarn each have them. Pure; every result is bounded.

`Fault` is what goes wrong while a story is played: an author's mistake that no compiler can see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from app.modules.dialogue.stories.model import Syntax, Target, Value

WHOLE_MAX = 1 << 53
"""Beyond it a number is no whole number any more."""


class Fault(Exception):
    """A story did what cannot be done; the text says what and where."""


def shown(value: Value) -> str:
    """The value as a line says it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Target):
        return value.node
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < WHOLE_MAX else f"{value:.7g}"
    return str(value)


def truth(value: Value) -> bool:
    """Whether a condition of this value holds; an empty text does not."""
    return bool(value) if not isinstance(value, Target) else True


def number(value: Value) -> int | float:
    """The number that a value is; raises Fault for one that is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    try:
        found = float(shown(value))
    except ValueError as error:
        raise Fault(f"{shown(value)[:40]!r} is no number") from error
    return bounded(found)


def bounded(value: int | float) -> int | float:
    """The number, if it is finite and no greater than what a float holds exactly; raises Fault."""
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > WHOLE_MAX):
        raise Fault(f"a number left its range of ±{WHOLE_MAX}")
    return value


def negated(value: Value) -> Value:
    return -number(value)


def binary(op: str, left: Value, right: Value, syntax: Syntax, text_chars: int) -> Value:
    """The value of an operator other than `and` and `or`; raises Fault where the values do not fit it."""
    if op in ("==", "!="):
        return _same(left, right) == (op == "==")
    if op == "xor":
        return truth(left) != truth(right)
    if isinstance(left, str) or isinstance(right, str):
        return _texts(op, shown(left), shown(right), text_chars)
    a, b = number(left), number(right)
    if op in _COMPARES:
        return _COMPARES[op](a, b)
    if op in ("/", "%"):
        return _divided(op, a, b, syntax)
    if op not in _NUMBERS:
        raise Fault(f"{op!r} does not go with numbers")
    return bounded(_NUMBERS[op](a, b))


def _same(left: Value, right: Value) -> bool:
    if isinstance(left, str) != isinstance(right, str):
        return shown(left) == shown(right)
    return left == right


def _texts(op: str, left: str, right: str, text_chars: int) -> Value:
    match op:
        case "+":
            if len(left) + len(right) > text_chars:
                raise Fault(f"a text grew past {text_chars} characters")
            return left + right
        case "has":
            return right in left
        case "hasnt":
            return right not in left
        case _ if op in _COMPARES and _is_number(left) and _is_number(right):
            return _COMPARES[op](number(left), number(right))
        case _:
            raise Fault(f"{op!r} does not go with the text {(left if not _is_number(left) else right)[:40]!r}")


def _is_number(text: str) -> bool:
    try:
        number(text)
    except Fault:
        return False
    return True


def _divided(op: str, a: int | float, b: int | float, syntax: Syntax) -> Value:
    """Ink divides whole numbers as C does, toward zero, and the rest has the sign of what is divided."""
    if b == 0:
        raise Fault("a number is divided by 0")
    whole = syntax == "ink" and isinstance(a, int) and isinstance(b, int)
    if op == "%":
        rest = math.fmod(a, b)
        return int(rest) if whole else bounded(rest)
    if whole:
        found = abs(int(a)) // abs(int(b))
        return found if (a < 0) == (b < 0) else -found
    return bounded(a / b)


_COMPARES: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
_NUMBERS: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}
