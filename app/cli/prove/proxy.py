"""A TCP proxy whose line can be broken in nine ways while it carries traffic. It knows bytes, not protocols.

A piece is what one read gives, about a segment. `loss` models what an application sees of a bad line without
touching the kernel: one piece in twenty stalls for two retransmission timeouts, and then the connection is reset.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from contextlib import suppress
from typing import Literal

Fault = Literal["pass", "down", "refuse", "hang", "slow", "reset", "loss", "half_close", "garbage"]
PIECE_BYTES = 65_536
SLOW_S = 2.0
LOSS_SHARE = 0.05
STALL_S = 0.4
LINGER_OFF = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST instead of FIN."""


class Proxy:
    """One listener on loopback in front of `target`; `switch` changes what it does to old and new connections."""

    def __init__(self, target: int, *, seed: int) -> None:
        self._target = target
        self._draw = random.Random(seed)  # noqa: S311  # a repeatable draw
        self._fault: Fault = "pass"
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.struck_s: float | None = None
        """When the fault in force first met traffic, by the monotonic clock; a line without traffic shows no fault."""

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and reset every connection."""
        if self._server is not None:
            self._server.close()
        self._reset_all()

    async def switch(self, fault: Fault) -> None:
        """From now on the line is like that; what `hang` holds back goes on when it ends."""
        before, self._fault = self._fault, fault
        self._changed.set()
        self._changed = asyncio.Event()
        self.struck_s = time.monotonic() if fault in ("down", "refuse") else None
        if fault in ("down", "refuse"):
            self._reset_all()
        if fault == "down" and self._server is not None:
            self._server.close()
        elif before == "down":
            await self.open()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "refuse":
            _reset(writer)
            return
        try:
            below, above = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, above}
        try:
            # Cancellation is the end of the proof; the server that calls this would log it.
            with suppress(asyncio.CancelledError):
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pipe(reader, above, back=writer, answers=False))
                    both.create_task(self._pipe(below, writer, back=above, answers=True))
        finally:
            self._open -= {writer, above}
            for one in (writer, above):
                one.close()

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: asyncio.StreamWriter, answers: bool
    ) -> None:
        """Carry pieces one way until either side ends; then the other way ends too."""
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if not await self._carry(piece, writer, back=back, answers=answers):
                    return
        for one in (writer, back):
            one.close()

    async def _carry(
        self, piece: bytes, writer: asyncio.StreamWriter, *, back: asyncio.StreamWriter, answers: bool
    ) -> bool:
        """Do to one piece what the fault says; whether the line goes on."""
        fault = self._fault
        if fault == "loss" and self._draw.random() >= LOSS_SHARE:
            fault = "pass"
        if fault != "pass" and self.struck_s is None:
            self.struck_s = time.monotonic()
        match fault:
            case "hang":
                while self._fault == "hang":
                    await self._changed.wait()
            case "slow":
                await asyncio.sleep(SLOW_S)
            case "loss":
                await asyncio.sleep(STALL_S)
                self._reset_both(writer, back)
                return False
            case "reset" if answers:
                writer.write(piece[: len(piece) // 2])
                self._reset_both(writer, back)
                return False
            case "half_close" if answers:
                writer.write_eof()
                return True
            case "garbage" if answers:
                piece = self._draw.randbytes(len(piece))
        if writer.is_closing():
            return False
        writer.write(piece)
        await writer.drain()
        return True

    def _reset_both(self, *writers: asyncio.StreamWriter) -> None:
        for one in writers:
            _reset(one)

    def _reset_all(self) -> None:
        for one in list(self._open):
            _reset(one)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a process that died in the middle does."""
    line = writer.get_extra_info("socket")
    if line is not None:
        with suppress(OSError):
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
    writer.transport.abort()
