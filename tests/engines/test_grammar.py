"""A JSON Schema as a grammar: what is drawn by it is that schema's JSON, and what no grammar holds is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from app.core.errors import EngineDown
from app.core.words import Sampling
from app.engines.llama import gguf, grammar

TOKENS_MAX = 3_900
SCHEMAS: dict[str, dict[str, Any]] = {
    "enum": {"enum": ["wave", 'say "hi"', "a\\b\nc", "naïve ☕", 3, None, True, {"a": [1]}]},
    "const": {"const": {"act": "bow", "to": ["king", 1.5]}},
    "nested objects": {
        "type": "object",
        "properties": {
            "act": {"enum": ["wave", "bow"]},
            "to": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 12}, "seen": {"type": "boolean"}},
                "required": ["name", "seen"],
                "additionalProperties": False,
            },
        },
        "required": ["act", "to"],
        "additionalProperties": False,
    },
    "arrays": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
        "minItems": 2,
        "maxItems": 4,
    },
    "an empty array": {"type": "array", "items": {"type": "null"}, "maxItems": 0},
    "optional fields": {
        "type": "object",
        "properties": {name: {"type": "boolean"} for name in "abcd"},
        "required": ["b"],
        "additionalProperties": False,
    },
    "all optional": {
        "type": "object",
        "properties": {"x": {"type": "null"}, "y": {"type": "null"}},
        "additionalProperties": False,
    },
    "no fields": {"type": "object", "properties": {}, "additionalProperties": False},
    "keys with signs": {"type": "object", "properties": {'a "b"\\': {"type": "null"}}, "required": ['a "b"\\']},
    "a whole number in bounds": {"type": "integer", "minimum": -17, "maximum": 4_205},
    "an open bound": {"type": "integer", "exclusiveMinimum": 6, "exclusiveMaximum": 9},
    "below zero": {"type": "integer", "minimum": -950, "maximum": -47},
    "a share": {"type": "number", "minimum": 0, "maximum": 1},
    "a narrow number": {"type": "number", "minimum": -0.35, "maximum": 0.125},
    "a number above": {"type": "number", "exclusiveMinimum": 2.5, "maximum": 3},
    "any number": {"type": "number"},
    "text with bounds": {"type": "string", "minLength": 3, "maxLength": 9},
    "text without": {"type": "string"},
    "either": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 5}, {"type": "integer", "maximum": 9}]},
    "either of two shapes": {
        "type": "object",
        "oneOf": [
            {"properties": {"go": {"const": "north"}}, "required": ["go"], "additionalProperties": False},
            {
                "properties": {"say": {"type": "string", "maxLength": 8}},
                "required": ["say"],
                "additionalProperties": False,
            },
        ],
    },
    "several types": {"type": ["integer", "null", "boolean"], "minimum": 5, "maximum": 7},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]},
            {"properties": {"b": {"type": "null"}}, "required": ["b"]},
        ]
    },
    "references": {
        "$defs": {
            "mood": {"enum": ["glad", "cross"]},
            "pair": {
                "type": "array",
                "prefixItems": [{"$ref": "#/$defs/mood"}, {"type": "null"}],
                "minItems": 2,
                "maxItems": 2,
            },
        },
        "type": "object",
        "properties": {"one": {"$ref": "#/$defs/pair"}, "two": {"$ref": "#/$defs/mood"}},
        "required": ["one", "two"],
    },
    "a tree": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
                "required": ["next"],
            }
        },
        "$ref": "#/$defs/node",
    },
    "a map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 3},
    "a required name without a shape": {"type": "object", "properties": {}, "required": ["a"]},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gguf.Model]:
    from tests.engines.tiny_gguf import write_tiny

    path = write_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")
    loaded = gguf.Model(path, gguf.Bounds(4_096, 0, 1))
    yield loaded
    loaded.free()


def draw(model: gguf.Model, rules: str, seed: int) -> str:
    """What a model that knows nothing writes under those rules."""
    context = gguf.Context(model)
    written = b""
    try:
        context.read(model.beginning())
        with context.drawing(seed=seed, sampling=Sampling(temperature=1.5, top_p=1.0), grammar=rules) as drawn:
            for _ in range(TOKENS_MAX):
                token = drawn()
                if model.ends(token):
                    return written.decode()
                written += model.text(token)
                context.read([token])
    finally:
        context.free()
    raise AssertionError(f"it goes on and on: {written[:200]!r}")


@pytest.mark.needs_llama
@pytest.mark.parametrize("name", SCHEMAS)
def test_whatever_is_drawn_is_the_schemas_json(model: gguf.Model, name: str) -> None:
    rules = grammar.from_schema(SCHEMAS[name])
    for seed in range(6):
        written = draw(model, rules, seed)
        jsonschema.validate(json.loads(written), SCHEMAS[name])


@pytest.mark.needs_llama
def test_every_way_of_an_optional_field_is_drawn(model: gguf.Model) -> None:
    rules = grammar.from_schema(SCHEMAS["optional fields"])
    keys = {tuple(json.loads(draw(model, rules, seed))) for seed in range(40)}
    assert all("b" in found for found in keys)
    assert {tuple(name in found for name in "cd") for found in keys} >= {(False, False), (True, True), (False, True)}


@pytest.mark.needs_llama
@pytest.mark.parametrize(("low", "high"), [(0, 0), (7, 23), (99, 1_001), (-3, 3), (-120, -8)])
def test_a_range_holds_its_ends_and_nothing_beside_it(model: gguf.Model, low: int, high: int) -> None:
    bounds = {"type": "integer", "minimum": low, "maximum": high}
    found = {int(draw(model, grammar.from_schema(bounds), seed)) for seed in range(30)}
    assert found <= set(range(low, high + 1))
    for end in (low, high):
        only = {"allOf": [bounds, {"minimum": end, "maximum": end}]}
        assert int(draw(model, grammar.from_schema(only), 1)) == end


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "spell"}, "'spell'"),
        ({"$ref": "https://example.com/schema.json"}, "points nowhere"),
        ({"$ref": "#/$defs/none"}, "points nowhere"),
        ({"type": "string", "minLength": 10**9}, "minLength"),
        ({"type": "array", "items": {}, "minItems": 10**9}, "minItems"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "at least 5"),
        ({"enum": list(range(5_000))}, "alternatives"),
        ({"enum": ["x" * 70_000]}, "bytes"),
        ({"type": "object", "properties": {f"k{row}": {"const": row} for row in range(1_500)}}, "rules"),
        ({"anyOf": ["no schema"]}, "no schema"),
    ],
)
def test_a_schema_that_no_grammar_holds_is_refused_and_told(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(EngineDown, match=told) as caught:
        grammar.from_schema(schema)
    assert caught.value.failure == "refused"


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    with pytest.raises(EngineDown, match="deep"):
        grammar.from_schema(schema)
