"""The measurements that suites H, I and J and the load benchmark have in common: what is sent, and how it is read.

They know generators and what these found; which server is pressed, and what passes, is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.cli.prove.load.generator import Generator
from app.cli.prove.load.orders import Drive, Found, Ingest, Opened, Say, Stream

BATCH = 100
"""Events in one message while ingestion is measured."""
PRESS_BATCH = 250
"""Events in one message while the server is overloaded: what a game sends for all its players at once."""
CLIENTS = 6
"""Game servers that ingest, each with one message in flight."""
OVERLOAD = 5.0
CALM = 0.5
"""Share of the peak that counts as normal load."""
NORMAL_MS_MIN = 50.0
"""A p95 up to this is normal, however good it was before."""
FEW = 5
"""A second with fewer answers than this says nothing about its p95."""
LIGHT_PER_S = 1_000.0
IDLE_SOCKETS = 50
IDLE_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Held:
    """Many idle sockets: how they came, what each costs, and what the traffic beside them met."""

    opened: Opened
    kib_per_socket: float
    found: Found

    @property
    def alive(self) -> int:
        """The idle sockets that were still there at the end."""
        return self.opened.held - IDLE_SOCKETS - self.found.closed


def hold(
    generator: Generator, rss_kib: Callable[[], int], *, sockets: int, seconds: float, over_s: float = 0.0, echo: bool
) -> Held:
    """Open idle sockets, then send 1,000 messages/s over random ones and 1,000 HTTP requests/s."""
    generator.hold(sockets=IDLE_SOCKETS, connections=IDLE_CONNECTIONS)
    generator.ask(Drive(seconds=1, seed=0, streams=_light(echo=echo)))
    before_kib = rss_kib()
    opened = generator.hold(sockets=sockets, over_s=over_s)
    time.sleep(1)
    kib_per_socket = (rss_kib() - before_kib) / sockets
    return Held(opened, kib_per_socket, generator.ask(Drive(seconds=seconds, seed=1, streams=_light(echo=echo))))


def _light(*, echo: bool) -> tuple[Stream, ...]:
    say: Say = "echo" if echo else "get"
    return (
        Stream(face="socket", say=say, per_s=LIGHT_PER_S),
        Stream(face="http", say=say, per_s=LIGHT_PER_S),
    )


def ingest(generator: Generator, *, seconds: float) -> Found:
    """What durable events a few clients bring in, each with one message in flight; a second of it warms up."""
    generator.hold(sockets=CLIENTS)
    generator.ask(Ingest(seconds=1, seed=1, batch=BATCH))
    return generator.ask(Ingest(seconds=seconds, seed=2, batch=BATCH))


def peak_per_s(generator: Generator, *, seconds: float) -> float:
    """Messages a second when clients wait for answers: the most that the server does."""
    generator.ask(Ingest(seconds=1, seed=1, batch=PRESS_BATCH))
    found = [
        generator.ask(Ingest(seconds=seconds / 2, seed=seed, batch=PRESS_BATCH, sockets=CLIENTS)) for seed in (2, 3)
    ]
    return max(one.events_per_s for one in found) / PRESS_BATCH


def press(generators: Sequence[Generator], per_s: float, seconds: float, *, seed: int) -> list[Found]:
    """Messages of events at that rate, from all the generators together."""
    begin_press(generators, per_s, seconds, seed=seed)
    return [generator.end() for generator in generators]


def begin_press(generators: Sequence[Generator], per_s: float, seconds: float, *, seed: int) -> None:
    """The same without waiting for what they find."""
    for number, generator in enumerate(generators):
        stream = Stream(
            face="socket", say="events", batch=PRESS_BATCH, per_s=per_s / len(generators), seed=seed + number
        )
        generator.begin(Drive(seconds=seconds, seed=seed + number, streams=(stream,)))


def good_per_s(pressed: Sequence[Found], seconds: float) -> float:
    """Requests answered well, a second."""
    return sum(one.ok.count for one in pressed) / seconds


def shed_p95_ms(pressed: Sequence[Found]) -> float | None:
    """How long a refusal took; None where nothing was refused."""
    return max((one.shed.p95_ms for one in pressed if one.shed.count), default=None)


def recovered_s(calm: Sequence[Found], after: Sequence[Found]) -> float | None:
    """Seconds after which no second's p95 was above normal any more; None where that was not seen."""
    normal_ms = max(NORMAL_MS_MIN, 1.5 * max(one.ok.p95_ms for one in calm))
    seconds = [second for one in after for second in one.seconds]
    late = [one.second for one in seconds if one.count >= FEW and one.p95_ms > normal_ms]
    recovered = max(late, default=-1) + 1
    return float(recovered) if recovered <= max((one.second for one in seconds), default=-1) else None
