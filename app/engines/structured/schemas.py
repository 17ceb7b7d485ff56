"""A stranger's JSON Schema (Draft 2020-12), made safe to hold answers against: bounded, local, sure to end.

It says where an answer does not fit, by path, and never repeats what the answer said. Nothing is fetched.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from app.core.errors import Invalid
from app.core.responses import Structured as Limits
from app.engines.structured.native import decoder_of
from app.engines.structured.patterns import Pattern
from app.engines.structured.strict import without_nulls

KEYWORD_STEPS = 20
"""What holding a value against one keyword costs, beside its size."""
_REFUSED = (
    "$dynamicRef",
    "$recursiveRef",
    "$dynamicAnchor",
    "$vocabulary",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords whose cost cannot be bounded, or that change what a reference means."""
_PREFIX = re.compile(r"\^?(?:[\w -]|\\[-.])*\$?")
"""Patterns of `patternProperties`, which are searched by Python's own engine: a beginning in plain letters."""
_PLAIN = re.compile(r"[\w-]{1,64}")
_LOCAL = re.compile(r"#(?:/(?:\$defs|definitions)/[^/]+)?")
"""Where a reference may lead: to what was looked through as a schema."""
_DATA = frozenset(("const", "enum", "default", "examples", "required", "dependentRequired"))
"""Keywords whose values are data and no schemas."""
_NAMED = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
"""Keywords whose values are schemas by name."""


class Overrun(Exception):
    """An answer took more steps than any may."""


class Misfit(msgspec.Struct, frozen=True):
    """Where an answer does not fit, as a JSONPath, and the keyword that it breaks."""

    path: str
    keyword: str

    def __str__(self) -> str:
        return f"{self.path} breaks {self.keyword!r}"


@dataclass(slots=True)
class _Run:
    """One answer being held against one schema."""

    left: int
    patterns: Mapping[str, Pattern]

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise Overrun


_run: ContextVar[_Run] = ContextVar("run")


@dataclass(slots=True)
class Schema:
    """A schema that was looked through, and what holds answers against it."""

    limits: Limits
    decoder: msgspec.json.Decoder[Any] | None
    validator: Any
    tree: Mapping[str, Any]
    patterns: Mapping[str, Pattern] = field(default_factory=dict)

    async def check(self, text: str) -> tuple[str, Misfit | None]:
        """(the text that fits, None), or (the text, where it does not fit)."""
        data = text.encode("utf-8", "surrogatepass")
        if self.decoder is not None:
            try:
                self.decoder.decode(data)
                return text, None
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass  # the slow way judges, and says where
        return await asyncio.to_thread(self._judge, text, data)

    def _judge(self, text: str, data: bytes) -> tuple[str, Misfit | None]:
        try:
            value = msgspec.json.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return text, Misfit("$", "JSON")
        misfit = self._misfit(value)
        if misfit is None:
            return text, None
        bare = without_nulls(self.tree, value)
        if bare != value and self._misfit(bare) is None:
            return msgspec.json.encode(bare).decode(), None
        return text, misfit

    def _misfit(self, value: Any) -> Misfit | None:
        _run.set(_Run(self.limits.steps_max, self.patterns))
        try:
            found = best_match(self.validator.iter_errors(value))
        except (Overrun, RecursionError):
            return Misfit("$", "size")
        except (Unresolvable, ArithmeticError):
            return Misfit("$", "$ref")
        return None if found is None else Misfit(_path(found), str(found.validator or "false"))


class Schemas:
    """Schemas that were looked through, the newest of them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: OrderedDict[bytes, Schema] = OrderedDict()

    async def of(self, schema: Mapping[str, Any]) -> Schema:
        """The schema made ready; raises Invalid, naming the path, for one that is broken, too large or refused."""
        try:
            data = msgspec.json.encode(schema)
        except (TypeError, ValueError, RecursionError) as error:
            raise Invalid(f"the schema is no JSON: {error}", hint="send a JSON Schema") from error
        if len(data) > self._limits.schema_bytes_max:
            raise Invalid(
                f"the schema has {len(data)} bytes", hint=f"give at most {self._limits.schema_bytes_max} bytes"
            )
        known = self._known.get(data)
        if known is None:
            known = await asyncio.to_thread(compiled, data, self._limits)
            self._known[data] = known
            if len(self._known) > self._limits.validators_max:
                self._known.popitem(last=False)
        self._known.move_to_end(data)
        return known


def compiled(data: bytes, limits: Limits) -> Schema:
    """The schema in JSON, made ready; raises Invalid."""
    tree = msgspec.json.decode(data)
    if not isinstance(tree, dict):
        raise Invalid("the schema is no object", hint="send a JSON Schema")
    patterns: dict[str, Pattern] = {}
    for node, path, depth in _nodes(tree, "$", 0, limits.depth_max):
        _look_at(node, path, depth, tree, patterns, limits)
    try:
        Draft202012Validator.check_schema(tree, format_checker=None)
    except SchemaError as error:
        where = f"at {_path(error)}: {error.validator!r}"
        raise Invalid(f"the schema is broken {where}", hint="see JSON Schema, Draft 2020-12") from error
    return Schema(limits, decoder_of(tree), _Metered(tree, registry=Registry()), tree, patterns)


def _nodes(node: Any, path: str, depth: int, depth_max: int) -> Iterator[tuple[dict[str, Any], str, int]]:
    """(schema, its path, its depth) of the schema and all within; raises Invalid for one that is too deep."""
    if depth > depth_max:
        raise Invalid(f"the schema is too deep at {path}", hint=f"use at most {depth_max} levels")
    if isinstance(node, list):
        for number, each in enumerate(node):
            yield from _nodes(each, f"{path}[{number}]", depth + 1, depth_max)
    if not isinstance(node, dict):
        return
    yield node, path, depth
    for name, value in node.items():
        if name in _NAMED and isinstance(value, dict):
            for each, schema in value.items():
                yield from _nodes(schema, f"{path}.{name}.{each}", depth + 1, depth_max)
        elif name not in _DATA:
            yield from _nodes(value, f"{path}.{name}", depth + 1, depth_max)


def _look_at(
    node: dict[str, Any], path: str, depth: int, root: dict[str, Any], patterns: dict[str, Pattern], limits: Limits
) -> None:
    """Refuse, in one schema, what is not local and what may not end; keep its pattern."""
    for name in node:
        if name in _REFUSED or (name == "$id" and depth):
            raise Invalid(f"the schema uses {name!r} at {path}", hint="say it without")
    reference, source = node.get("$ref"), node.get("pattern")
    if isinstance(reference, str):
        if not _LOCAL.fullmatch(reference):
            raise Invalid(f"the schema refers elsewhere at {path}.$ref", hint="put it under $defs: nothing is fetched")
        place = reference.split("/")[1:]
        known = root.get(place[0]) if place else None
        if place and not (isinstance(known, dict) and place[1].replace("~1", "/").replace("~0", "~") in known):
            raise Invalid(f"the schema refers to nothing at {path}.$ref", hint=f"name something under {place[0]}")
    if isinstance(source, str):
        try:
            patterns[source] = Pattern(source, states_max=limits.pattern_states_max)
        except Invalid as error:
            raise Invalid(f"the schema at {path}.pattern: {error.message}", hint=error.hint) from error
    named = node.get("patternProperties")
    for source in named if isinstance(named, dict) else ():
        if not _PREFIX.fullmatch(source):
            raise Invalid(f"the schema has {source[:80]!r} at {path}.patternProperties", hint="name a beginning: ^x-")


def _path(error: ValidationError | SchemaError) -> str:
    """Where, as a JSONPath; a name that is not plain is not repeated, for an answer may have made it up."""
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step if _PLAIN.fullmatch(str(step)) else '*'}"
        for step in error.absolute_path
    )
    return "$" + "".join(steps)


def _metered(check: Callable[..., Any]) -> Callable[..., Any]:
    """The keyword, paid for before it is looked at."""

    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _run.get().spend(KEYWORD_STEPS + _size(value) + _size(instance))
        return check(validator, value, instance, schema)

    return run


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _pattern(_validator: Any, value: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    run = _run.get()
    if isinstance(instance, str) and not run.patterns[value].found_in(instance, run.spend):
        yield ValidationError("the pattern is not there")


def _unique(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
    if isinstance(instance, list):
        _run.get().spend(len(instance) ** 2 // 2)
    return Draft202012Validator.VALIDATORS["uniqueItems"](validator, value, instance, schema)


_Metered: Any = validators.extend(
    Draft202012Validator,
    {
        name: _metered({"pattern": _pattern, "uniqueItems": _unique}.get(name, check))
        for name, check in Draft202012Validator.VALIDATORS.items()
    },
)
