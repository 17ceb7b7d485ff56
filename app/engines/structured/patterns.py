"""Regular expressions of a stranger, matched in time that grows with text times pattern, whatever they say.

Thompson's construction (1968, "Regular expression search algorithm"): a pattern becomes an automaton, and all its
states are followed at once, so nothing is ever tried again. It takes the regular part of ECMA-262, as JSON Schema
recommends: no back-reference and no look-around, which are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.errors import Invalid

Test = Callable[[str], bool]
REPEATS_MAX = 1_000
DEPTH_MAX = 50
_SPACE = " \t\n\r\f\v\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_LINE_ENDS = "\n\r\u2028\u2029"


def _digit(sign: str) -> bool:
    return "0" <= sign <= "9"


def _word(sign: str) -> bool:
    return sign.isascii() and (sign.isalnum() or sign == "_")


def _space(sign: str) -> bool:
    return sign in _SPACE


_CLASSES: dict[str, Test] = {
    "d": _digit,
    "w": _word,
    "s": _space,
    "D": lambda sign: not _digit(sign),
    "W": lambda sign: not _word(sign),
    "S": lambda sign: not _space(sign),
}


@dataclass(slots=True)
class _State:
    """Where the automaton can be: it reads a sign that passes `test`, or goes on at once where `at` holds."""

    test: Test | None = None
    at: str = ""
    """An assertion: `^`, `$`, `b` or `B`; empty always holds."""
    then: list[int] = field(default_factory=list)


class Pattern:
    """A compiled pattern. Raises Invalid for one that is broken, irregular or too large."""

    def __init__(self, source: str, *, states_max: int) -> None:
        self._source = source
        self._at = 0
        self._states_max = states_max
        self._states: list[_State] = []
        start, ends = self._choice(0)
        if self._at < len(source):
            raise self._wrong("has a ) too many")
        self._start = start
        self._accept = self._new()
        self._join(ends, self._accept)

    def found_in(self, text: str, spend: Callable[[int], None] = lambda _steps: None) -> bool:
        """Whether the pattern matches anywhere in the text; `spend` is told of each step's size and may raise."""
        states: set[int] = set()
        for at in range(len(text) + 1):
            self._reach(self._start, text, at, states)
            if self._accept in states:
                return True
            if at == len(text):
                return False
            spend(len(states))
            sign = text[at]
            after: set[int] = set()
            for number in states:
                state = self._states[number]
                if state.test is not None and state.test(sign):
                    for then in state.then:
                        self._reach(then, text, at + 1, after)
            states = after
        return False

    def _reach(self, number: int, text: str, at: int, into: set[int]) -> None:
        """Add a state, and all that are reached from it without reading."""
        waiting = [number]
        while waiting:
            here = waiting.pop()
            if here in into:
                continue
            state = self._states[here]
            if state.at and not _holds(state.at, text, at):
                continue
            into.add(here)
            if state.test is None:
                waiting.extend(state.then)

    def _new(self, test: Test | None = None, at: str = "") -> int:
        if len(self._states) >= self._states_max:
            raise self._wrong(f"needs more than {self._states_max} states")
        self._states.append(_State(test, at))
        return len(self._states) - 1

    def _join(self, ends: list[int], to: int) -> None:
        for end in ends:
            self._states[end].then.append(to)

    def _choice(self, depth: int) -> tuple[int, list[int]]:
        """Alternatives: the state where they begin, and those where they end."""
        if depth > DEPTH_MAX:
            raise self._wrong("is nested too deep")
        start, ends = self._sequence(depth)
        while self._take("|"):
            fork = self._new()
            other, more = self._sequence(depth)
            self._states[fork].then = [start, other]
            start, ends = fork, ends + more
        return start, ends

    def _sequence(self, depth: int) -> tuple[int, list[int]]:
        start = self._new()
        ends = [start]
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            begin, more = self._repeated(depth)
            self._join(ends, begin)
            ends = more
        return start, ends

    def _repeated(self, depth: int) -> tuple[int, list[int]]:
        from_at = self._at
        begin, ends = self._atom(depth)
        bounds = self._bounds()
        if bounds is None:
            return begin, ends
        self._take("?")  # lazy or greedy: whether it matches is the same
        if self._at < len(self._source) and self._source[self._at] in "*+?":
            raise self._wrong("repeats a repetition")
        return self._copies(from_at, depth, (begin, ends), bounds)

    def _copies(
        self, from_at: int, depth: int, first: tuple[int, list[int]], bounds: tuple[int, int | None]
    ) -> tuple[int, list[int]]:
        """The atom as often as its bounds say; the `first` copy is there, the others are read again from `from_at`."""
        (least, most), until_at = bounds, self._at
        copies = [first]
        for _ in range(max(least, 1 if most is None else most) - 1):
            self._at = from_at
            copies.append(self._atom(depth))
        self._at = until_at
        start = self._new()
        ends, over = [start], []
        for number, (begin, more) in enumerate(copies if most is None or most else []):
            if number >= least:
                over += ends
            self._join(ends, begin)
            ends = more
        if most is None:
            self._join(ends, copies[-1][0])
        return start, over + ends

    def _bounds(self) -> tuple[int, int | None] | None:
        """How often the atom before comes: (least, most or None); None where nothing is said."""
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        if not self._source.startswith("{", self._at):
            return None
        close = self._source.find("}", self._at)
        first, comma, second = self._source[self._at + 1 : max(close, 0)].partition(",")
        if not first.isdecimal() or (second and not second.isdecimal()):
            raise self._wrong("has a { that begins no repetition")
        self._at = close + 1
        least = int(first[:9])
        most = int(second[:9]) if second else None if comma else least
        if max(least, most or 0) > REPEATS_MAX or (most is not None and most < least):
            raise self._wrong(f"repeats other than 0 to {REPEATS_MAX} times")
        return least, most

    def _atom(self, depth: int) -> tuple[int, list[int]]:
        sign = self._next()
        if sign == "(":
            return self._group(depth)
        if sign in "^$":
            state = self._new(at=sign)
        elif sign == ".":
            state = self._new(lambda seen: seen not in _LINE_ENDS)
        elif sign == "[":
            state = self._new(self._set())
        elif sign == "\\":
            state = self._escaped()
        elif sign in "*+?{":
            raise self._wrong(f"has a {sign} after nothing")
        else:
            state = self._new(_just(sign))
        return state, [state]

    def _group(self, depth: int) -> tuple[int, list[int]]:
        if self._take("?"):
            if self._take("<") and not self._source.startswith(("=", "!"), self._at):
                self._at = self._source.find(">", self._at) + 1 or len(self._source)
            elif not self._take(":"):
                raise self._wrong("looks around, or has a group of an unknown kind")
        found = self._choice(depth + 1)
        if not self._take(")"):
            raise self._wrong("has a ( that is not closed")
        return found

    def _escaped(self) -> int:
        sign = self._next()
        if sign in "bB":
            return self._new(at=sign)
        return self._new(self._escape(sign))

    def _escape(self, sign: str) -> Test:
        """What an escape stands for, inside a set or outside."""
        if sign in _CLASSES:
            return _CLASSES[sign]
        return _just(self._literal(sign))

    def _literal(self, sign: str) -> str:
        if sign in _CONTROLS:
            return _CONTROLS[sign]
        if sign in "xu":
            size = 2 if sign == "x" else 4
            code = self._source[self._at : self._at + size]
            if len(code) != size or not all(digit in "0123456789abcdefABCDEF" for digit in code):
                raise self._wrong(f"has a \\{sign} without {size} hexadecimal digits")
            self._at += size
            return chr(int(code, 16))
        if sign.isalnum():
            raise self._wrong(f"has \\{sign}, which is not regular or not known")
        return sign

    def _set(self) -> Test:
        """What stands between brackets."""
        inverted = self._take("^")
        tests: list[Test] = []
        while not self._take("]"):
            sign = self._next()
            if sign == "\\":
                sign = self._next()
                if sign in _CLASSES:
                    tests.append(_CLASSES[sign])
                    continue
                sign = "\b" if sign == "b" else self._literal(sign)
            tests.append(self._range(sign))
        return lambda seen: any(test(seen) for test in tests) != inverted

    def _range(self, first: str) -> Test:
        source, at = self._source, self._at
        if not source.startswith("-", at) or source.startswith("-]", at):
            return _just(first)
        self._at += 1
        last = self._next()
        if last == "\\":
            sign = self._next()
            if sign in _CLASSES:
                raise self._wrong("has a range that ends on a class")
            last = self._literal(sign)
        if last < first:
            raise self._wrong("has a range that runs backward")
        return lambda seen: first <= seen <= last

    def _take(self, sign: str) -> bool:
        if self._source.startswith(sign, self._at):
            self._at += 1
            return True
        return False

    def _next(self) -> str:
        if self._at >= len(self._source):
            raise self._wrong("breaks off")
        self._at += 1
        return self._source[self._at - 1]

    def _wrong(self, what: str) -> Invalid:
        return Invalid(f"pattern {self._source[:80]!r} {what}", hint="use a regular part of ECMA-262")


def _just(sign: str) -> Test:
    return lambda seen: seen == sign


def _holds(assertion: str, text: str, at: int) -> bool:
    if assertion == "^":
        return at == 0
    if assertion == "$":
        return at == len(text)
    edge = (at > 0 and _word(text[at - 1])) != (at < len(text) and _word(text[at]))
    return edge == (assertion == "b")
