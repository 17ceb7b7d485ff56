"""Suite H, load: how much one server process bears, open loop, with every wait counted from when a request was due.

A storm of sockets that then stay, steady traffic beside them, and durable events into both databases. The suite's
own processes share the machine with the server, which only makes the figures worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.load import measures
from app.cli.prove.load.generator import Generator, served
from app.core.errors import StoreDown
from app.stores.cluster import find_tools, private_cluster

STORM_PER_S = 10_000 / 60
OVERHEAD_P95_MS, OVERHEAD_P99_MS = 50.0, 150.0
ERROR_SHARE = 0.0001
KIB_PER_SOCKET = 32.0
EVENTS_PER_S = 20_000.0
ACKNOWLEDGED_P99_MS = 50.0
POSTGRES = {"shared_buffers": "128MB"}
"""PostgreSQL's own default; a private server is otherwise smaller than what a studio runs."""


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    return [*_sockets(plan), *_sqlite(plan), *_postgres(plan)]


def _sockets(plan: Plan) -> Iterator[Outcome]:
    sockets = plan.of(quick=1_500, full=10_000)
    with served(plan.folder / "sockets") as server, Generator(port=server.port, key=server.key) as generator:
        held = measures.hold(
            generator, server.rss_kib, sockets=sockets, seconds=plan.of(quick=4, full=60),
            over_s=sockets / STORM_PER_S, echo=False,
        )  # fmt: skip
    hello, found = held.opened.hello, held.found
    plan.told(f"  {held.opened.held} sockets held, then {found.sent} requests; generator late {found.late_ms:.1f} ms")
    yield _figure("sockets held", held.alive, "sockets", sockets, least=True)
    yield _figure("connect storm: failed", held.opened.failed, "sockets", 0)
    yield _figure("connect storm: hello answered, p95", hello.p95_ms, "ms", OVERHEAD_P95_MS)
    yield _figure("connect storm: hello answered, p99", hello.p99_ms, "ms", OVERHEAD_P99_MS)
    yield _figure("memory of an idle socket", held.kib_per_socket, "KiB", KIB_PER_SOCKET)
    yield _figure("own overhead, p95", found.ok.p95_ms, "ms", OVERHEAD_P95_MS)
    yield _figure("own overhead, p99", found.ok.p99_ms, "ms", OVERHEAD_P99_MS)
    yield _figure("errors and refusals", found.failed_share, "of all", ERROR_SHARE)


def _sqlite(plan: Plan) -> Iterator[Outcome]:
    yield from _events(plan, "SQLite", {})


def _postgres(plan: Plan) -> Iterator[Outcome]:
    try:
        tools = find_tools("initdb")
    except StoreDown as error:
        yield Gap(suite="H", name="events into PostgreSQL", lacks=error.message)
        return
    with private_cluster(tools, settings=POSTGRES) as cluster:
        cluster.create()
        cluster.start()
        yield from _events(plan, "PostgreSQL", {"database.url": cluster.url()})


def _events(plan: Plan, name: str, settings: dict[str, str]) -> Iterator[Outcome]:
    with (
        served(plan.folder / name, settings=settings, worlds=measures.CLIENTS) as server,
        Generator(port=server.port, key=server.key, worlds=measures.CLIENTS) as generator,
    ):
        found = measures.ingest(generator, seconds=plan.of(quick=2, full=20))
    plan.told(f"  {name}: {found.sent} messages of {measures.BATCH} events")
    yield _figure(f"durable events into {name}", found.events_per_s, "events/s", EVENTS_PER_S, least=True)
    yield _figure(f"{name}: acknowledged, p99", found.ok.p99_ms, "ms", ACKNOWLEDGED_P99_MS)


def _figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    figure = Figure(suite="H", name=name, value=round(value, 5), unit=unit, bound=bound)
    return msgspec.structs.replace(figure, side="at_least") if least else figure
