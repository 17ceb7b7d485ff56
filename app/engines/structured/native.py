"""JSON Schemas as types of msgspec, which reads and checks in one go.

Only what a type says exactly is translated: a text that the type takes fits the schema. What the type refuses may
still fit (1.0 is an integer to JSON Schema), so a refusal is for the slow way to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union

import msgspec

_NOTES = frozenset(("title", "description", "default", "examples", "$comment", "$schema", "deprecated"))
_EXACT_MAX = 1 << 50
"""Bounds beyond it are not compared exactly as floating point."""
_BOUNDS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
Schema = Mapping[str, Any]


class _Beyond(Exception):
    """The schema says something that no type does."""


def decoder_of(schema: Schema) -> msgspec.json.Decoder[Any] | None:
    """Takes only what fits the schema; None for one that has no type."""
    try:
        return msgspec.json.Decoder(_type(schema))
    except (_Beyond, TypeError, ValueError, NotImplementedError):
        return None


def _type(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        raise _Beyond
    said = {name: value for name, value in schema.items() if name not in _NOTES}
    if not said:
        return Any
    if "anyOf" in said:
        return _either(said)
    kind = said.pop("type", None)
    if isinstance(kind, list):
        if said:
            raise _Beyond
        return Union[tuple(_type({"type": each}) for each in kind)]  # noqa: UP007 - the members are known at run time
    maker = _MAKERS.get(kind) if isinstance(kind, str) else None
    if maker is None:
        raise _Beyond
    return maker(said)


def _either(said: dict[str, Any]) -> Any:
    """One type or null, the usual way to say that a value may be missing."""
    members = said.pop("anyOf")
    if said or not isinstance(members, list) or len(members) != 2 or {"type": "null"} not in members:
        raise _Beyond
    return Union[tuple(_type(member) for member in members)]  # noqa: UP007 - as above


def _object(said: dict[str, Any]) -> Any:
    properties, required = said.pop("properties", {}), said.pop("required", [])
    others = said.pop("additionalProperties", True)
    if said or not isinstance(properties, dict) or not set(required) <= set(properties):
        raise _Beyond
    if not properties and others is not False:
        return dict[str, Any if others is True else _type(others)]  # type: ignore[misc]  # made at run time
    if not isinstance(others, bool):
        raise _Beyond
    fields: list[Any] = []
    for number, (name, schema) in enumerate(properties.items()):
        kind, field = _type(schema), f"field{number}"
        if name in required:
            fields.append((field, kind, msgspec.field(name=name)))
        else:
            optional = Any if kind is Any else kind | msgspec.UnsetType
            fields.append((field, optional, msgspec.field(name=name, default=msgspec.UNSET)))
    return msgspec.defstruct("Answer", fields, kw_only=True, forbid_unknown_fields=not others)


def _array(said: dict[str, Any]) -> Any:
    items = _type(said.pop("items", {}))
    bounds = _sizes(said, "minItems", "maxItems")
    return Annotated[list[items], bounds] if bounds is not None else list[items]  # type: ignore[valid-type]  # as above


def _string(said: dict[str, Any]) -> Any:
    words = said.pop("enum", None)
    if "const" in said:
        words = [said.pop("const")]
    if words is not None:
        if said or not words or not all(isinstance(word, str) for word in words):
            raise _Beyond
        return Literal[tuple(words)]
    bounds = _sizes(said, "minLength", "maxLength")
    return Annotated[str, bounds] if bounds is not None else str


def _sizes(said: dict[str, Any], least: str, most: str) -> msgspec.Meta | None:
    bounds = {"min_length": said.pop(least, None), "max_length": said.pop(most, None)}
    if said or not all(bound is None or type(bound) is int for bound in bounds.values()):
        raise _Beyond
    return msgspec.Meta(**bounds) if any(bound is not None for bound in bounds.values()) else None


def _number_like(kind: type) -> Callable[[dict[str, Any]], Any]:
    def make(said: dict[str, Any]) -> Any:
        bounds: dict[str, Any] = {}
        for name, value in said.items():
            if name not in _BOUNDS or type(value) not in (int, float) or abs(value) > _EXACT_MAX:
                raise _Beyond
            if kind is int and type(value) is not int:
                raise _Beyond
            bounds[_BOUNDS[name]] = value
        if {"ge", "gt"} <= bounds.keys() or {"le", "lt"} <= bounds.keys():
            raise _Beyond
        return Annotated[kind, msgspec.Meta(**bounds)] if bounds else kind

    return make


def _bare(kind: Any) -> Callable[[dict[str, Any]], Any]:
    def make(said: dict[str, Any]) -> Any:
        if said:
            raise _Beyond
        return kind

    return make


_MAKERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number_like(int),
    "number": _number_like(float),
    "boolean": _bare(bool),
    "null": _bare(None),
}
