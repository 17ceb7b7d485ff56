"""Server-sent events (WHATWG HTML, section 9.2) as the `data` of each; names, ids and comments are skipped.

It holds one unfinished event and no connection. It does not know what the data mean.
"""

from __future__ import annotations

from app.core.errors import EngineDown

EVENT_BYTES_MAX = 1 << 20
"""Bytes of one event; a provider that sends more is cut off."""
_END = b"\n\n"


class Events:
    """A stream of bytes, in pieces cut anywhere, as events."""

    __slots__ = ("_engine", "_held", "_looked", "_returned")

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._held = bytearray()
        self._looked = 0
        """Where in what is held the end of an event may begin."""
        self._returned = False
        """The last piece ended with a carriage return, which may be half of a line's end."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that `piece` completes; raises EngineDown when one event is too large."""
        if self._returned or b"\r" in piece:
            piece = self._lines(piece)
        if not self._held and piece.endswith(_END):
            return [data for block in piece[:-2].split(_END) if (data := _data(block))]
        held = self._held
        held += piece
        at = held.rfind(_END, self._looked)
        if at < 0:
            if len(held) > EVENT_BYTES_MAX:
                raise EngineDown(f"{self._engine} sent an event of over {EVENT_BYTES_MAX} bytes", failure="incomplete")
            self._looked = max(len(held) - 1, 0)
            return []
        whole, rest = bytes(held[:at]), bytes(held[at + 2 :])
        self._held, self._looked = bytearray(rest), max(len(rest) - 1, 0)
        return [data for block in whole.split(_END) if (data := _data(block))]

    def _lines(self, piece: bytes) -> bytes:
        """The piece with every end of a line as one line feed."""
        if self._returned:
            piece = b"\r" + piece
        self._returned = piece.endswith(b"\r")
        if self._returned:
            piece = piece[:-1]
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(block: bytes) -> bytes:
    """The data of one event; empty where it has none."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)
