"""Several servers over one PostgreSQL, each with an address of its own, and haproxy in front of them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import Server, start

LEASE_MS = 1_000
START_S_MAX = 20.0
HAPROXY = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    retries 2
    option redispatch
frontend game
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /health/ready
    default-server inter 100ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Replicas:
    """Servers that share a database, and a Redis-protocol server where one is given."""

    folder: Path
    database_url: str
    cache_url: str = ""
    servers: list[Server] = field(default_factory=list)

    def add(self) -> Server:
        """One more server; the first one's key opens every one."""
        folder = self.folder / f"replica{len(self.servers)}"
        folder.mkdir()
        if self.servers:
            shutil.copy(self.servers[0].folder / "api-key", folder)
        server = self._start(folder, free_port())
        self.servers.append(server)
        return server

    def restart(self, number: int) -> Server:
        """The same server again, after its end."""
        ended = self.servers[number]
        self.servers[number] = self._start(ended.folder, int(ended.url.rpartition(":")[2]))
        return self.servers[number]

    def end(self) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()

    def _start(self, folder: Path, port: int) -> Server:
        settings = [
            f"server.port={port}", f"ownership.address=http://127.0.0.1:{port}", f"ownership.lease_ms={LEASE_MS}",
            f"database.url={self.database_url}", f"cache.url={self.cache_url}",
            "cache.alone_share=0.5",
        ]  # fmt: skip
        return start(folder, *(part for setting in settings for part in ("--set", setting)))


@contextmanager
def replicas(folder: Path, database_url: str, *, count: int = 2, cache_url: str = "") -> Iterator[Replicas]:
    """`count` servers for the length of a block."""
    found = Replicas(folder, database_url, cache_url)
    try:
        for _ in range(count):
            found.add()
        yield found
    finally:
        found.end()


@contextmanager
def balanced(folder: Path, servers: Sequence[Server]) -> Iterator[Server]:
    """The servers behind one address; its `process` is haproxy's."""
    port = free_port()
    lines = [f"    server r{n} {server.url.removeprefix('http://')} check" for n, server in enumerate(servers)]
    (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, servers="\n".join(lines)))
    process = subprocess.Popen(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")])
    front = Server(process, folder, f"http://127.0.0.1:{port}", servers[0].key)
    try:
        until = time.monotonic() + START_S_MAX
        while time.monotonic() < until:
            with suppress(OSError):
                if front.get("/health/ready")[0] == 200:
                    break
            time.sleep(0.05)
        yield front
    finally:
        process.kill()
        process.wait()
