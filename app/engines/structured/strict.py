"""A schema in the form that the vendors' strict modes take, and the way back for what was optional.

Strict modes (OpenAI's structured outputs, Anthropic's `output_config.format`) want every object closed and every
property required, and know few keywords; the others go into the description, where the model reads them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_KNOWN = frozenset(
    ("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs",
     "description", "title")
)  # fmt: skip
_DROPPED = frozenset(("$schema", "$id", "$comment", "examples", "deprecated"))
DEPTH_MAX = 64


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema for a strict mode; None for one that has no such form: free maps, tuples, a root that is no object.

    What was optional may be null instead: `without_nulls` takes those out again.
    """
    try:
        if schema.get("type") != "object":
            return None
        return _strict(schema, 0)
    except _Loose:
        return None


def without_nulls(schema: Mapping[str, Any], value: Any) -> Any:
    """The value without the nulls that stand for optional properties which may be missing and may not be null."""
    return _bare(schema, schema, value, 0)


class _Loose(Exception):
    """A strict mode cannot say it."""


def _strict(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > DEPTH_MAX:
        raise _Loose
    if "allOf" in schema or "oneOf" in schema or "not" in schema or "if" in schema or "prefixItems" in schema:
        raise _Loose
    made = {name: value for name, value in schema.items() if name in _KNOWN}
    notes = {name: value for name, value in schema.items() if name not in _KNOWN | _DROPPED}
    if notes:
        told = "; ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in notes.items())
        made["description"] = f"{made['description']} ({told})" if made.get("description") else told
    if "$defs" in made:
        made["$defs"] = {name: _strict(value, depth + 1) for name, value in made["$defs"].items()}
    if "anyOf" in made:
        made["anyOf"] = [_strict(value, depth + 1) for value in made["anyOf"]]
    if "items" in made:
        made["items"] = _strict(made["items"], depth + 1)
    kinds = made.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
        _close(made, depth)
    elif kinds is None and not made.keys() & {"anyOf", "$ref", "enum", "const"}:
        raise _Loose
    if kinds == "array" and "items" not in made:
        raise _Loose
    return made


def _close(made: dict[str, Any], depth: int) -> None:
    """Make an object's every property required, what was optional nullable, and let in no other."""
    properties = made.get("properties")
    if not isinstance(properties, Mapping) or isinstance(made.get("additionalProperties"), Mapping):
        raise _Loose
    if not properties and made.get("additionalProperties") is not False:
        raise _Loose
    required = set(made.get("required", ()))
    if not required <= set(properties):
        raise _Loose
    made["properties"] = {
        name: _strict(value, depth + 1) if name in required else _nullable(_strict(value, depth + 1))
        for name, value in properties.items()
    }
    made["required"] = list(properties)
    made["additionalProperties"] = False


def _nullable(made: dict[str, Any]) -> dict[str, Any]:
    if made.get("type") == "null" or "null" in (made["type"] if isinstance(made.get("type"), list) else ()):
        return made
    if "anyOf" in made:
        known = {"type": "null"} in made["anyOf"]
        return made if known else {**made, "anyOf": [*made["anyOf"], {"type": "null"}]}
    if isinstance(made.get("type"), str) and not made.keys() & {"enum", "const", "properties", "items"}:
        return {**made, "type": [made["type"], "null"]}
    return {"anyOf": [made, {"type": "null"}]}


def _bare(root: Mapping[str, Any], schema: Any, value: Any, depth: int) -> Any:
    schema = _followed(root, schema)
    if not isinstance(schema, Mapping) or depth > DEPTH_MAX:
        return value
    if isinstance(value, list):
        return [_bare(root, schema.get("items"), each, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    properties, required = schema.get("properties", {}), schema.get("required", ())
    if not isinstance(properties, Mapping):
        return value
    return {
        name: _bare(root, properties.get(name), each, depth + 1)
        for name, each in value.items()
        if not (
            each is None and name in properties and name not in required and not _takes_null(root, properties[name])
        )
    }


def _takes_null(root: Mapping[str, Any], schema: Any) -> bool:
    schema = _followed(root, schema)
    if not isinstance(schema, Mapping):
        return True
    kinds = schema.get("type")
    if kinds is not None:
        return kinds == "null" or (isinstance(kinds, list) and "null" in kinds)
    if "anyOf" in schema:
        return any(_takes_null(root, each) for each in schema["anyOf"] if each != schema)
    return "enum" not in schema or None in schema["enum"]


def _followed(root: Mapping[str, Any], schema: Any) -> Any:
    """What a local reference points to, one step."""
    reference = schema.get("$ref") if isinstance(schema, Mapping) else None
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return root if reference == "#" else schema
    found: Any = root
    for step in reference[2:].split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found
