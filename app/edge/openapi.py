"""The OpenAPI 3.1 document, written from the message types on first request.

Messages come from the router, so the document cannot drift from what is served; the few resources
are listed in the permission map and a test compares both with the registered routes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from app import __version__
from app.edge.permissions import RESOURCES, Resource
from app.edge.rest.http import KEY_LENGTH_MAX
from app.edge.router import Route, Router

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_STREAM = "text/event-stream"


def document(router: Router) -> bytes:
    """The document as JSON."""
    routes = list(router.routes.values())
    types = [*(kind for route in routes for kind in _types(route)), *_resource_types()]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    names = _names(types)
    paths: dict[str, dict[str, Any]] = {r.path: {"post": _message(r, names)} for r in routes}
    for resource in RESOURCES:
        paths.setdefault(resource.path, {})[resource.method] = _resource(resource, names)
    components["Problem"] = _problem_schema()
    whole = msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Innkeeper",
                "version": __version__,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }
    )
    # Where two modules share a type's name, msgspec tells them apart by Python path; clients know only modules.
    return re.sub(rb"app\.modules\.(\w+)\.messages\.(\w+)", rb"\1.\2", whole)


def _resource_types() -> list[type[msgspec.Struct]]:
    """Each type of the resources' bodies and answers, once."""
    return list(dict.fromkeys(kind for each in RESOURCES for kind in (each.body, each.answer) if kind is not None))


def _types(route: Route) -> list[type[msgspec.Struct]]:
    found: list[type[msgspec.Struct]] = [route.handler.request, route.handler.reply]
    if route.handler.chunk is not None:
        found.append(route.handler.chunk)
    return found


def _names(types: Sequence[type[msgspec.Struct]]) -> dict[type[msgspec.Struct], str]:
    """The component name that msgspec gave each type (qualified where two modules share one)."""
    schemas, _ = msgspec.json.schema_components(types, ref_template="{name}")
    return {kind: schema["$ref"] for kind, schema in zip(types, schemas, strict=True)}


def _message(route: Route, names: dict[type[msgspec.Struct], str]) -> dict[str, Any]:
    handler = route.handler

    def ref(kind: type[msgspec.Struct]) -> dict[str, Any]:
        return {"schema": {"$ref": f"#/components/schemas/{names[kind]}"}}

    keyed = "key" in handler.request.__struct_fields__
    content = {"application/json": ref(handler.reply), "application/msgpack": {}}
    if handler.chunk is not None:
        content[_STREAM] = {}
    return {
        "operationId": route.op,
        "tags": [route.module],
        "summary": (handler.request.__doc__ or route.op).strip().splitlines()[0],
        "security": [{"bearer": []}],
        "parameters": [
            _header("Innkeeper-Deadline-Ms", {"type": "integer", "minimum": 1}),
            *([_header("Idempotency-Key", {"type": "string", "maxLength": KEY_LENGTH_MAX})] if keyed else []),
        ],
        "requestBody": {"required": True, "content": {"application/json": ref(handler.request)}},
        "responses": {"200": {"description": "The reply.", "content": content}, **_errors()},
    }


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _resource(resource: Resource, names: dict[type[msgspec.Struct], str]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", resource.path)
    ]
    found: dict[str, Any] = {
        "summary": resource.summary,
        "parameters": parameters,
        "responses": {"200": {"description": "The answer."}, **_errors()},
    }
    if resource.answer is not None:
        found["responses"]["200"]["content"] = _content(names[resource.answer])
    if resource.body is not None:
        found["requestBody"] = {"required": True, "content": _content(names[resource.body])}
    if resource.scope is not None:
        found["security"] = [{"bearer": []}]
    return found


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _errors() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _PROBLEM}}
    return {"default": {"description": "An error, as problem details (RFC 9457).", "content": content}}


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    properties = dict.fromkeys(("type", "title", "detail", "instance", "code", "hint"), text)
    return {"type": "object", "properties": {**properties, "status": {"type": "integer"}}, "required": ["code"]}
