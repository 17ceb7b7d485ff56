"""What a request at a door says beside its body: the credential, whom it is for, until when; and the body itself.

It reads the ASGI scope and messages, and knows no protocol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from litestar.types import Receive, Scope

from app.control.auth import refusal
from app.core.errors import Invalid, TooLarge, Unsupported
from app.core.ids import SEGMENT
from app.edge.guards import DISCARD_BYTES_MAX

AUTHORIZATION, API_KEY = b"authorization", b"x-api-key"
MEDIA, LENGTH, CACHE = b"content-type", b"content-length", b"cache-control"
WORLD, PLAYER, DEADLINE_MS = b"innkeeper-world", b"innkeeper-player", b"innkeeper-deadline-ms"
WANTED = frozenset((AUTHORIZATION, API_KEY, MEDIA, LENGTH, CACHE, WORLD, PLAYER, DEADLINE_MS))
DEADLINE_DIGITS_MAX = 9
FORM = "application/x-www-form-urlencoded"
NO_STORE = b"no-store"

Fields = Mapping[bytes, tuple[bytes, ...]]
_NAME = re.compile(SEGMENT.removesuffix("$") + r"\Z")


class Gone(Exception):
    """The client has left."""


def fields_of(scope: Scope) -> Fields:
    """The headers that matter here, by their names in lower case."""
    found: dict[bytes, tuple[bytes, ...]] = {}
    for name, value in scope["headers"]:
        if name in WANTED:
            found[name] = (*found[name], value) if name in found else (value,)
    return found


def credential(fields: Fields) -> str:
    """The key or token of `Authorization: Bearer` or `x-api-key`; raises Unauthenticated without one, or with two."""
    bearer, key = fields.get(AUTHORIZATION, ()), fields.get(API_KEY, ())
    if len(bearer) > 1 or len(key) > 1:
        raise refusal()
    shown = key[0].decode("latin-1").strip() if key else ""
    if bearer:
        scheme, _, text = bearer[0].decode("latin-1").partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text or (shown and shown != text):
            raise refusal()
        return text
    if not shown:
        raise refusal()
    return shown


def name_in(fields: Fields, header: bytes, length_max: int) -> str:
    """The id that a header gives, or nothing; raises Invalid for what can be no id."""
    values = fields.get(header, ())
    if not values:
        return ""
    try:
        name = values[0].decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{header.decode()} is no UTF-8", hint="send the id in UTF-8") from error
    if len(values) > 1 or len(name) > length_max or not _NAME.match(name):
        raise Invalid(f"{header.decode()} is {name[:64]!r}", hint="give one id, as the game gave it")
    return name


def deadline_ms(fields: Fields, *, usual_ms: int, ms_max: int) -> int:
    """How long the client waits; raises Invalid when it is no whole number."""
    values = fields.get(DEADLINE_MS, ())
    if not values:
        return usual_ms
    text = values[0]
    if len(values) > 1 or not text.isdigit() or len(text) > DEADLINE_DIGITS_MAX or not int(text):
        raise Invalid(f"Innkeeper-Deadline-Ms is {text[:64]!r}", hint="give whole milliseconds, 1 or more")
    return min(int(text), ms_max)


def require_media(fields: Fields, media: tuple[str, ...]) -> None:
    """Raise Unsupported for a body of another media type; what a form or curl says unasked counts as nothing said."""
    named = fields.get(MEDIA, (b"",))[0].decode("latin-1").partition(";")[0].strip().lower()
    if media and named not in ("", FORM, *media):
        raise Unsupported(f"a body of {named[:64]!r} is not read", hint=f"send {media[0]}")


async def body_of(receive: Receive, fields: Fields, *, bytes_max: int) -> bytes:
    """The whole body; raises TooLarge, a little over the cap after it was taken off the wire, and Gone."""
    length = fields.get(LENGTH, (b"",))[0]
    if length.isdigit() and int(length) > bytes_max + DISCARD_BYTES_MAX:
        raise _too_large(bytes_max)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        size += len(message["body"])
        if size <= bytes_max:
            parts.append(message["body"])
        elif size > bytes_max + DISCARD_BYTES_MAX:
            break
        more = message["more_body"]
    if size > bytes_max:
        raise _too_large(bytes_max)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"the body is over {bytes_max} bytes", hint="send less at once, or raise doors.body_bytes_max")
