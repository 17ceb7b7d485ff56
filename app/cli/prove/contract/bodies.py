"""For each message type: the smallest value that it takes, and each place in it where a text goes.

It walks the types as msgspec sees them, so that a new message or field is met without being listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect as shape

DEPTH_MAX = 8
Make = Callable[[str], Any]


def text_places(kind: type[msgspec.Struct]) -> Iterator[tuple[str, Make]]:
    """(where, what makes a whole value with a text in that place) for each text of the type."""
    yield from _places(shape.type_info(kind), DEPTH_MAX)


def smallest(kind: type[msgspec.Struct]) -> Any:
    """The least that the type takes, as plain values."""
    return _sample(shape.type_info(kind))


def unbounded(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Each whole number in the type that no bound keeps within 64 bits."""
    yield from _unbounded(shape.type_info(kind), "", DEPTH_MAX)


def _sample(kind: shape.Type) -> Any:
    match kind:
        case shape.StrType():
            return "a" * max(1, kind.min_length or 0)
        case shape.IntType() | shape.FloatType():
            return kind.ge or 1
        case shape.BytesType():
            return b"a" * (kind.min_length or 0)
        case shape.BoolType():
            return True
        case shape.LiteralType():
            return kind.values[0]
        case shape.UnionType():
            return _sample(kind.types[0])
        case shape.StructType():
            return {**_tag(kind), **{f.encode_name: _sample(f.type) for f in kind.fields if f.required}}
        case shape.TupleType():
            return [_sample(item) for item in kind.item_types]
        case shape.ListType() | shape.VarTupleType():
            return [_sample(kind.item_type)] * (kind.min_length or 0)
        case shape.DictType():
            return {}
    return None


def _tag(kind: shape.StructType) -> dict[str, Any]:
    return {} if kind.tag_field is None else {kind.tag_field: kind.tag}


def _places(kind: shape.Type, depth: int) -> Iterator[tuple[str, Make]]:
    if depth == 0:
        return
    match kind:
        case shape.StrType() | shape.LiteralType():
            yield "", lambda text: text
        case shape.UnionType():
            for one in kind.types:
                yield from _places(one, depth)
        case shape.StructType():
            for field in kind.fields:
                for where, make in _places(field.type, depth - 1):
                    yield f".{field.encode_name}{where}", _in_field(kind, field.encode_name, make)
        case shape.ListType() | shape.VarTupleType():
            for where, make in _places(kind.item_type, depth - 1):
                yield f"[]{where}", _in_list(make)
        case shape.DictType():
            yield "{}", _as_key(_sample(kind.value_type))
            for where, make in _places(kind.value_type, depth - 1):
                yield f"{{}}{where}", _as_value(make)


def _in_field(kind: shape.StructType, name: str, make: Make) -> Make:
    return lambda text: {**_sample(kind), name: make(text)}


def _in_list(make: Make) -> Make:
    return lambda text: [make(text)]


def _as_key(value: Any) -> Make:
    return lambda text: {text: value}


def _as_value(make: Make) -> Make:
    return lambda text: {"a": make(text)}


def _unbounded(kind: shape.Type, where: str, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    match kind:
        case shape.IntType():
            if kind.ge is None or kind.le is None:
                yield where
        case shape.UnionType():
            for one in kind.types:
                yield from _unbounded(one, where, depth)
        case shape.StructType():
            for field in kind.fields:
                yield from _unbounded(field.type, f"{where}.{field.encode_name}", depth - 1)
        case shape.ListType() | shape.VarTupleType():
            yield from _unbounded(kind.item_type, f"{where}[]", depth - 1)
        case shape.TupleType():
            for item in kind.item_types:
                yield from _unbounded(item, f"{where}[]", depth - 1)
        case shape.DictType():
            yield from _unbounded(kind.value_type, f"{where}{{}}", depth - 1)
