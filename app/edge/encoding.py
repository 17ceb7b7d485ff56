"""The two encodings of the wire, behind one pair of functions: JSON text and msgpack binary."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from app.core.errors import Error, Malformed
from app.edge import errors

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that do not fit."""

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()
_any_json = msgspec.json.Decoder(msgspec.Raw)
_any_msgpack = msgspec.msgpack.Decoder(msgspec.Raw)


def encode(value: object, *, packed: bool) -> bytes:
    """The value as msgpack when `packed`, else as JSON."""
    return _msgpack.encode(value) if packed else _json.encode(value)


def decode(body: bytes | msgspec.Raw, kind: type[T], *, packed: bool, what: str) -> T:
    """The body as `kind`; raises Invalid or Malformed naming `what`."""
    try:
        return msgspec.msgpack.decode(body, type=kind) if packed else msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise refusal(error, body, packed=packed, what=what) from error


def refusal(error: Exception, body: bytes | memoryview | msgspec.Raw, *, packed: bool, what: str) -> Error:
    """Malformed where the bytes are no JSON or msgpack at all, which a wrong type at their beginning would hide."""
    if isinstance(error, msgspec.ValidationError):
        try:
            if packed:
                _any_msgpack.decode(body)
            else:
                str(body, "utf-8")
                _any_json.decode(body)
        except UNREADABLE as deeper:
            error = deeper
    if isinstance(error, msgspec.MsgspecError):
        return errors.from_decoding(error, what)
    return Malformed(f"{what} cannot be read: {error}", hint="send UTF-8 of modest depth")
