"""How much one server process bears: idle sockets and their memory, open-loop traffic, durable events, overload.

The generator runs in processes of its own from several loopback addresses and times from the moment at which a
request was due, so waiting counts. Peers in the same run: Litestar under uvicorn that only echoes, and sqlite3's
own executemany. The server logs warnings only. With --quick there are fewer sockets, for shorter.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load import traffic
from load.servers import Generator, Running, echo, innkeeper, postgres
from report import Report, note, start

BATCH = 100
"""Events in one message while ingestion is measured."""
PRESS_BATCH = 250
"""Events in one message while the server is overloaded: what a game sends for all its players at once."""
CLIENTS = 6
"""Game servers that ingest, each with one message in flight."""
OVERLOAD = 5.0
CALM = 0.5
"""Share of the peak that counts as normal load."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much and how long; seconds throughout."""

    sockets: int
    hold: float
    ingest: float
    peak: float
    press: float
    after: float


FULL = Plan(sockets=10_000, hold=60, ingest=20, peak=10, press=60, after=20)
QUICK = Plan(sockets=2_000, hold=4, ingest=2.5, peak=2, press=6, after=4)


def main() -> None:
    """Take the figures."""
    report = start("load")
    plan = QUICK if report.options.quick else FULL
    _sockets(report, plan)
    _events(report, plan)
    _overload(report, plan)
    report.close()


def _sockets(report: Report, plan: Plan) -> None:
    """Idle sockets, and traffic beside them: 1,000 messages/s over random sockets and 1,000 HTTP requests/s."""
    note(f"{plan.sockets} sockets on the peer, then on us")
    with echo() as server, Generator(server, echo=True) as generator:
        peer_kib, peer = _held(server, generator, plan, say="echo")
    with innkeeper() as server, Generator(server) as generator:
        kib, ours = _held(server, generator, plan, say="get")
    name = "Litestar on uvicorn, echo only"
    report.add("sockets", float(plan.sockets - ours["closed"]), "sockets", "higher", goal=10_000.0)
    report.add("kib_per_socket", kib, "KiB", "lower", goal=32.0, peer=name, peer_value=peer_kib)
    report.add("error_share", _error_share(ours), "share", "lower", goal=0.0001)
    for share, goal in ((95, 50.0), (99, 150.0)):
        of_peer = peer["ok"][f"p{share}_ms"]
        report.add(
            f"overhead_p{share}_ms", ours["ok"][f"p{share}_ms"], "ms", "lower", goal=goal, peer=name, peer_value=of_peer
        )


def _held(server: Running, generator: Generator, plan: Plan, *, say: str) -> tuple[float, dict[str, Any]]:
    """(KiB per idle socket, what the traffic beside them met)."""
    generator.hold(sockets=50, connections=64)
    generator.ask("drive", seconds=1, seed=0, streams=_light(say))
    before_kib = server.rss_kib()
    generator.hold(sockets=plan.sockets)
    time.sleep(1)
    kib = (server.rss_kib() - before_kib) / plan.sockets
    return kib, generator.ask("drive", seconds=plan.hold, seed=1, streams=_light(say))


def _light(say: str) -> list[dict[str, Any]]:
    return [{"face": face, "say": say, "per_s": 1_000.0} for face in ("socket", "http")]


def _error_share(found: dict[str, Any]) -> float:
    return (found["errors"] + found["shed"]["count"]) / found["sent"]


def _events(report: Report, plan: Plan) -> None:
    """Durable events a second: several clients, each with one message of events in flight."""
    p99_ms = []
    for kind in ("sqlite", "postgres"):
        note(f"events into {kind}")
        with ExitStack() as stack:
            settings = [f"database.url={stack.enter_context(postgres())}"] if kind == "postgres" else []
            server = stack.enter_context(innkeeper(*settings, worlds=CLIENTS))
            generator = stack.enter_context(Generator(server))
            generator.hold(sockets=CLIENTS, worlds=CLIENTS)
            generator.ask("ingest", seconds=1, seed=1, batch=BATCH, window=1)
            found = generator.ask("ingest", seconds=plan.ingest, seed=2, batch=BATCH, window=1)
        peer_per_s = _executemany(plan.ingest) if kind == "sqlite" else None
        report.add(
            f"events_per_s.{kind}", found["events_per_s"], "events/s", "higher", goal=20_000.0,
            peer="sqlite3 executemany, the same rows and commits" if peer_per_s else None, peer_value=peer_per_s,
        )  # fmt: skip
        report.add(f"ack_p99_ms.{kind}", found["ok"]["p99_ms"], "ms", "lower", goal=50.0)
        p99_ms.append(found["ok"]["p99_ms"])
    report.add("ack_p99_ms", max(p99_ms), "ms", "lower", goal=50.0)


def _executemany(seconds: float) -> float:
    """Rows a second into the same table by the bare driver, in commits of as many as our clients have in flight."""
    from sqlalchemy import create_mock_engine

    from app.stores import tables

    statements: list[str] = []
    engine = create_mock_engine("sqlite://", lambda sql, *_a, **_k: statements.append(str(sql.compile(engine))))
    tables.events.create(engine, checkfirst=False)  # type: ignore[arg-type]  # a mock engine has the same face
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "peer.db", isolation_level=None)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *statements):
            connection.execute(statement)
        bodies = [traffic.post_events(0, [one], seed=0) for one in traffic.events(BATCH * CLIENTS, seed=3)]
        began, written = time.perf_counter(), 0
        while (taken := time.perf_counter() - began) < seconds:
            numbers = range(written, written + len(bodies))
            rows = [("t", "w", n, f"{n:026d}", n, 0.0, 1, body) for n, body in zip(numbers, bodies, strict=True)]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)", rows)
            connection.execute("COMMIT")
            written += len(rows)
        connection.close()
    return written / taken


def _overload(report: Report, plan: Plan) -> None:
    """Five times the peak for a while, then normal load again."""
    with innkeeper() as server, Generator(server) as first, Generator(server) as second:
        pair = (first, second)
        for generator in pair:
            generator.hold(sockets=50)
        first.ask("ingest", seconds=1, seed=1, batch=PRESS_BATCH, window=1)
        peak_per_s = _peak(first, plan)
        note(f"peak {peak_per_s:.0f} messages/s of {PRESS_BATCH} events; {OVERLOAD:g} times that for {plan.press:g} s")
        calm = _press(pair, peak_per_s * CALM, plan.after, seed=10)
        pressed = _press(pair, peak_per_s * OVERLOAD, plan.press, seed=20)
        after = _press(pair, peak_per_s * CALM, plan.after, seed=30)
    good_per_s = sum(one["ok"]["count"] for one in pressed) / plan.press
    report.add("goodput_share", good_per_s / peak_per_s, "share of peak", "higher", goal=0.8)
    sheds = [one["shed"]["p95_ms"] for one in pressed if one["shed"]["count"]]
    report.add(
        "shed_p95_ms", max(sheds, default=None), "ms", "lower", goal=20.0,
        why=None if sheds else "nothing was shed",
    )  # fmt: skip
    normal_ms = max(50.0, 1.5 * max(one["ok"]["p95_ms"] for one in calm))
    report.add("recovery_s", _recovered_s(after, normal_ms), "s", "lower", goal=10.0, why="not within the time watched")


def _peak(generator: Generator, plan: Plan) -> float:
    """Messages a second when clients wait for answers: the most that the server does."""
    best = 0.0
    for seed in (2, 3):
        found = generator.ask("ingest", seconds=plan.peak / 2, seed=seed, batch=PRESS_BATCH, window=1, sockets=CLIENTS)
        best = max(best, found["events_per_s"] / PRESS_BATCH)
    return best


def _press(pair: Sequence[Generator], per_s: float, seconds: float, *, seed: int) -> list[dict[str, Any]]:
    for number, generator in enumerate(pair):
        stream = {
            "face": "socket", "say": "events", "batch": PRESS_BATCH, "per_s": per_s / len(pair), "seed": seed + number,
        }  # fmt: skip
        generator.begin("drive", seconds=seconds, seed=seed + number, streams=[stream])
    return [generator.end() for generator in pair]


def _recovered_s(after: Sequence[dict[str, Any]], normal_ms: float) -> float | None:
    """Seconds after which no second's p95 was above normal any more."""
    late = [
        int(second)
        for one in after
        for second, found in one["ok"]["seconds"].items()
        if found["count"] >= 5 and found["p95_ms"] > normal_ms
    ]
    watched = max(int(second) for one in after for second in one["ok"]["seconds"])
    recovered = max(late, default=-1) + 1
    return float(recovered) if recovered <= watched else None


if __name__ == "__main__":
    main()
