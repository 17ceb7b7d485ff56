"""How much one server process bears: idle sockets and their memory, open-loop traffic, durable events, overload.

The generator runs in processes of its own from several loopback addresses and times from the moment at which a
request was due, so waiting counts. Peers in the same run: Litestar under uvicorn that only echoes, and sqlite3's
own executemany. The server logs warnings only. With --quick there are fewer sockets, for shorter.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from echo_peer import echo
from report import Report, note, start

from app.cli.prove.load import measures, traffic
from app.cli.prove.load.generator import Generator, served
from app.cli.prove.load.measures import BATCH, CALM, CLIENTS, OVERLOAD, PRESS_BATCH
from app.cli.prove.load.suite import POSTGRES
from app.stores.cluster import find_tools, private_cluster


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
    with echo() as server, Generator(port=server.port, key="", echo=True) as generator:
        peer = measures.hold(generator, server.rss_kib, sockets=plan.sockets, seconds=plan.hold, echo=True)
    with ExitStack() as stack:
        child = stack.enter_context(served(_folder(stack)))
        generator = stack.enter_context(Generator(port=child.port, key=child.key))
        ours = measures.hold(generator, child.rss_kib, sockets=plan.sockets, seconds=plan.hold, echo=False)
    name = "Litestar on uvicorn, echo only"
    report.add("sockets", float(ours.alive), "sockets", "higher", goal=10_000.0)
    report.add(
        "kib_per_socket", ours.kib_per_socket, "KiB", "lower", goal=32.0, peer=name, peer_value=peer.kib_per_socket
    )
    report.add("error_share", ours.found.failed_share, "share", "lower", goal=0.0001)
    for id, goal, value, of_peer in (
        ("overhead_p95_ms", 50.0, ours.found.ok.p95_ms, peer.found.ok.p95_ms),
        ("overhead_p99_ms", 150.0, ours.found.ok.p99_ms, peer.found.ok.p99_ms),
    ):
        report.add(id, value, "ms", "lower", goal=goal, peer=name, peer_value=of_peer)


def _folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory()))


def _events(report: Report, plan: Plan) -> None:
    """Durable events a second: several clients, each with one message of events in flight."""
    p99_ms = []
    for kind in ("sqlite", "postgres"):
        note(f"events into {kind}")
        with ExitStack() as stack:
            settings = {"database.url": _postgres(stack)} if kind == "postgres" else {}
            server = stack.enter_context(served(_folder(stack), settings=settings, worlds=CLIENTS))
            generator = stack.enter_context(Generator(port=server.port, key=server.key, worlds=CLIENTS))
            found = measures.ingest(generator, seconds=plan.ingest)
        peer_per_s = _executemany(plan.ingest) if kind == "sqlite" else None
        report.add(
            f"events_per_s.{kind}", found.events_per_s, "events/s", "higher", goal=20_000.0,
            peer="sqlite3 executemany, the same rows and commits" if peer_per_s else None, peer_value=peer_per_s,
        )  # fmt: skip
        report.add(f"ack_p99_ms.{kind}", found.ok.p99_ms, "ms", "lower", goal=50.0)
        p99_ms.append(found.ok.p99_ms)
    report.add("ack_p99_ms", max(p99_ms), "ms", "lower", goal=50.0)


def _postgres(stack: ExitStack) -> str:
    """The URL of an empty database on a PostgreSQL of our own."""
    cluster = stack.enter_context(private_cluster(find_tools("initdb"), settings=POSTGRES))
    cluster.create()
    cluster.start()
    return cluster.url()


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
        bodies = [
            traffic.post_events(0, traffic.packed([one]), seed=3) for one in traffic.events(BATCH * CLIENTS, seed=3)
        ]
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
    with ExitStack() as stack:
        server = stack.enter_context(served(_folder(stack)))
        pair = [stack.enter_context(Generator(port=server.port, key=server.key)) for _ in range(2)]
        for generator in pair:
            generator.hold(sockets=50)
        peak_per_s = measures.peak_per_s(pair[0], seconds=plan.peak)
        note(f"peak {peak_per_s:.0f} messages/s of {PRESS_BATCH} events; {OVERLOAD:g} times that for {plan.press:g} s")
        calm = measures.press(pair, peak_per_s * CALM, plan.after, seed=10)
        pressed = measures.press(pair, peak_per_s * OVERLOAD, plan.press, seed=20)
        after = measures.press(pair, peak_per_s * CALM, plan.after, seed=30)
    good_share = measures.good_per_s(pressed, plan.press) / peak_per_s
    report.add("goodput_share", good_share, "share of peak", "higher", goal=0.8)
    shed_ms, recovered_s = measures.shed_p95_ms(pressed), measures.recovered_s(calm, after)
    report.add("shed_p95_ms", shed_ms, "ms", "lower", goal=20.0, why=_why(shed_ms, "nothing was shed"))
    why = _why(recovered_s, "not within the time watched")
    report.add("recovery_s", recovered_s, "s", "lower", goal=10.0, why=why)


def _why(value: float | None, reason: str) -> str | None:
    return reason if value is None else None


if __name__ == "__main__":
    main()
