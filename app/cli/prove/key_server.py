"""A Redis or Valkey of a proof's own: on loopback, in a folder that is erased, killed and started at will."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.core.errors import StoreDown

PROGRAMS = ("valkey-server", "redis-server")
START_S_MAX = 20.0


def find_program() -> str:
    """The first program that is on PATH; raises StoreDown."""
    for name in PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    raise StoreDown(f"none of {', '.join(PROGRAMS)} is on PATH", hint="apt-get install redis-server")


@dataclass(slots=True)
class KeyServer:
    """One server; a second start is on the same port, with nothing in it unless it appends what it holds to a file."""

    program: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    appends: Literal["yes", "no"] = "no"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers; raises StoreDown."""
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", self.appends]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  # no shell
        until_s = time.monotonic() + START_S_MAX
        while time.monotonic() < until_s and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as link:
                link.sendall(b"PING\r\n")
                if link.recv(64).startswith(b"+PONG"):
                    return
            time.sleep(0.01)
        self.kill()
        raise StoreDown(f"{self.program} did not start on port {self.port}", hint="run it by hand")

    def clients(self) -> int:
        """How many connections it holds besides the one that asks."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as link, link.makefile("rb") as answer:
            link.sendall(b"CLIENT LIST\r\n")
            size = int(answer.readline().removeprefix(b"$"))
            return len(answer.read(size).split(b"\n")) - 2

    def kill(self) -> None:
        """End it as a power cut would; safe to call twice."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None
