"""The peer of the load benchmark: Litestar under uvicorn with our options, which only echoes and knows nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from report import ROOT

from app.cli.prove import child

GIVE_UP_S = 60.0
SOURCE = """
import sys
from litestar import Litestar, Request, WebSocket, post, websocket
import uvicorn
import uvloop
import asyncio

@websocket("/echo")
async def link(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await socket.send({"type": "websocket.send", "text": message["text"], "bytes": None})

@post("/echo", status_code=200)
async def echo(request: Request) -> dict:
    return await request.json()

app = Litestar([link, echo], openapi_config=None, logging_config=None)
config = uvicorn.Config(
    app, port=int(sys.argv[1]), ws="websockets-sansio", ws_per_message_deflate=False, log_config=None, access_log=False
)
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(uvicorn.Server(config).serve())
"""


@dataclass(slots=True)
class Peer:
    """A running peer."""

    pid: int
    port: int

    def rss_kib(self) -> int:
        """Resident memory now."""
        return child.rss_kib(self.pid)


@contextmanager
def echo() -> Iterator[Peer]:
    """A peer that answers; killed at the end."""
    port = child.free_port()
    process = subprocess.Popen([sys.executable, "-c", SOURCE, str(port)], cwd=ROOT)
    try:
        until = time.monotonic() + GIVE_UP_S
        while not _answers(port):
            if time.monotonic() > until:
                raise TimeoutError(f"the peer did not answer in {GIVE_UP_S} s")
            time.sleep(0.02)
        yield Peer(process.pid, port)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        return child.ask(port, "POST", "/echo", {}, "") == (200, {})
    except OSError:
        return False
