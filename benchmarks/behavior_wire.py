"""What the behavior benchmark needs of a network: a real server, cheap clients that press it, and the peers' servers.

Clients send bytes that were made beforehand and keep a fixed number of requests in flight; a refusal counts as
no answer. It measures and reports nothing by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
from report import ROOT, note

PEERS = ROOT / ".benchmark-peers"
MODEL = ROOT / "models" / "behavior-open-world-int8.onnx"
"""The one that mode 2 runs."""
PORTS = {"litserve": 18_727, "mlserver": 18_737}
GIVE_UP_S = 60.0

LITSERVE = """
import sys
import litserve
import numpy
import onnxruntime

class Policy(litserve.LitAPI):
    def setup(self, device):
        self.session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        return numpy.asarray(request["rows"], numpy.float32)

    def predict(self, rows):
        return self.session.run(None, {"obs": rows})[0]

    def encode_response(self, output):
        return {"logits": output.tolist()}

if __name__ == "__main__":
    litserve.LitServer(Policy(), accelerator="cpu").run(port=int(sys.argv[2]), generate_client_file=False)
"""
MLSERVER = """
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Policy(MLModel):
    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec).astype("float32")
        logits = self.session.run(None, {"obs": rows})[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("logits", logits)])
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A server and where it listens."""

    port: int
    key: str


class Client(asyncio.Protocol, ABC):
    """One connection that sends `requests` in turns with `in_flight` open at once, from `start` until `until_s`."""

    def __init__(self, requests: Sequence[bytes], *, in_flight: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ms: list[float] = []
        self.refused = 0
        self._requests, self._in_flight = requests, in_flight
        self._sent: deque[float] = deque()
        self._turn = 0
        self._until_s = 0.0
        self._rest = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class
        self.greet()

    def start(self, until_s: float) -> None:
        self._until_s = until_s
        self.done = asyncio.get_running_loop().create_future()
        for _ in range(self._in_flight):
            self._send()

    def _send(self) -> None:
        self._turn += 1
        self._sent.append(time.perf_counter())
        self._transport.write(self._requests[self._turn % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (payload := self.split(self._rest)) is not None:
            if not self.ready.done():
                self.ready.set_result(None)
                continue
            took_ms = (time.perf_counter() - self._sent.popleft()) * 1_000.0
            if self.accepted(payload):
                self.ms.append(took_ms)
            else:
                self.refused += 1
            if time.perf_counter() < self._until_s:
                self._send()
            elif not self._sent and not self.done.done():
                self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for future, awaited in ((self.ready, True), (self.done, bool(self._sent))):
            if awaited and not future.done():
                future.set_exception(exc or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        self._transport.abort()

    @abstractmethod
    def greet(self) -> None:
        """Say what comes before the first request; `ready` ends with the first answer."""

    @abstractmethod
    def split(self, rest: bytearray) -> bytes | None:
        """Take one whole answer off the front, or None."""

    @abstractmethod
    def accepted(self, payload: bytes) -> bool: ...


class Socket(Client):
    """/v1/link in msgpack (RFC 6455, masked with zeros)."""

    def __init__(self, requests: Sequence[bytes], *, in_flight: int, key: str, world: str) -> None:
        super().__init__([masked(request) for request in requests], in_flight=in_flight)
        self._hello = {"token": key, "format": "msgpack", "world": world}
        self._upgraded = False

    def greet(self) -> None:
        self._transport.write(
            b"GET /v1/link HTTP/1.1\r\nHost: benchmark\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: YmVuY2htYXJrLWJlaGF2aQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def split(self, rest: bytearray) -> bytes | None:
        if not self._upgraded:
            end = rest.find(b"\r\n\r\n")
            if end < 0:
                return None
            assert rest.startswith(b"HTTP/1.1 101"), bytes(rest[:end])
            del rest[: end + 4]
            self._upgraded = True
            self._transport.write(masked(msgspec.msgpack.encode({"id": "h", "op": "hello", "data": self._hello})))
        if len(rest) < 2:
            return None
        size, at = rest[1], 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(rest) < at:
                return None
            size = int.from_bytes(rest[2:at], "big")
        if len(rest) < at + size:
            return None
        opcode, payload = rest[0] & 15, bytes(rest[at : at + size])
        del rest[: at + size]
        if opcode == 9:  # a ping wants its payload back
            self._transport.write(masked(payload, opcode=10))
            return self.split(rest)
        return payload

    def accepted(self, payload: bytes) -> bool:
        return bool(msgspec.msgpack.decode(payload)["ok"])


class Posts(Client):
    """HTTP/1.1, one connection kept."""

    def __init__(self, requests: Sequence[bytes], *, in_flight: int = 1) -> None:
        super().__init__(requests, in_flight=in_flight)

    def greet(self) -> None:
        self.ready.set_result(None)

    def split(self, rest: bytearray) -> bytes | None:
        end = rest.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(rest[:end]).lower()
        at = head.index(b"content-length:") + 15
        size = int(head[at:].split(b"\r\n", 1)[0])
        if len(rest) < end + 4 + size:
            return None
        payload = bytes(rest[: end + 4 + size])
        del rest[: end + 4 + size]
        return payload

    def accepted(self, payload: bytes) -> bool:
        return payload.startswith(b"HTTP/1.1 200")


def masked(payload: bytes, *, opcode: int = 2) -> bytes:
    """A client's frame; a mask of zeros leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def post_bytes(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A whole HTTP request."""
    lines = {"Host": "benchmark", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def connected(clients: Sequence[Client], port: int) -> None:
    """Open every client's connection and wait until it may send."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(GIVE_UP_S):
        for client in clients:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
            await client.ready


async def press(clients: Sequence[Client], seconds: float) -> tuple[float, list[float], int]:
    """(answers per second, their milliseconds sorted, refusals) of one spell; the connections stay open."""
    for client in clients:
        client.ms, client.refused = [], 0
    began = time.perf_counter()
    async with asyncio.timeout(seconds + GIVE_UP_S):
        for client in clients:
            client.start(began + seconds)
        await asyncio.gather(*(client.done for client in clients))
    ms = sorted(each for client in clients for each in client.ms)
    return len(ms) / (time.perf_counter() - began), ms, sum(client.refused for client in clients)


async def spell(clients: Sequence[Client], port: int, seconds: float) -> tuple[float, list[float], int]:
    """`press` over connections of its own, which idle servers would close between spells."""
    await connected(clients, port)
    found = await press(clients, seconds)
    for client in clients:
        client.close()
    return found


@contextmanager
def innkeeper(mode: int, npcs: int) -> Iterator[Served]:
    """`manage.py serve` over an empty folder, warm, with a world "w" of that many NPCs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "manage.py",
            "serve",
            "--mode",
            str(mode),
            "--port",
            "0",
            "--data",
            folder,
            "--quiet",
        ]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            url = str(_until(lambda: json.loads((Path(folder) / "address.json").read_text())["url"]))
            _until(lambda: _get(f"{url}/health/ready")["warm"])
            key = (Path(folder) / "api-key").read_text()
            _post(f"{url}/v1/world/create", {"world": "w"}, key)
            for first in range(0, npcs, 500):
                people = [{"type": "npc", "id": f"npc-{at}"} for at in range(first, min(npcs, first + 500))]
                _post(f"{url}/v1/world/upsert", {"world": "w", "entities": people}, key)
            yield Served(int(url.rpartition(":")[2]), key)
        finally:
            process.kill()
            process.wait()


@contextmanager
def peer(name: str) -> Iterator[Served | None]:
    """A peer's server over the same network; None when it cannot be installed."""
    folder, port = PEERS / name, PORTS[name]
    if not _install(name, folder):
        yield None
        return
    if name == "litserve":
        (folder / "behavior.py").write_text(LITSERVE)
        command = [str(folder / "bin" / "python"), "behavior.py", str(MODEL), str(port)]
        health = f"http://127.0.0.1:{port}/health"
    else:
        home = folder / "behavior"
        home.mkdir(exist_ok=True)
        (home / "runtime.py").write_text(MLSERVER)
        ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
        (home / "settings.json").write_text(json.dumps({"parallel_workers": 0, "debug": False, **ports}))
        model = {"name": "policy", "implementation": "runtime.Policy", "parameters": {"uri": str(MODEL)}}
        (home / "model-settings.json").write_text(json.dumps(model))
        command = [str(folder / "bin" / "mlserver"), "start", "behavior"]
        health = f"http://127.0.0.1:{port}/v2/models/policy/ready"
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _until(lambda: urllib.request.urlopen(health, timeout=5).status == 200)
        yield Served(port, "")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _install(name: str, folder: Path) -> bool:
    """A virtual environment with the peer, made once."""
    if (folder / "bin" / name).exists() or (folder / "bin" / "litserve").exists():
        return True
    uv = shutil.which("uv")
    if uv is None:
        return False
    note(f"installing {name}, a peer, into .benchmark-peers")
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    made = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
    for command in (made, [*install, name, "onnxruntime", "numpy"]):
        if subprocess.run(command, check=False).returncode:
            shutil.rmtree(folder, ignore_errors=True)
            return False
    return True


def _until(ask: Any) -> object:
    """The first true answer; a refused connection or a file that is not there yet counts as no."""
    began = time.perf_counter()
    while time.perf_counter() - began < GIVE_UP_S:
        try:
            if answer := ask():
                return cast(object, answer)
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.02)
    raise TimeoutError(f"no answer in {GIVE_UP_S} s")


def _get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return dict(json.load(answer))


def _post(url: str, data: object, key: str) -> dict[str, object]:
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(data).encode(), headers=sent, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))
