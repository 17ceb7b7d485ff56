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


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


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

    def get(self, path: str) -> tuple[int, Any]:
        """(status, decoded body)."""
        return ask(self.port, "GET", path, None, self.key)

    def post(self, path: str, data: object) -> tuple[int, Any]:
        """(status, decoded body)."""
        return ask(self.port, "POST", path, data, self.key)


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
    for name, value in settings.items():
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


def ask(port: int, method: str, path: str, data: object, key: str, *, deadline_ms: int = 5_000) -> tuple[int, Any]:
    """(status, decoded body) of one request on a connection of its own; raises OSError or HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_S_MAX)
    try:
        headers = {"Authorization": f"Bearer {key}", "Innkeeper-Deadline-Ms": str(deadline_ms)}
        connection.request(method, path, None if data is None else json.dumps(data), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()
