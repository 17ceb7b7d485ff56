"""The fast way beside the slow one, and the strict form of a schema: properties over many schemas and values."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engines.structured.native import decoder_of
from app.engines.structured.strict import strict_schema, without_nulls

NAMES = st.sampled_from(["a", "b", "c d", "$x", "type", "field0"])
LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": "string", "enum": ["x", "y"]}),
    st.just({"type": "string", "const": "x"}),
    st.just({"type": ["string", "null"]}),
    st.just({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": st.integers(0, 3), "maxLength": st.integers(0, 3)}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-3, 3), "exclusiveMaximum": st.integers(-3, 3)},
    ),
    st.just({}),
)


def _grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def with_required(properties: dict[str, Any], names: set[str], closed: object) -> dict[str, Any]:
        made = {"type": "object", "properties": properties, "required": sorted(names & set(properties))}
        return made if closed is None else {**made, "additionalProperties": closed}

    objects = st.builds(
        with_required, st.dictionaries(NAMES, inner, max_size=3), st.sets(NAMES), st.sampled_from([None, True, False])
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 2), "maxItems": st.just(2)}
    )
    return st.one_of(objects, arrays)


SCHEMAS = st.recursive(LEAVES, _grow, max_leaves=6)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-4, 4), st.floats(-4, 4), st.sampled_from(["", "x", "y", "long"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)


def fits(schema: Any, value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


@settings(max_examples=500, deadline=None)
@given(SCHEMAS, VALUES)
def test_what_the_fast_way_takes_fits_the_schema(schema: dict[str, Any], value: Any) -> None:
    decoder = decoder_of(schema)
    if decoder is None:
        return
    try:
        decoder.decode(msgspec.json.encode(value))
    except msgspec.ValidationError:
        return
    assert fits(schema, value)


def test_the_usual_schemas_have_a_fast_way() -> None:
    schema = {
        "type": "object",
        "title": "Item",
        "properties": {
            "name": {"type": "string", "maxLength": 40},
            "kind": {"type": "string", "enum": ["weapon", "food"]},
            "price": {"type": "integer", "minimum": 0},
            "owner": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "kind"],
        "additionalProperties": False,
    }
    decoder = decoder_of(schema)
    assert decoder is not None
    decoder.decode(b'{"name":"axe","kind":"weapon","owner":null,"tags":["old"]}')


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES)
def test_what_fits_the_strict_form_fits_the_schema_without_its_nulls(schema: dict[str, Any], value: Any) -> None:
    """But for what strict modes cannot say, which went into the description: sizes and bounds."""
    strict = strict_schema(schema)
    if strict is None or not fits(strict, value):
        return
    loose = _without_bounds(schema)
    assert fits(loose, without_nulls(schema, value))


def _without_bounds(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_bounds(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    bounds = {"minLength", "maxLength", "minimum", "exclusiveMaximum", "minItems", "maxItems"}
    named = {"properties"}
    return {
        name: {key: _without_bounds(each) for key, each in value.items()} if name in named else _without_bounds(value)
        for name, value in schema.items()
        if name not in bounds
    }


def test_the_strict_form_closes_requires_and_explains() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 9, "description": "What it is called."},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "part": {"type": "object", "properties": {"of": {"type": "integer"}}},
        },
        "required": ["name"],
    }
    strict = strict_schema(schema)
    assert strict is not None
    assert strict["required"] == ["name", "kind", "part"]
    assert strict["additionalProperties"] is False
    assert strict["properties"]["name"] == {"type": "string", "description": "What it is called. (maxLength: 9)"}
    assert strict["properties"]["kind"] == {"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]}
    assert strict["properties"]["part"]["anyOf"][0]["additionalProperties"] is False
    assert without_nulls(schema, {"name": "x", "kind": None, "part": {"of": None}}) == {"name": "x", "part": {}}


def test_what_has_no_strict_form_is_said_to_have_none() -> None:
    for schema in (
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}]}}},
    ):
        assert strict_schema(schema) is None
