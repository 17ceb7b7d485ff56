"""A JSON Schema as a grammar of llama.cpp (GBNF), so that a model can draw nothing else than JSON of that shape.

Keys come in the schema's order, and no object has a key that the schema does not name. Texts and lists without a bound
get one, so that a model which likes to go on comes to an end. What a grammar cannot say (`pattern`, `uniqueItems`,
`multipleOf`, `not`, `if`) is left to whoever validates the answer. It knows no model and no llama.cpp.
Source: llama.cpp's `grammars/README.md`; JSON Schema 2020-12.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.core.errors import EngineDown

ROOT = "root"
SCHEMA_BYTES_MAX, DEPTH_MAX, RULES_MAX, CHOICES_MAX = 1 << 16, 24, 2_000, 1_000
TEXT_CHARACTERS_MAX, ITEMS_MAX, ANY_DEPTH = 400, 16, 3
"""Of a text and a list that the schema does not bound, and how deep a value of any shape may go."""
REPEATS_MAX = 1_000
"""The most that a bound of the schema may ask of a grammar; llama.cpp takes no more than twice as many."""
WHOLE_MAX = 10**15 - 1
"""A number without a bound; every JSON reader holds it exactly."""
FRACTION_DIGITS = 6
CHARACTER = r'([\x20-\x21\x23-\x5B\x5D-\x7E\u00A0-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF] | "\\" ["\\/bfnrt])'
"""One character of a text. `\\u` is not drawn: half of a pair would be no character, and UTF-8 has them all."""
KINDS = ("null", "boolean", "object", "array", "number", "integer", "string")


def from_schema(schema: Mapping[str, Any]) -> str:
    """The grammar whose `root` is the schema's JSON; raises EngineDown for one that is too large or cannot be read."""
    rules = Rules()
    return rules.grammar(rules.value(schema))


def literal(text: str) -> str:
    """A text as the grammar's own literal."""
    return '"' + "".join(_ESCAPES.get(sign) or (sign if sign.isprintable() else _code(sign)) for sign in text) + '"'


_ESCAPES = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _code(sign: str) -> str:
    return f"\\U{ord(sign):08X}"


class Rules:
    """The rules of one grammar, each body once; what it returns stands for a rule or is one in itself."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._bodies: dict[str, str] = {}
        self._pointers: dict[tuple[int, str], str] = {}

    def grammar(self, root: str) -> str:
        """All rules as text, beginning with `root`."""
        lines = [f"{ROOT} ::= {root}", *(f"{name} ::= {body}" for name, body in self._bodies.items())]
        return "\n".join(lines)

    def rule(self, body: str) -> str:
        """The name of the rule with that body."""
        if body not in self._names:
            self._names[body] = name = self._free()
            self._bodies[name] = body
        return self._names[body]

    def _free(self) -> str:
        if len(self._bodies) >= RULES_MAX:
            raise _refused(f"it needs more than {RULES_MAX} rules")
        name = f"r{len(self._bodies)}"
        self._bodies[name] = ""
        return name

    def value(self, schema: Mapping[str, Any]) -> str:
        """The rule of a whole schema, to whose own root its references point."""
        size = len(json.dumps(dict(schema), default=str).encode())
        if size > SCHEMA_BYTES_MAX:
            raise _refused(f"it has {size} bytes, more than {SCHEMA_BYTES_MAX}")
        return _Visit(self, schema).visit(schema, 0)

    def choice(self, bodies: Iterable[str]) -> str:
        """One of the bodies."""
        found = list(dict.fromkeys(bodies))
        if len(found) > CHOICES_MAX:
            raise _refused(f"it has {len(found)} alternatives, more than {CHOICES_MAX}")
        return found[0] if len(found) == 1 else self.rule(" | ".join(found))

    def pointer(self, root: Mapping[str, Any], ref: str) -> tuple[str, bool]:
        """The name that stands for a reference, and whether it was there before."""
        known = (id(root), ref)
        if known in self._pointers:
            return self._pointers[known], True
        self._pointers[known] = name = self._free()
        return name, False

    def define(self, name: str, body: str) -> None:
        self._bodies[name] = body


class _Visit:
    """One schema on its way into rules."""

    def __init__(self, rules: Rules, root: Mapping[str, Any]) -> None:
        self._rules, self._root = rules, root

    def visit(self, schema: Any, depth: int) -> str:
        """The rule of one schema; True and {} are a value of any shape."""
        if depth > DEPTH_MAX:
            raise _refused(f"it is more than {DEPTH_MAX} deep")
        if schema is True or schema == {}:
            return self._any(ANY_DEPTH)
        if not isinstance(schema, Mapping):
            raise _refused(f"{str(schema)[:60]!r} is no schema")
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]), depth)
        if "allOf" in schema:
            return self.visit(_merged(schema), depth + 1)
        if "const" in schema:
            return literal(_json(schema["const"]))
        if "enum" in schema:
            return self._rules.choice(literal(_json(one)) for one in schema["enum"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                rest = {key: value for key, value in schema.items() if key != word}
                ways = schema[word]
                return self._rules.choice(self.visit(_joined(rest, way), depth + 1) for way in ways)
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> str:
        kind = schema.get("type") or _implied(schema)
        if isinstance(kind, list | tuple):
            return self._rules.choice(self._typed({**schema, "type": one}, depth) for one in kind)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return self._rules.rule(_number(schema, whole=kind == "integer"))
            case "boolean":
                return self._rules.choice(('"true"', '"false"'))
            case "null":
                return '"null"'
            case None:
                return self._any(ANY_DEPTH)
            case _:
                raise _refused(f"the type {str(kind)[:60]!r} is none of {', '.join(KINDS)}")

    def _reference(self, ref: str, depth: int) -> str:
        name, known = self._rules.pointer(self._root, ref)
        if not known:
            found: Any = self._root
            for step in ref.removeprefix("#").strip("/").split("/") if ref != "#" else ():
                key = step.replace("~1", "/").replace("~0", "~")
                if not ref.startswith("#") or not isinstance(found, Mapping) or key not in found:
                    raise _refused(f"the reference {ref[:80]!r} points nowhere in it")
                found = found[key]
            self._rules.define(name, self.visit(found, depth + 1))
        return name

    def _object(self, schema: Mapping[str, Any], depth: int) -> str:
        named = dict(schema.get("properties") or {})
        needed = [str(key) for key in schema.get("required") or ()]
        named.update({key: True for key in needed if key not in named})
        if not named:
            more = schema.get("additionalProperties", True)
            if more is False:
                return '"{}"'
            least, most = _bounds(schema, "minProperties", "maxProperties", ITEMS_MAX)
            key = self._string({"minLength": 1, "maxLength": 64})
            return self._list("{", "}", self._rules.rule(f'{key} ":" " "? {self.visit(more, depth + 1)}'), least, most)
        pairs = [
            (self._rules.rule(f'{literal(_json(key))} ":" " "? {self.visit(value, depth + 1)}'), key in needed)
            for key, value in named.items()
        ]
        return self._rules.rule(f'"{{" {self._keys(pairs)} "}}"')

    def _keys(self, pairs: Sequence[tuple[str, bool]]) -> str:
        """The pairs in order, those that are not needed perhaps: from the last one, with and without one before it."""
        alone = after = '""'
        for pair, needed in reversed(pairs):
            first, other = f"{pair} {after}", f'"," " "? {pair} {after}'
            if not needed:
                first, other = f"{first} | {alone}", f"{other} | {after}"
            alone, after = self._rules.rule(first), self._rules.rule(other)
        return alone

    def _array(self, schema: Mapping[str, Any], depth: int) -> str:
        ahead = [self.visit(one, depth + 1) for one in schema.get("prefixItems") or ()]
        least, most = _bounds(schema, "minItems", "maxItems", ITEMS_MAX)
        if ahead:
            return self._rules.rule(f'"[" {_joined_by_comma(ahead)} "]"')
        if schema.get("items") is False:
            return '"[]"'
        return self._list("[", "]", self.visit(schema.get("items", True), depth + 1), least, most)

    def _list(self, opens: str, closes: str, item: str, least: int, most: int) -> str:
        if most <= 0:
            return literal(opens + closes)
        items = f'{item} ("," " "? {item}){{{max(least - 1, 0)},{most - 1}}}'
        return self._rules.rule(f'"{opens}" {items if least else f"({items})?"} "{closes}"')

    def _string(self, schema: Mapping[str, Any]) -> str:
        least, most = _bounds(schema, "minLength", "maxLength", TEXT_CHARACTERS_MAX)
        character = self._rules.rule(CHARACTER)
        return self._rules.rule(f'"\\"" {character}{{{least},{most}}} "\\""')

    def _any(self, depth: int) -> str:
        """A value of any shape, to that depth."""
        plain = [self._typed({"type": kind}, 0) for kind in ("null", "boolean", "number", "string")]
        if depth == 0:
            return self._rules.choice(plain)
        inner = self._any(depth - 1)
        pair = self._rules.rule(f'{self._string({"minLength": 1, "maxLength": 64})} ":" " "? {inner}')
        lists = [self._list("[", "]", inner, 0, ITEMS_MAX), self._list("{", "}", pair, 0, ITEMS_MAX)]
        return self._rules.choice((*plain, *lists))


def _implied(schema: Mapping[str, Any]) -> str | None:
    """The type that the other words speak of, where none is named."""
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if "minLength" in schema or "maxLength" in schema or "pattern" in schema:
        return "string"
    return "number" if "minimum" in schema or "maximum" in schema else None


def _merged(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of `allOf` as one schema; two that both bound a number or a text are not weighed against each other."""
    rest: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        rest = _joined(rest, part)
    return rest


def _joined(one: Mapping[str, Any], other: Any) -> dict[str, Any]:
    """Both as one schema."""
    if not isinstance(other, Mapping):
        raise _refused(f"{str(other)[:60]!r} is no schema")
    joined = {**one, **other}
    if "properties" in one and "properties" in other:
        joined["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        joined["required"] = [*one["required"], *other["required"]]
    return joined


def _bounds(schema: Mapping[str, Any], least: str, most: str, free: int) -> tuple[int, int]:
    low = int(schema.get(least, 0))
    high = int(schema.get(most, max(free, low)))
    if low > REPEATS_MAX or high < low:
        raise _refused(f"{least} {low} and {most} {high} leave nothing that a grammar of {REPEATS_MAX} steps can say")
    return low, min(high, REPEATS_MAX)


def _joined_by_comma(items: Sequence[str]) -> str:
    return ' "," " "? '.join(items)


def _number(schema: Mapping[str, Any], *, whole: bool) -> str:
    """A number between the schema's bounds, in decimal digits."""
    low = _limit(schema, "minimum", "exclusiveMinimum", -float(WHOLE_MAX), whole=whole, up=True)
    high = _limit(schema, "maximum", "exclusiveMaximum", float(WHOLE_MAX), whole=whole, up=False)
    if low > high:
        raise _refused(f"no number is at least {low} and at most {high}")
    ways = _wholes(math.ceil(low), math.floor(high))
    if not whole:
        ways += _fractions(low, high)
    if not ways:
        raise _refused(f"no number of {FRACTION_DIGITS} digits is at least {low} and at most {high}")
    return " | ".join(ways)


def _limit(schema: Mapping[str, Any], closed: str, opened: str, free: float, *, whole: bool, up: bool) -> float:
    """The nearest number that may be drawn: an open bound is left by the smallest step that is written."""
    step = (1.0 if whole else 10.0**-FRACTION_DIGITS) * (1 if up else -1)
    bounds = [free]
    if isinstance(schema.get(closed), int | float) and not isinstance(schema[closed], bool):
        bounds.append(float(schema[closed]))
    if isinstance(schema.get(opened), int | float) and not isinstance(schema[opened], bool):
        bound = float(schema[opened])
        bounds.append((math.floor(bound) if up else math.ceil(bound)) + step if whole else bound + step)
    return max(bounds) if up else min(bounds)


def _wholes(low: int, high: int) -> list[str]:
    """Each whole number of the range, without leading zeros."""
    ways = []
    if low < 0 <= high or high < 0:
        ways += [f'"-" ({way})' for way in _counts(max(1, -high), -low)]
    if high >= 0:
        ways += _counts(max(0, low), high)
    return ways


def _counts(low: int, high: int) -> list[str]:
    ways = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 0 if digits == 1 else 10 ** (digits - 1))
        ways.append(_span(str(least), str(min(high, 10**digits - 1))))
    return ways


def _fractions(low: float, high: float) -> list[str]:
    """Numbers with a fraction that stay in the range whatever their further digits are."""
    some = f'"." [0-9]{{1,{FRACTION_DIGITS}}}'
    ways = []
    down, up = math.ceil(low), math.floor(high)
    if up - 1 >= max(0, down):
        ways += [f"({way}) {some}" for way in _counts(max(0, down), up - 1)]
    if -down - 1 >= max(0, -up):
        ways += [f'"-" ({way}) {some}' for way in _counts(max(0, -up), -down - 1)]
    return ways or _narrow(low, high)


def _narrow(low: float, high: float) -> list[str]:
    """Numbers of a range that has no whole step in it, all digits written."""
    scale = 10**FRACTION_DIGITS
    least, most = math.ceil(low * scale), math.floor(high * scale)
    ways = []
    for sign, one, other in (('"-" ', max(1, -most), -least), ("", max(0, least), most)):
        for base in range(one // scale, other // scale + 1) if one <= other else ():
            first, last = max(one - base * scale, 0), min(other - base * scale, scale - 1)
            span = _span(str(first).zfill(FRACTION_DIGITS), str(last).zfill(FRACTION_DIGITS))
            ways.append(f'{sign}"{base}." ({span})')
    return ways


def _span(low: str, high: str) -> str:
    """Digits of one length, from `low` to `high`."""
    if not low:
        return '""'
    rest = len(low) - 1
    if low[0] == high[0]:
        return f'"{low[0]}" ({_span(low[1:], high[1:])})' if rest else f'"{low}"'
    least, most = int(low[0]), int(high[0])
    ways = []
    if low[1:] != "0" * rest:
        ways.append(f'"{low[0]}" ({_span(low[1:], "9" * rest)})')
        least += 1
    if high[1:] != "9" * rest:
        ways.append(f'"{high[0]}" ({_span("0" * rest, high[1:])})')
        most -= 1
    if least <= most:
        ways.append(f"[{least}-{most}]" + (f" [0-9]{{{rest}}}" if rest else ""))
    return " | ".join(ways)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _refused(what: str) -> EngineDown:
    return EngineDown(
        f"llama.cpp takes no grammar from the schema: {what}", hint="make the schema smaller", failure="refused"
    )
