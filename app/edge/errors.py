"""Errors as a client sees them: one shape on the socket, RFC 9457 problem details on HTTP.

Nothing of ours leaks: an error outside the tree becomes `internal` with the request's id.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from app.core.errors import Broken, Error, Invalid, Malformed, NotAllowed

DOCS = "/docs/errors"


def from_decoding(error: msgspec.MsgspecError, what: str) -> Error:
    """Invalid for a wrong shape, naming the field; Malformed for bytes that do not parse."""
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        reason, _, path = text.partition(" - at `")
        field = path.rstrip("`").removeprefix("$.")
        where = f"field {field!r} of {what}" if field and field != "$" else what
        return Invalid(f"{where}: {reason[0].lower()}{reason[1:]}", hint="see the message's schema in /openapi.json")
    return Malformed(f"{what} cannot be read: {text}", hint="send one JSON object, or one msgpack map")


def broken(id: str) -> Broken:
    """What a client is told of a fault of ours."""
    return Broken("a fault in the server; nothing was changed", hint=f"report it with the request id {id!r}")


def to_frame(error: Error) -> dict[str, Any]:
    """The `error` member of a socket reply."""
    shown: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "docs": f"{DOCS}#{error.code}",
    }
    if error.retry_after_s is not None:
        shown["retry_after_s"] = error.retry_after_s
    return shown


def to_problem(error: Error, *, instance: str) -> bytes:
    """The body of an `application/problem+json` answer."""
    return msgspec.json.encode(
        {
            "type": f"{DOCS}#{error.code}",
            "title": type(error).__name__,
            "status": error.status,
            "detail": error.message,
            "instance": instance,
            "code": error.code,
            "hint": error.hint,
        }
    )


def headers(error: Error) -> dict[str, str]:
    """The response headers that an error calls for."""
    found = {}
    if error.status == 401:
        found["WWW-Authenticate"] = "Bearer"
    if isinstance(error, NotAllowed):
        found["Allow"] = ", ".join(error.methods)
    if error.retry_after_s is not None or error.status in (429, 503):
        found["Retry-After"] = str(math.ceil(error.retry_after_s or 1.0))
    return found
