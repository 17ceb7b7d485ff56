"""A real server in a process of its own, and a small client of the wire, for tests over the network."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import websockets

ROOT = Path(__file__).resolve().parent.parent
START_S_MAX = 60.0


@dataclass
class Server:
    """A running `manage.py serve`."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str
    key: str

    def kill(self) -> None:
        """End it as a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator would; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)

    def post(self, path: str, data: object, *, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """(status, decoded JSON) of a POST with the server's own key."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self.request("POST", path, body, headers=headers)

    def get(self, path: str) -> tuple[int, Any]:
        return self.request("GET", path, None)

    def request(
        self, method: str, path: str, body: bytes | None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read())


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def start(
    folder: Path, *arguments: str, mode: int = 1, environment: dict[str, str] | None = None, release: Path = ROOT
) -> Server:
    """Start a server of the release in that folder on a free port and wait until it is ready."""
    (folder / "address.json").unlink(missing_ok=True)
    command = [
        sys.executable, str(release / "manage.py"), "serve", "--mode", str(mode), "--data", str(folder),
        "--profile", str(release / "profiles" / "test.toml"), "--quiet", *arguments,
    ]  # fmt: skip
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **(environment or {})})
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}: {(folder / 'server.log').read_text()}")
        try:
            address = json.loads((folder / "address.json").read_text())
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
            continue
        return Server(process, folder, address["url"], (folder / "api-key").read_text())
    process.kill()
    process.wait()
    raise AssertionError(f"the server was not ready in {START_S_MAX} s")


@contextmanager
def running(folder: Path, *arguments: str, mode: int = 1, release: Path = ROOT) -> Iterator[Server]:
    """A server for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    server = start(folder, *arguments, mode=mode, release=release)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


class Link:
    """A client on /v1/link. Replies and pushes are kept by what they answer."""

    def __init__(self, socket: websockets.ClientConnection, *, packed: bool) -> None:
        self.socket = socket
        self.packed = packed
        self.pushes: list[dict[str, Any]] = []
        self.chunks: list[dict[str, Any]] = []
        self._next = 0

    async def send(self, op: str, data: object, *, id: str | None = None, deadline_ms: int | None = None) -> str:
        """Send a frame and return its id."""
        id, body = self._frame(op, data, id=id, deadline_ms=deadline_ms)
        await self.socket.send(body)
        return id

    async def send_together(self, op: str, data: Sequence[object]) -> list[str]:
        """Send a frame for each of `data`, as near to one another as the machine lets; their ids."""
        frames = [self._frame(op, each) for each in data]
        for _, body in frames:
            await self.socket.send(body)
        return [id for id, _ in frames]

    def _frame(
        self, op: str, data: object, *, id: str | None = None, deadline_ms: int | None = None
    ) -> tuple[str, str | bytes]:
        self._next += 1
        frame: dict[str, Any] = {"id": id or f"r{self._next}", "op": op, "data": data}
        if deadline_ms is not None:
            frame["deadline_ms"] = deadline_ms
        codec = msgspec.msgpack if self.packed else msgspec.json
        body = codec.encode(frame)
        return str(frame["id"]), body if self.packed else body.decode()

    async def receive(self, *, timeout_s: float = 10.0) -> dict[str, Any]:
        """The next frame, decoded."""
        body = await asyncio.wait_for(self.socket.recv(), timeout_s)
        return msgspec.msgpack.decode(body) if isinstance(body, bytes) else msgspec.json.decode(body)

    async def ask(self, op: str, data: object, *, deadline_ms: int | None = None) -> dict[str, Any]:
        """The final reply to a frame; pushes and chunks on the way are kept."""
        id = await self.send(op, data, deadline_ms=deadline_ms)
        return await self.reply(id)

    async def reply(self, id: str) -> dict[str, Any]:
        while True:
            frame = await self.receive()
            if "op" in frame:
                self.pushes.append(frame)
            elif "chunk" in frame:
                self.chunks.append(frame)
            elif frame["id"] == id:
                return frame


@asynccontextmanager
async def connect(server: Server, *, packed: bool = False, **hello: Any) -> AsyncIterator[Link]:
    """A socket that has said hello; the reply's data is `link.hello`."""
    url = server.url.replace("http", "ws", 1) + "/v1/link"
    async with websockets.connect(url, max_size=16 * 2**20, compression=None) as socket:
        link = Link(socket, packed=packed)
        data = {"token": server.key, "format": "msgpack" if packed else "json", **hello}
        reply = await link.ask("hello", data)
        assert reply["ok"], reply
        link.hello = reply["data"]  # type: ignore[attr-defined]  # a test's shorthand
        yield link
