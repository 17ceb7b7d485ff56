"""What all HTTP routes share: who asks, the body under its caps, and answers as bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from app.control.auth import Authority, Identity, refusal
from app.core.errors import Broken, DeadlineExceeded, Error, Invalid, Malformed, NotFound, TooLarge, Unauthenticated
from app.core.messages import Request as Message
from app.core.ports import Log
from app.edge import errors
from app.edge.encoding import decode
from app.edge.limits import Limits
from app.edge.permissions import scope_of

AnyRequest = Request[Any, Any, Any]
T = TypeVar("T", bound=msgspec.Struct)
NO_STORE = {"Cache-Control": "no-store"}
DISCARD_BYTES_MAX = 8_388_608
"""How much of a body over its cap is read and thrown away, so that the answer arrives."""
KEY_LENGTH_MAX = 128
TYPED_BYTES_MAX = 32_768
"""Longest body of a resource that reads a type: a passkey's answer fits well."""
BODY_MS_MAX = 30_000
"""Longest time that a body may take to arrive."""


async def permit(request: AnyRequest, authority: Authority, limits: Limits) -> Identity:
    """Who asks for a resource, as `identify`; raises Forbidden without the scope that the permission map names."""
    identity = await identify(request, authority, limits)
    scope = scope_of(request.method, template(request))
    if scope is None:
        raise Broken(f"{template(request)} is open to all and asks who calls", hint="give it a scope")
    identity.require(scope)
    return identity


def template(request: AnyRequest) -> str:
    """The path of the matched route, such as `/v1/worlds/{world}`: what was asked for, never the text of the URL."""
    (path,) = request.route_handler.paths
    return re.sub(r":\w+}", "}", path)


async def identify(request: AnyRequest, authority: Authority, limits: Limits) -> Identity:
    """Who sent the request, which counts as one; raises Unauthenticated or RateLimited."""
    try:
        identity = authority.identify(credential(request))
    except Unauthenticated as error:
        raise await limits.failed(request.client.host if request.client else "", error) from error
    await limits.take(identity)
    return identity


def credential(request: AnyRequest) -> str:
    """The key or token that came with the request; raises Unauthenticated without one."""
    given = request.headers.getall("authorization", [])
    scheme, _, credential = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not credential:
        raise refusal()
    return credential.strip()


async def read_body(request: AnyRequest, *, bytes_max: int) -> bytes:
    """The whole body; raises TooLarge over `bytes_max` and DeadlineExceeded when it arrives too slowly.

    A body that is a little over is taken off the wire first, unread: a client that is still sending
    would see a broken connection instead of the reason.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > bytes_max + DISCARD_BYTES_MAX:
        raise _too_large(bytes_max)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_MS_MAX / 1000.0):
            async for part in request.stream():
                size += len(part)
                if size <= bytes_max:
                    parts.append(part)
                elif size > bytes_max + DISCARD_BYTES_MAX:
                    break
    except TimeoutError as error:
        raise DeadlineExceeded(f"the body took over {BODY_MS_MAX} ms to arrive", hint="send it faster") from error
    if size > bytes_max:
        raise _too_large(bytes_max)
    return b"".join(parts)


async def read_typed(request: AnyRequest, kind: type[T]) -> T:
    """The JSON body as `kind`, an empty one as `{}`; raises Invalid, Malformed, and as `read_body`."""
    body = await read_body(request, bytes_max=TYPED_BYTES_MAX)
    return decode(body or b"{}", kind, packed=False, what="the body")


def address_of(request: AnyRequest) -> str:
    """The address that a try to sign in is counted against."""
    return request.client.host if request.client else ""


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
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if not 0 < len(key) <= KEY_LENGTH_MAX:
        raise Invalid(f"Idempotency-Key has {len(key)} characters", hint=f"give 1 to {KEY_LENGTH_MAX}")
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
        answer = problem(Malformed(error.detail or "the request cannot be read", hint="see /openapi.json"), request)
        answer.status_code = error.status_code
        return answer

    def fault(request: AnyRequest, error: Exception) -> Response[bytes]:
        log.error("request.broke", path=request.scope["path"], exc_info=error)
        return problem(errors.broken(request.scope["path"]), request)

    return {Error: ours, HTTPException: litestar, Exception: fault}


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"the body is over {bytes_max} bytes", hint="send less at once, or raise the cap in the profile")
