"""A generator as a proof sees it: a worker process that takes an order at a time, and the server to press.

It knows how to start both and how to talk to the worker; what is sent and how it is timed is the worker's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

import msgspec

from app.build import ROOT
from app.cli.prove import child as children
from app.cli.prove.child import Child
from app.cli.prove.load import traffic
from app.cli.prove.load.orders import Churn, Drive, Found, Hold, Ingest, Opened, Order
from app.core.errors import Broken

WORLDS = 50
SETTINGS = {"telemetry.log_level": "warning"}

_found = msgspec.json.Decoder(Found)
_opened = msgspec.json.Decoder(Opened)


class Generator:
    """One worker process. With `begin` and `end` several work at once."""

    def __init__(self, *, port: int, key: str, worlds: int = WORLDS, echo: bool = False) -> None:
        self._port, self._key, self._worlds, self._echo = port, key, worlds, echo
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.prove.load.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self._in, self._out = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._in.close()
        self._out.close()

    def hold(self, *, sockets: int, connections: int = 0, over_s: float = 0.0) -> Opened:
        """Open and keep connections."""
        self._tell(
            Hold(
                port=self._port, key=self._key, worlds=self._worlds, echo=self._echo,
                sockets=sockets, connections=connections, over_s=over_s,
            )
        )  # fmt: skip
        return _opened.decode(self._line())

    def ask(self, order: Drive | Ingest) -> Found:
        """What one order found."""
        self.begin(order)
        return self.end()

    def begin(self, order: Drive | Ingest | Churn) -> None:
        """Give an order; `end`, or `churned` for a churn, takes the answer."""
        self._tell(order)

    def end(self) -> Found:
        """The answer to a drive or an ingest."""
        return _found.decode(self._line())

    def churned(self) -> Opened:
        """The answer to a churn."""
        return _opened.decode(self._line())

    def _tell(self, order: Order) -> None:
        self._in.write(msgspec.json.encode(order) + b"\n")
        self._in.flush()

    def _line(self) -> bytes:
        line = self._out.readline()
        if not line:
            raise Broken("the load generator died", hint="its last words are on standard error")
        return line


@contextmanager
def served(
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    worlds: int = WORLDS,
) -> Iterator[Child]:
    """A warm server with worlds full of entities; killed at the end."""
    child = children.start(
        folder, children.free_port(), settings={**SETTINGS, **(settings or {})}, environment=environment
    )
    try:
        if child.dead:
            raise Broken("the server to press did not start", hint=f"see {folder / 'server.log'}")
        child.wait_warm()
        populate(child, child.key, worlds)
        yield child
    finally:
        child.kill()


def populate(child: Child, key: str, worlds: int) -> None:
    """Make the worlds that the traffic plays in; raises Broken when the server refuses."""
    for number in range(worlds):
        for path, data in (
            ("/v1/world/create", {"world": traffic.world(number)}),
            ("/v1/world/upsert", {"world": traffic.world(number), "entities": traffic.entities()}),
        ):
            status, answer = children.ask(child.port, "POST", path, data, key)
            if status != 200:
                raise Broken(f"{path} was refused: {status} {answer!r}", hint=f"see {child.folder / 'server.log'}")
