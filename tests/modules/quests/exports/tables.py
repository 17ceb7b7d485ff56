"""The fields of a message as rows of a table for the docs: name, type with its bounds, default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from app.core.messages import Message


def rows(kind: type[Message]) -> Iterator[tuple[str, str, str]]:
    """(field, type, default) in the order in which they are declared; the default of a required one is empty."""
    info: Any = inspect.type_info(kind)
    for field in info.fields:
        yield field.name, worded(field.type), defaulted(field)


def defaulted(field: Any) -> str:
    if field.required:
        return ""
    default = {} if field.default_factory is not msgspec.NODEFAULT else field.default
    return f"`{msgspec.json.encode(default).decode()}`"


def worded(kind: Any) -> str:
    match kind:
        case inspect.StrType():
            return f"text{_span(kind.min_length, kind.max_length)}"
        case inspect.IntType():
            return f"whole number{_span(kind.ge, kind.le)}"
        case inspect.FloatType():
            return f"number{_span(kind.ge, kind.le)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in kind.values)
        case inspect.StructType():
            return kind.cls.__name__
        case inspect.UnionType():
            return " or ".join(worded(each) for each in kind.types)
        case inspect.NoneType():
            return "null"
        case inspect.VarTupleType():
            return f"list{_span(kind.min_length, kind.max_length)} of {worded(kind.item_type)}"
        case inspect.TupleType():
            return f"list of {len(kind.item_types)}"
        case inspect.DictType():
            return f"map of {worded(kind.value_type)}"
        case _:
            return str(getattr(kind, "type", None) or type(kind).__name__)


def _span(least: float | None, most: float | None) -> str:
    if least is None and most is None:
        return ""
    low = f"{least:,.0f}" if least is not None else "0"
    return f", {low} to {most:,.0f}" if most is not None else f", {low} or more"
