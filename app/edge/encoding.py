"""The two encodings of the wire, behind one pair of functions: JSON text and msgpack binary."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from app.core.errors import Malformed
from app.edge import errors

T = TypeVar("T")

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def encode(value: object, *, packed: bool) -> bytes:
    """The value as msgpack when `packed`, else as JSON."""
    return _msgpack.encode(value) if packed else _json.encode(value)


def decode(body: bytes | msgspec.Raw, kind: type[T], *, packed: bool, what: str) -> T:
    """The body as `kind`; raises Invalid or Malformed naming `what`."""
    try:
        return msgspec.msgpack.decode(body, type=kind) if packed else msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise errors.from_decoding(error, what) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{what} cannot be read: {error}", hint="send UTF-8 of modest depth") from error
