"""A server under proof: `manage.py serve` in a process of its own, which may be killed at any moment.

It knows the process, its address and its key. It ends only processes that it started.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.build import ROOT
from app.cli.serve import ADDRESS_FILE, KEY_FILE
from app.core.errors import Broken

START_S_MAX = 60.0
STOP_S_MAX = 40.0
REQUEST_S_MAX = 10.0
DEADLINE_MS = 5_000


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


UNPLANNED = {"modules.behavior.planner.enabled": "false"}
"""The providers of the suites write lines, not plans: a planner would count as down, and cost money beside the bill."""


@dataclass(slots=True)
class Child:
    """One life of a server. `ready_s` is the time from its start to its first readiness; None if it died before."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    pid: int = 0
    ready_s: float | None = None

    @property
    def dead(self) -> bool:
        return self.process.poll() is not None

    @property
    def key(self) -> str:
        return (self.folder / KEY_FILE).read_text()

    def rss_kib(self) -> int:
        """Resident memory now."""
        return rss_kib(self.pid or self.process.pid)

    def cpu_s(self) -> float:
        """Processor time since the start, all threads (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self.pid or self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """How many file descriptors it holds."""
        return len(os.listdir(f"/proc/{self.pid or self.process.pid}/fd"))

    def wait_warm(self) -> None:
        """Wait until kernels and models are loaded too, so that no measurement meets that; raises Broken."""
        until_s = time.monotonic() + START_S_MAX
        while time.monotonic() < until_s and not self.dead:
            if self.get("/health/ready")[1]["warm"]:
                return
            time.sleep(0.05)
        raise Broken(f"the server was not warm in {START_S_MAX:.0f} s", hint=f"see {self.folder / 'server.log'}")

    def wait_dead(self, timeout_s: float) -> bool:
        """Whether it ended by itself in that time."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_s)
        return self.dead

    def kill(self) -> None:
        """End it as a power cut would."""
        for pid in {self.pid or self.process.pid, self.process.pid}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator would; the exit code."""
        os.kill(self.pid or self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def read(self, path: str) -> tuple[int, str]:
        """(status, body as text)."""
        status, body = _exchange(self.port, "GET", path, None, self.key, deadline_ms=DEADLINE_MS)
        return status, body.decode()

    def get(self, path: str) -> tuple[int, Any]:
        """(status, decoded body)."""
        return ask(self.port, "GET", path, None, self.key)

    def post(self, path: str, data: object) -> tuple[int, Any]:
        """(status, decoded body)."""
        return ask(self.port, "POST", path, data, self.key)

    def put(self, path: str, body: bytes) -> tuple[int, Any]:
        """(status, decoded body) of bytes as they are."""
        return ask(self.port, "PUT", path, body, self.key)


def start(
    folder: Path,
    port: int,
    *,
    settings: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    around: Sequence[str] = (),
) -> Child:
    """Start a server in mode 1 and wait until it is ready or dead. `around` is a command that runs it, such as strace.

    Raises Broken when it is neither in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ADDRESS_FILE).unlink(missing_ok=True)
    command = [*around, sys.executable, str(ROOT / "manage.py"), "serve", "--mode", "1", "--quiet"]
    command += ["--data", str(folder), "--port", str(port)]
    for name, value in {**UNPLANNED, **settings}.items():
        command += ["--set", f"{name}={value}"]
    started_s = time.monotonic()
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})  # noqa: S603  # our own server
    child = Child(process, folder, port)
    while not child.dead:
        if time.monotonic() > started_s + START_S_MAX:
            child.kill()
            raise Broken(f"the server was not ready in {START_S_MAX:.0f} s", hint=f"see {folder / 'server.log'}")
        if _ready(child):
            child.ready_s = time.monotonic() - started_s
            break
        time.sleep(0.01)
    return child


@contextmanager
def served(folder: Path, settings: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Iterator[Child]:
    """A server for the length of a block."""
    child = start(folder, free_port(), settings=settings, environment=environment)
    try:
        yield child
    finally:
        child.kill()


def _ready(child: Child) -> bool:
    try:
        child.pid = int(json.loads((child.folder / ADDRESS_FILE).read_text())["pid"])
        return ask(child.port, "GET", "/health/ready", None, "")[0] == http.client.OK
    except (OSError, ValueError, http.client.HTTPException):
        return False


def rss_kib(pid: int) -> int:
    """Resident memory of a process now (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def ask(
    port: int,
    method: str,
    path: str,
    data: object,
    key: str,
    *,
    deadline_ms: int = DEADLINE_MS,
    timeout_s: float = REQUEST_S_MAX,
) -> tuple[int, Any]:
    """(status, decoded body) of one request on a connection of its own; raises OSError or HTTPException."""
    status, body = _exchange(port, method, path, data, key, deadline_ms=deadline_ms, timeout_s=timeout_s)
    return status, json.loads(body or b"null")


def _exchange(
    port: int, method: str, path: str, data: object, key: str, *, deadline_ms: int, timeout_s: float = REQUEST_S_MAX
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {key}", "Innkeeper-Deadline-Ms": str(deadline_ms)}
        body = data if data is None or isinstance(data, bytes) else json.dumps(data)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
