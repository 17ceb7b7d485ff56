"""Suite J, soak: half of what the server can, sockets that come and go, and both stores lost again and again.

The baseline is taken when the load has run for a while and is paused: kernels are compiled, caches are full, each
session keeps as many answers for a client that comes back as it ever will, and sessions that wait for their clients are
as many as they will be. At the end, after the same pause, everything must be back to it. A ledger of slow clients
writes all the time.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import text

from app.build import ROOT
from app.cli.prove.child import Child, free_port
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.key_server import KeyServer, find_program
from app.cli.prove.ledger import WORLD, Clients, Verdict, judge
from app.cli.prove.load.generator import Generator, served
from app.cli.prove.load.measures import CALM
from app.cli.prove.load.orders import Churn, Drive, Found, Opened, Stream
from app.core.errors import Broken, StoreDown
from app.stores.cluster import Cluster, find_tools, private_cluster
from app.stores.database import open_database
from app.stores.tenancy import SERVERS

OUTAGES = 3
"""Of each store."""
WORLDS = 8
SOCKETS, CONNECTIONS, COMING_SOCKETS = 50, 16, 100
COMING_PER_S = 20.0
BATCH = 2
"""Events in one message: many small writes, as the memory of requests matters here and not that of events."""
CALIBRATED_PER_S, CALIBRATED_S = 400.0, 3.0
"""Traffic whose cost tells how much would be half of what the server can."""
LEDGER_CLIENTS = 2
LEDGER_REST_S = 0.05
QUIET_CPU_SHARE = 0.15
QUIET_S_MAX = 30.0
SAMPLES = 15
SAMPLE_S = 0.1
GROWTH = 1.05
ERROR_SHARE = 0.001
STRAY = 2
QUEUE_EVENTS_MAX = 100_000
SETTINGS = {
    "server.resume_ms": "5000",
    "database.queue_events_max": str(QUEUE_EVENTS_MAX),
    "stream.entries_max": "2000",
}
"""What is bounded by time or number reaches its bound while the load warms up."""
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Size:
    """Seconds: of load before the baseline, of an outage, until the load after it must go well, and of that load."""

    warm: float
    down: float
    settle: float
    calm: float


QUICK = Size(warm=10, down=2.5, settle=1.5, calm=2)
FULL = Size(warm=60, down=20, settle=10, calm=35)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the server holds while nothing is asked of it, medians of some samples."""

    rss_kib: float
    tasks: float
    descriptors: float
    postgres: float
    redis: float


@dataclass(slots=True)
class Stores:
    """The stores that will be lost, by name."""

    cluster: Cluster
    keys: KeyServer

    def lose(self, name: str, seconds: float) -> None:
        """Kill one, and start it again after a while."""
        store: Cluster | KeyServer = self.cluster if name == "PostgreSQL" else self.keys
        store.kill()
        time.sleep(seconds)
        store.start()


@dataclass(slots=True)
class Watch:
    """A thread that reads the server's gauges all the time, for what they reach at most."""

    child: Child
    events: float = 0.0
    rss_kib: int = 0
    unanswered: int = 0
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.rss_kib = max(self.rss_kib, self.child.rss_kib())
            try:
                self.events = max(self.events, gauge(self.child, "innkeeper_writer_queue_events"))
            except OSError:
                self.unanswered += 1


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    try:
        tools, program = find_tools("initdb"), find_program()
    except StoreDown as error:
        return [Gap(suite="J", name="soak", lacks=error.message)]
    folder = plan.folder / "server"
    with private_cluster(tools) as cluster:
        cluster.create()
        cluster.start()
        keys = KeyServer(program, plan.folder, free_port(), appends="yes")
        keys.start()
        try:
            settings = {**SETTINGS, "database.url": cluster.url(), "cache.url": keys.url, "stream.url": keys.url}
            with served(folder, settings=settings, worlds=WORLDS) as server:
                return list(_soaked(plan, server, Stores(cluster, keys)))
        finally:
            keys.kill()


def _soaked(plan: Plan, server: Child, stores: Stores) -> Iterator[Outcome]:
    size = QUICK if plan.scale == "quick" else FULL
    clients = Clients(LEDGER_CLIENTS, plan.seed, rest_s=LEDGER_REST_S)
    clients.open(server)
    with (
        Generator(port=server.port, key=server.key, worlds=WORLDS) as load,
        Generator(port=server.port, key=server.key, worlds=WORLDS) as coming,
    ):
        load.hold(sockets=SOCKETS, connections=CONNECTIONS)
        coming.hold(sockets=COMING_SOCKETS)
        rates = _Load(load, coming, CALIBRATED_PER_S)
        rates.writes_per_s = _half(server, rates)
        plan.told(f"  half of what a core can is {rates.writes_per_s:.0f} messages/s of {BATCH} events")
        rates.run(size.warm)
        before = _usage(server, stores)
        with Watch(server) as watch:
            calm = list(_outages(plan, size, rates, stores))
        after = _usage(server, stores)
    plan.told(f"  before {before}")
    plan.told(f"  after  {after}; at most {watch.rss_kib} KiB")
    clients.finish()
    if server.stop() != 0:
        raise Broken("the server did not end well", hint=f"see {server.folder / 'server.log'}")
    yield from _steady(before, after, watch)
    yield from _answered([found for found, _ in calm], [opened for _, opened in calm])
    yield from _kept(judge(clients, stores.cluster.url(), server.folder, replayed=WORLD), clients)


def _half(server: Child, rates: _Load) -> float:
    """Messages a second that take half of the one core that an event loop can use, told by what some cost."""
    rates.run(CALIBRATED_S)
    used_s = server.cpu_s()
    rates.run(CALIBRATED_S)
    return rates.writes_per_s * CALM * CALIBRATED_S / (server.cpu_s() - used_s)


@dataclass(slots=True)
class _Load:
    """The traffic of the soak: writes, reads of both faces, and sockets that come and go."""

    load: Generator
    coming: Generator
    writes_per_s: float
    _drives: int = 0

    def begin(self, seconds: float) -> None:
        """Start the traffic for that long."""
        self._drives += 1
        streams = (
            Stream(face="socket", say="events", batch=BATCH, per_s=self.writes_per_s),
            Stream(face="socket", say="get", per_s=self.writes_per_s / 10),
            Stream(face="http", say="get", per_s=self.writes_per_s / 20),
        )
        self.load.begin(Drive(seconds=seconds, seed=self._drives, streams=streams))
        self.coming.begin(Churn(seconds=seconds, per_s=COMING_PER_S))

    def end(self) -> tuple[Found, Opened]:
        """What it found."""
        return self.load.end(), self.coming.churned()

    def run(self, seconds: float) -> tuple[Found, Opened]:
        """The traffic for that long."""
        self.begin(seconds)
        return self.end()


def _outages(plan: Plan, size: Size, rates: _Load, stores: Stores) -> Iterator[tuple[Found, Opened]]:
    """What the traffic met between the outages, each of which it also went through."""
    for number in range(OUTAGES):
        for name in ("PostgreSQL", "Redis"):
            rates.begin(size.down + size.settle)
            stores.lose(name, size.down)
            through, _ = rates.end()
            calm = rates.run(size.calm)
            plan.told(
                f"  {number + 1}/{OUTAGES} {name} gone for {size.down:g} s: {through.failed_share:.1%} failed with "
                f"{through.codes}, then {calm[0].failed_share:.3%} of {calm[0].sent} with {calm[0].codes}"
            )
            yield calm


def _usage(server: Child, stores: Stores) -> Usage:
    """Wait until the server has nothing left to do, and look at it for a while."""
    until_s = time.monotonic() + QUIET_S_MAX
    while time.monotonic() < until_s:
        used_s = server.cpu_s()
        time.sleep(1.0)
        if server.cpu_s() - used_s < QUIET_CPU_SHARE:
            break

    def median(look: Callable[[], float]) -> float:
        found = []
        for _ in range(SAMPLES):
            found.append(look())
            time.sleep(SAMPLE_S)
        return statistics.median(found)

    return Usage(
        rss_kib=median(server.rss_kib),
        tasks=median(lambda: gauge(server, "innkeeper_tasks")),
        descriptors=median(server.descriptors),
        postgres=_postgres_connections(stores.cluster),
        redis=median(stores.keys.clients),
    )


def _postgres_connections(cluster: Cluster) -> int:
    async def read() -> int:
        database = open_database(cluster.url(), folder=cluster.folder, migrations=ROOT / "migrations")
        try:
            return await database.run(SERVERS, lambda connection: int(connection.execute(text(CONNECTED)).scalar_one()))
        finally:
            await database.close()

    return asyncio.run(read())


def gauge(child: Child, name: str) -> float:
    """A metric without labels, as the server tells it now; raises OSError where it does not."""
    status, body = child.read("/metrics")
    found = re.search(rf"^{name} (\S+)$", body, re.MULTILINE)
    if status != 200 or found is None:
        raise OSError(f"/metrics answered {status} without {name}")
    return float(found[1])


def _steady(before: Usage, after: Usage, watch: Watch) -> Iterator[Figure]:
    yield _figure("memory after / before", after.rss_kib / before.rss_kib, "times", GROWTH)
    yield _figure("events waiting for a commit, most", watch.events, "events", QUEUE_EVENTS_MAX)
    yield _figure("tasks more than before", max(0, after.tasks - before.tasks), "tasks", STRAY)
    yield _figure("file descriptors, likewise", max(0, after.descriptors - before.descriptors), "files", STRAY)
    yield _figure("PostgreSQL connections, likewise", max(0, after.postgres - before.postgres), "connections", STRAY)
    yield _figure("Redis connections, likewise", max(0, after.redis - before.redis), "connections", STRAY)


def _answered(calm: Sequence[Found], coming: Sequence[Opened]) -> Iterator[Figure]:
    failed = sum(found.errors + found.shed.count for found in calm)
    sent = sum(found.sent for found in calm)
    yield _figure("errors and refusals outside outages", failed / max(1, sent), "of all", ERROR_SHARE)
    yield _figure("sockets that could not come, likewise", sum(opened.failed for opened in coming), "sockets", 0)


def _kept(verdict: Verdict, clients: Clients) -> Iterator[Figure]:
    yield _figure("acknowledged writes", verdict.writes, "writes", LEDGER_CLIENTS, least=True)
    yield _figure("acknowledged and lost", len(verdict.lost), "writes", 0)
    yield _figure("effects doubled or torn", len(verdict.doubled) + len(verdict.torn), "writes", 0)
    yield _figure("repeated with another answer", len(clients.answers_that_differ), "writes", 0)
    yield _figure("replay differs from state", len(verdict.faults), "worlds", 0)


def _figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    figure = Figure(suite="J", name=name, value=round(value, 5), unit=unit, bound=bound)
    return msgspec.structs.replace(figure, side="at_least") if least else figure
