"""What travels: requests, replies, chunks and pushes on the wire, and events in the log.

A request class names its operation in `op` ("behavior.decide"); the envelope carries that
name, so the fields below are exactly the `data` of a frame. It does not know encodings or
sockets: the edge builds one decoder per request class from these types.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, ClassVar

import msgspec

from app.core.ids import ID_LENGTH_MAX

DIGEST_BYTES = 16
WorldName = Annotated[str, msgspec.Meta(max_length=ID_LENGTH_MAX, pattern=r"^[^\x00]*$")]
"""Where a world is asked for; PostgreSQL takes no text with NUL. What a world may be called, world.create decides."""
_deterministic = msgspec.msgpack.Encoder(order="deterministic")


ModelText = Annotated[str, msgspec.Meta(extra={"written_by": "model"})]
"""Text that a model may have written. What carries any says so in `ai_generated` (EU AI Act, article 50)."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Anything with a shape that client and server share."""


class Request(Message, frozen=True, kw_only=True):
    """What a client asks; `world` may be left out where the session already named one."""

    op: ClassVar[str]

    world: WorldName = ""


def digest(request: Request) -> bytes:
    """What a request says besides its key and world, in 16 bytes: equal for the same request sent again.

    The order in which a client wrote the entries of a map makes no difference.
    """
    said = {name: getattr(request, name) for name in request.__struct_fields__ if name not in ("key", "world")}
    return blake2b(_deterministic.encode((request.op, said)), digest_size=DIGEST_BYTES).digest()


class Reply(Message, frozen=True, kw_only=True):
    """The one answer to a request."""


class Chunk(Message, frozen=True, kw_only=True):
    """A part of an answer, sent ahead of the reply."""


class Push(Message, frozen=True, kw_only=True):
    """What the server tells unasked; `op` names it as in a request."""

    op: ClassVar[str]


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True, gc=False):
    """The body of an event: what is now different in a world. No cycle can go through one, so none is looked for."""


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One committed change: its place in the world's log, and when.

    `seq` counts from 1 without gaps in each world; `wall_ms` is UTC, `game_s` the world's own clock.
    """

    seq: int
    id: str
    wall_ms: int
    game_s: float
    change: Any


class Frame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The envelope that a client sends."""

    id: Annotated[str, msgspec.Meta(max_length=ID_LENGTH_MAX)]
    op: str
    deadline_ms: Annotated[int, msgspec.Meta(le=(1 << 63) - 1)] | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")
