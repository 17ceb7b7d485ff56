"""A line as it is kept: the pieces of a finished stream, who wrote them, and what forgets it.

It knows how a line is written and read as bytes, and how it is said again. It does not know where it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Literal

import msgspec

from app.core.tenants import Held, may_write
from app.core.words import Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart, WordsToolDelta

ID_BYTES = 8
OVERHEAD_BYTES = 600
"""What a line takes in the process beside its text, roughly."""
PIECE_BYTES = 80
"""What each piece of it takes."""


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A finished stream; `pieces` are its texts and calls of tools as they came."""

    id: str
    engine: str
    model: str
    writers: tuple[str, ...]
    """Every engine that may have written some of it."""
    reason: Literal["stop", "tools"]
    pieces: tuple[str | WordsToolDelta, ...]
    tags: tuple[str, ...]
    written_ms: int
    """UTC."""

    @property
    def text(self) -> str:
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    def size_bytes(self) -> int:
        """What it takes in the process, roughly."""
        text = sum(
            4 * len(piece) if isinstance(piece, str) else 4 * len(piece.arguments) + PIECE_BYTES
            for piece in self.pieces
        )
        return OVERHEAD_BYTES + text + PIECE_BYTES * len(self.pieces)

    def replay(self) -> Iterator[WordsEvent]:
        """The stream once more, in the same pieces and for nothing."""
        yield WordsStart(engine=self.engine, model=self.model)
        for piece in self.pieces:
            yield WordsDelta(text=piece) if isinstance(piece, str) else piece
        yield WordsEnd(reason=self.reason, usage=Usage())

    def allowed(self, held: Held, regions: Mapping[str, str | None]) -> bool:
        """Whether the tenant lets every one of its writers write; one that is no longer known may not."""
        return all(writer in regions and not may_write(held, writer, regions.get(writer)) for writer in self.writers)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Line)


def line_of(events: list[WordsEvent], writers: tuple[str, ...], tags: tuple[str, ...], wall_ms: int) -> Line | None:
    """The line of a stream; None where it did not end properly, was cut short or filtered, or says nothing."""
    if not events or not isinstance(events[0], WordsStart):
        return None
    start, end = events[0], events[-1]
    if not isinstance(end, WordsEnd) or (end.reason != "stop" and end.reason != "tools"):
        return None
    pieces = tuple(
        event.text if isinstance(event, WordsDelta) else event
        for event in events
        if isinstance(event, WordsDelta | WordsToolDelta)
    )
    if not pieces:
        return None
    said = "".join(piece if isinstance(piece, str) else f"\x1f{piece.name}{piece.arguments}" for piece in pieces)
    return Line(
        id=blake2b(said.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).hexdigest(),
        engine=start.engine,
        model=start.model,
        writers=tuple(dict.fromkeys((start.engine, *writers))),
        reason=end.reason,
        pieces=pieces,
        tags=tags,
        written_ms=wall_ms,
    )


def packed(line: Line) -> bytes | None:
    """The line as bytes; None for text that has no bytes, as a lone surrogate."""
    try:
        return _encoder.encode(line)
    except UnicodeEncodeError:
        return None


def unpacked(data: bytes) -> Line | None:
    """What `packed` was given; None for anything else."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
