"""The OpenAPI 3.1 document, written from the types that the code reads and answers with, on first request.

Messages come from the router and resources from the permission map, so the document cannot drift from what is
served. It names every answer that can happen, and never a fault of ours: a 500 is a defect, not a part of the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from app import __version__
from app.core import errors
from app.core.ids import ID_LENGTH_MAX, SEGMENT
from app.edge.permissions import BINARY, EVENTS, JSON, MSGPACK, RESOURCES, SIGNED_IN, Resource
from app.edge.rest.http import KEY_PATTERN
from app.edge.rest.shapes import InWorld
from app.edge.router import Route, Router

_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_REF = "#/components/schemas/{name}"
_PROBLEM_TYPE = "application/problem+json"
_MESSAGE_STATUSES = (400, 401, 403, 404, 409, 413, 415, 429, 503, 504)
_MEANINGS = {
    400: "The request cannot be read, or a value in it is not allowed.",
    401: "No credential, or one that does not hold.",
    402: "A budget has no room.",
    403: "The credential lacks the scope.",
    404: "An id names nothing that the caller may see.",
    409: "The present state does not allow it.",
    413: "Over a size cap.",
    415: "The body is of a media type that is not read.",
    429: "Over a rate or in-flight cap.",
    503: "Not now; ask again.",
    504: "The deadline passed first.",
}
_SECONDS = {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
_SCHEME = {"description": "How to sign in (RFC 6750).", "required": True, "schema": {"type": "string"}}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": _SCHEME},
    429: {"Retry-After": _SECONDS},
    503: {"Retry-After": _SECONDS},
}
_MAP_HEADERS = {
    "ETag": {"schema": {"type": "string"}},
    "Innkeeper-Map-Version": {"schema": {"type": "integer", "minimum": 1}},
}


def document(router: Router) -> bytes:
    """The document as JSON."""
    routes = list(router.routes.values())
    types = [*(kind for route in routes for kind in _types(route)), *_resource_types()]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    refs = _Refs(types, router)
    paths: dict[str, dict[str, Any]] = {r.path: {"post": _message(r, refs)} for r in routes}
    for resource in RESOURCES:
        paths.setdefault(resource.path, {})[resource.method] = _resource(resource, refs)
    components["Problem"] = _problem_schema()
    _sharpen(components, {refs.name(route.handler.request) for route in routes})
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
                "responses": {str(status): _refusal(status) for status in _MEANINGS},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }
    )
    # Where two modules share a type's name, msgspec tells them apart by Python path; clients know only modules.
    return re.sub(rb"app\.modules\.(\w+)\.messages\.(\w+)", rb"\1.\2", whole)


class _Refs:
    """The reference to each type's schema, by the name that msgspec gave it (qualified where two share one)."""

    def __init__(self, types: Sequence[Any], router: Router) -> None:
        schemas, _ = msgspec.json.schema_components(types, ref_template=_REF)
        self._schemas = dict(zip(types, schemas, strict=True))
        self._router = router

    def __call__(self, kind: Any) -> dict[str, Any]:
        """`{"schema": …}` of a type, or of the reply to the message of that name."""
        if isinstance(kind, str):
            kind = self._router.route(kind).handler.reply
        return {"schema": self._schemas[kind]}

    def name(self, kind: Any) -> str:
        """The name of a type's schema."""
        reference: str = self._schemas[kind]["$ref"]
        return reference.rpartition("/")[2]


def _sharpen(components: dict[str, Any], requests: set[str]) -> None:
    """Say what msgspec does not: how base64 looks, and that a request without a session names its world.

    A pair of two alike is told as a list of two, since some readers know no `prefixItems`.
    """
    for schema in _within(components):
        if schema.get("contentEncoding") == "base64":
            schema["pattern"] = _BASE64
        kinds = schema.get("prefixItems")
        if kinds and all(kind == kinds[0] for kind in kinds):
            del schema["prefixItems"]
            schema["items"] = kinds[0]
    for name in requests:
        schema = components[name]
        world = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH_MAX, "pattern": SEGMENT}
        schema["properties"]["world"] = world
        schema["required"] = [*schema.get("required", []), "world"]


def _within(found: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(found, dict):
        yield found
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from _within(inner)


def _types(route: Route) -> Iterator[type[msgspec.Struct]]:
    yield route.handler.request
    yield route.handler.reply
    if route.handler.chunk is not None:
        yield route.handler.chunk


def _resource_types() -> Iterator[Any]:
    """Each type once: those of the resources' bodies and answers."""
    seen = set()
    for resource in RESOURCES:
        for kind in (resource.body, resource.answer, resource.refusal):
            if kind not in (None, bytes) and not isinstance(kind, str) and kind not in seen:
                seen.add(kind)
                yield kind


def _message(route: Route, refs: _Refs) -> dict[str, Any]:
    handler = route.handler
    keyed = "key" in handler.request.__struct_fields__
    taken: dict[str, Any] = {JSON: refs(handler.request), MSGPACK: {}}
    content: dict[str, Any] = {JSON: refs(handler.reply), MSGPACK: {}}
    if handler.chunk is not None:
        content[EVENTS] = {}
    if handler.binary is not None:
        taken[BINARY] = content[BINARY] = {}
    return {
        "operationId": route.op,
        "tags": [route.module],
        "summary": (handler.request.__doc__ or route.op).strip().splitlines()[0],
        "security": [{"bearer": []}],
        "parameters": [
            _header("Innkeeper-Deadline-Ms", {"type": "integer", "minimum": 1, "maximum": 999_999_999}),
            *([_header("Idempotency-Key", {"type": "string", "pattern": KEY_PATTERN})] if keyed else []),
            *(_query(InWorld) if handler.binary is not None else ()),
        ],
        "requestBody": {"required": True, "content": taken},
        "responses": {"200": {"description": "The reply.", "content": content}, **_refusals(_MESSAGE_STATUSES)},
    }


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _query(kind: type[msgspec.Struct]) -> Iterator[dict[str, Any]]:
    """One parameter for each field of the type."""
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    whole = components[kind.__name__]
    for name, schema in whole.get("properties", {}).items():
        required = name in whole.get("required", ())
        yield {"name": name, "in": "query", "required": required, "schema": schema}


def _resource(resource: Resource, refs: _Refs) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "The answer."}
    answer["content"] = {resource.media: refs(resource.answer) if resource.answer is not None else {}}
    if resource.media == BINARY:
        answer["headers"] = _MAP_HEADERS
    if resource.streams:
        answer["content"][EVENTS] = {}
    found: dict[str, Any] = {
        "operationId": operation_id(resource),
        "summary": resource.summary,
        "parameters": [*_path(resource.path), *_query(resource.query)],
        "responses": {str(resource.status): answer, **_refused(resource, refs)},
    }
    if resource.path == "/health/ready":
        found["responses"]["503"] = {**answer, "description": "Not ready: the process stops."}
    if resource.body is bytes:
        found["requestBody"] = {"required": True, "content": {BINARY: {}, "text/plain": {}}}
    elif resource.body is not None:
        found["requestBody"] = {"required": True, "content": {JSON: refs(resource.body)}}
    if resource.scope is not None:
        found["security"] = [{"bearer": []}, *([{}] if resource.loopback else [])]
    return found


def operation_id(resource: Resource) -> str:
    """A name for generated clients: `get_v1_worlds_world_npcs`."""
    return "_".join(re.findall(r"\w+", f"{resource.method} {resource.path}")).replace(".", "_")


def statuses(resource: Resource) -> set[int]:
    """Every status besides 200: what its scope, path, query and body bring with them, and what it names itself."""
    found = set(resource.statuses)
    if resource.scope is not None:
        found |= {400, 401, 429, 503}
        if resource.scope != SIGNED_IN:
            found.add(403)
    if "{" in resource.path:
        found |= {400, 404}
    if resource.query.__struct_fields__:
        found.add(400)
    if resource.body is not None:
        found |= {400, 413, 415, 504}
    return found


def _path(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        schema = {"type": "string", "minLength": 1, "pattern": SEGMENT}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _refusals(wanted: Iterable[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(wanted)}


def _refused(resource: Resource, refs: _Refs) -> dict[str, Any]:
    """The refusals of a resource: problem details, or what its protocol has for them."""
    found = _refusals(statuses(resource))
    if resource.refusal is None:
        return found
    content = {JSON: refs(resource.refusal)}
    return {status: {**_refusal(int(status)), "content": content} for status in found}


def _refusal(status: int) -> dict[str, Any]:
    content = {_PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[str, Any] = {"description": _MEANINGS[status], "content": content}
    if status in _HEADERS:
        found["headers"] = _HEADERS[status]
    return found


def _problem_schema() -> dict[str, Any]:
    """Problem details (RFC 9457)."""
    names = ("type", "title", "detail", "instance", "hint")
    properties = {
        **{key: {"type": "string"} for key in names},
        "code": {"enum": sorted({kind.code for kind in errors.tree()})},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
    }
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}
