"""What all HTTP routes share: who asks, the body under its caps, and answers as bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from app.control.auth import Authority, Identity, refusal
from app.core.errors import (
    Broken,
    Error,
    Invalid,
    Malformed,
    NotAllowed,
    NotFound,
    TooLarge,
    Unsupported,
)
from app.core.messages import Request as Message
from app.core.ports import Log
from app.edge import errors
from app.edge.address import client_address
from app.edge.callers import recognize
from app.edge.encoding import decode
from app.edge.guards import DISCARD_BYTES_MAX
from app.edge.limits import Limits
from app.edge.permissions import RESOURCES, resource_of, scope_of
from app.edge.rest.shapes import Nothing

AnyRequest = Request[Any, Any, Any]
T = TypeVar("T", bound=msgspec.Struct)
FORM = "application/x-www-form-urlencoded"
PARAMETERS_MAX = 16
"""As many parameters of a query are looked at."""
TYPED_BYTES_MAX = 32_768
"""Longest body of a resource that reads a type: a passkey's answer fits well."""
NO_STORE = {"Cache-Control": "no-store"}
KEY_PATTERN = '^(?!""$)[!-~]{1,128}$'

_KEY = re.compile(KEY_PATTERN)


async def permit(request: AnyRequest, authority: Authority, limits: Limits) -> Identity:
    """Who asks for a resource, as `identify`; raises Forbidden without the scope that the permission map names."""
    identity = await identify(request, authority, limits)
    scope = scope_of(request.method, template(request))
    if scope is None:
        raise Broken(f"{template(request)} is open to all and asks who calls", hint="give it a scope")
    limits.require(identity, scope, f"{request.method} {template(request)}")
    if resource_of(request.method, template(request)).query is Nothing:
        asked(request, Nothing)
    return identity


def asked(request: AnyRequest, kind: type[T]) -> T:
    """What the query of the URL says, as the permission map types it; raises Invalid for anything else.

    A parameter that comes twice is refused: whoever looks at the first and whoever at the last would disagree.
    """
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        ) if request.scope["query_string"] else []  # fmt: skip
    except ValueError as error:
        raise Invalid(f"the query cannot be read: {error}", hint="send name=value, percent-encoded UTF-8") from error
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Invalid("a parameter of the query comes twice", hint="give each once")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise errors.from_decoding(error, "the query") from error


def content_type(request: AnyRequest, *kinds: str) -> str:
    """The media type of the body, the first of `kinds` where none is named; raises Unsupported for any other.

    What a form or curl sends unless told otherwise counts as unnamed: the body is read as the first kind all the same.
    """
    named = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if named in ("", FORM):
        return kinds[0]
    if named not in kinds:
        raise Unsupported(f"a body of {named!r} is not read", hint=f"send {' or '.join(kinds)}")
    return named


async def body_of(request: AnyRequest, kind: type[T]) -> T:
    """The JSON body as `kind`, an empty one as `{}`, of a resource without parameters.

    Raises Invalid, Malformed, Unsupported or TooLarge.
    """
    asked(request, Nothing)
    content_type(request, "application/json")
    body = await read_body(request, bytes_max=TYPED_BYTES_MAX)
    return decode(body or b"{}", kind, packed=False, what="the body")


def template(request: AnyRequest) -> str:
    """The path of the matched route, such as `/v1/worlds/{world}`: what was asked for, never the text of the URL."""
    (path,) = request.route_handler.paths
    return re.sub(r":\w+}", "}", path)


async def identify(request: AnyRequest, authority: Authority, limits: Limits) -> Identity:
    """Who sent the request, which counts as one; raises Unauthenticated or RateLimited."""
    return await recognize(client_address(request.scope), partial(credential, request), authority, limits)


def credential(request: AnyRequest) -> str:
    """The key or token that came with the request; raises Unauthenticated without one."""
    given = request.headers.getall("authorization", [])
    scheme, _, credential = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not credential:
        raise refusal()
    return credential.strip()


async def read_body(request: AnyRequest, *, bytes_max: int) -> bytes:
    """The whole body; raises TooLarge over `bytes_max`. How long it may take to arrive, app/edge/guards.py minds.

    A body that is a little over is taken off the wire first, unread: a client that is still sending
    would see a broken connection instead of the reason.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > bytes_max + DISCARD_BYTES_MAX:
        raise _too_large(bytes_max)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= bytes_max:
            parts.append(part)
        elif size > bytes_max + DISCARD_BYTES_MAX:
            break
    if size > bytes_max:
        raise _too_large(bytes_max)
    return b"".join(parts)


def header_deadline_ms(request: AnyRequest) -> int | None:
    """The deadline that the client gave; raises Invalid when it is no whole number."""
    text = request.headers.get("innkeeper-deadline-ms")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 9:
        raise Invalid(f"Innkeeper-Deadline-Ms is {text!r}", hint="give whole milliseconds")
    return int(text)


def keyed(request: AnyRequest, typed: Message) -> Message:
    """The message with the key that the client gave in `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).

    A message that has no `key` has one effect however often it comes, and is left as it is. Raises Invalid for a
    key that is empty or too long, and for another one in the body.
    """
    text = request.headers.get("idempotency-key")
    if text is None or "key" not in typed.__struct_fields__:
        return typed
    if not _KEY.fullmatch(text):
        raise Invalid(f"Idempotency-Key has {len(text)} characters", hint="give 1 to 128, all of visible ASCII")
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if getattr(typed, "key", "") not in ("", key):
        raise Invalid("Idempotency-Key and the field `key` differ", hint="give one of them")
    return msgspec.structs.replace(typed, key=key)


def json(value: object, *, status: int = 200, headers: Mapping[str, str] = NO_STORE) -> Response[bytes]:
    """A JSON answer."""
    return Response(
        msgspec.json.encode(value), media_type="application/json", status_code=status, headers=dict(headers)
    )


def problem(error: Error, request: AnyRequest) -> Response[bytes]:
    """An error answer in the shape of RFC 9457."""
    return Response(
        errors.to_problem(error, instance=request.scope["path"]),
        media_type="application/problem+json",
        status_code=error.status,
        headers={**NO_STORE, **errors.headers(error)},
    )


def error_handlers(log: Log) -> dict[int | type[Exception], Any]:
    """What Litestar does with each family of exceptions."""

    def ours(request: AnyRequest, error: Error) -> Response[bytes]:
        return problem(error, request)

    def litestar(request: AnyRequest, error: HTTPException) -> Response[bytes]:
        if error.status_code == 404:
            return problem(NotFound(f"no resource {request.scope['path']!r}", hint="see /openapi.json"), request)
        if error.status_code == 413:
            return problem(_too_large(0), request)
        if error.status_code == 405:
            methods = (error.headers or {}).get("allow", "").split(", ")
            return problem(_not_allowed(request, methods), request)
        return problem(Malformed(error.detail or "the request cannot be read", hint="see /openapi.json"), request)

    def fault(request: AnyRequest, error: Exception) -> Response[bytes]:
        log.error("request.broke", path=request.scope["path"], exc_info=error)
        return problem(errors.broken(request.scope["path"]), request)

    return {Error: ours, HTTPException: litestar, Exception: fault}


def refuse_options(request: AnyRequest) -> None:
    """Raise NotAllowed for the OPTIONS that Litestar adds to every path: nothing here is shared across origins."""
    if request.method == "OPTIONS":
        path = re.sub(r":\w+}", "}", request.scope["path_template"])
        methods = [one.method.upper() for one in RESOURCES if one.path == path]
        raise _not_allowed(request, methods or ["POST"])


def _not_allowed(request: AnyRequest, methods: Sequence[str]) -> NotAllowed:
    known = sorted({*methods} - {"OPTIONS"})
    return NotAllowed(
        f"{request.url.path!r} has no method {request.method!r}", hint=f"it has {', '.join(known)}", methods=known
    )


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"the body is over {bytes_max} bytes", hint="send less at once, or raise the cap in the profile")
