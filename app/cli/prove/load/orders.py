"""What a generator is told to do, and what it found: one JSON line each way between a proof and its workers.

It knows the shapes alone; `generator` sends them, `worker` obeys.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Face = Literal["socket", "http"]
Say = Literal["get", "events", "talk", "echo"]


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """Traffic of one kind at one rate, over the first `sockets` of the held ones (0: all).

    `batch` is the events of a message, `seed` keeps idempotency keys apart (0: there are none); `dialogues` are the
    open ones to talk in.
    """

    face: Face
    say: Say
    per_s: float
    batch: int = 0
    seed: int = 0
    sockets: int = 0
    dialogues: tuple[str, ...] = ()


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """The base of what a worker can be told."""


class Hold(Order, frozen=True, kw_only=True, tag="hold"):
    """Open sockets and HTTP connections and keep them; evenly over `over_s` seconds, 0 as fast as is allowed."""

    port: int
    key: str
    sockets: int = 0
    connections: int = 0
    worlds: int = 1
    over_s: float = 0.0
    echo: bool = False


class Drive(Order, frozen=True, kw_only=True, tag="drive"):
    """Send streams on schedule, whatever the server is slow to answer."""

    seconds: float
    seed: int
    streams: tuple[Stream, ...]


class Ingest(Order, frozen=True, kw_only=True, tag="ingest"):
    """Keep `window` batches of events in flight on each of the first `sockets` (0: all)."""

    seconds: float
    seed: int
    batch: int
    window: int = 1
    sockets: int = 0


class Churn(Order, frozen=True, kw_only=True, tag="churn"):
    """Leave with the oldest held socket and come with another, so many times a second."""

    seconds: float
    per_s: float


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers there were, and how long they took from the moment at which the request was due."""

    count: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0


class Second(Answers, frozen=True, kw_only=True):
    """The answers to what was due in one second of a drive."""

    second: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the requests of one order. `late_ms` is the longest that the generator itself was late."""

    sent: int
    errors: int
    codes: dict[str, int]
    ok: Answers
    shed: Answers
    seconds: tuple[Second, ...]
    closed: int = 0
    late_ms: float = 0.0
    cpu_share: float = 0.0
    events_per_s: float = 0.0

    @property
    def failed_share(self) -> float:
        """Share of the requests that got no answer, a wrong one or a refusal."""
        return (self.errors + self.shed.count) / max(1, self.sent)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets that were opened by one order: those held now, the attempts that failed, and hello's time."""

    held: int
    failed: int
    hello: Answers


def answers(values: list[float]) -> Answers:
    """Counts and nearest-rank percentiles of milliseconds."""
    return Answers(count=len(values), **percentiles(values))


def percentiles(values: list[float]) -> dict[str, float]:
    """p50_ms, p95_ms and p99_ms; nothing of no values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"p{share}_ms": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 95, 99)}
