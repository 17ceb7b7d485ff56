"""Suite F, the crash ledger: servers die at every boundary between RAM and disk while clients write.

Three ledgers: the server killed at failpoints over SQLite, PostgreSQL killed under a server that lives, and
system calls of the disk that fail. Each must end with nothing lost, nothing doubled, and replay(events) == state.
"""

from __future__ import annotations

import http.client
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from app.cli.prove import child as children
from app.cli.prove.child import Child
from app.cli.prove.figures import Figure, Gap, Outcome, Plan, percentile
from app.cli.prove.key_server import KeyServer, find_program
from app.cli.prove.ledger import WORLD, Clients, Verdict, judge, replayed_at_start
from app.core.errors import Broken, StoreDown
from app.stores.cluster import Tools, find_tools, private_cluster
from app.stores.failpoints import PLACES, VARIABLE

CLIENTS = 6
FIRST_PASS = ("world.inserted", "world.committed", "worlds.restored")
"""Places that a life passes about once; the others are passed with each write."""
PASSES_MAX = 40
LIFE_S_MAX = 6.0
SETTLED_WRITES = 20
SETTLED_S_MAX = 20.0
DOWN_S_MAX = 0.4
FAULTY_STARTS_MAX = 6
READY_P95_S = 3.0
READY_MAX_S = 15.0
SETTINGS = {"database.checkpoint_events": "1", "database.checkpoint_ms": "20", "database.retry_ms": "50"}
"""A checkpoint every few writes, and a quick second try: more passes of the places that matter."""
LONG_LOG = {"database.checkpoint_events": "1000", "database.checkpoint_ms": "250"}
EVENTS_PER_POST = 1_000
TAIL_SHARE_MAX = 0.5
"""Part of a long log that may be replayed after a kill while it grows as fast as it can."""
FAULTS = {"EIO": "fdatasync,fsync:error=EIO:when=6+5", "ENOSPC": "pwrite64:error=ENOSPC:when=40+150"}
TRACED = {"EIO": "fdatasync,fsync", "ENOSPC": "pwrite64"}


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    return [
        *_server_kills(plan), *_long_log(plan), *_postgres_kills(plan), *_redis_kills(plan), *_disk_faults(plan)
    ]  # fmt: skip


def _server_kills(plan: Plan) -> Iterator[Outcome]:
    kills = plan.of(quick=len(PLACES), full=100)
    folder, port = plan.folder / "kills", children.free_port()
    draw = random.Random(plan.seed)  # noqa: S311  # a repeatable draw
    clients = Clients(CLIENTS, plan.seed)
    _first_life(clients, folder, port, SETTINGS).kill()
    reached: Counter[str] = Counter()
    ready_s = []
    for number in range(kills):
        place = PLACES[number % len(PLACES)]
        child = children.start(folder, port, settings=SETTINGS, environment={VARIABLE: _armed(place, draw)})
        if child.ready_s is not None:
            ready_s.append(child.ready_s)
            clients.open(child)
            if place.startswith("world."):
                clients.create_world(f"world-{number}")
        reached[place] += _await_death(child)
        plan.told(f"  {number + 1}/{kills} killed at {place}")
    verdict, last = _last_life(clients, folder, port, SETTINGS)
    ready_s.append(last)
    yield from _judged("server kills", verdict, clients)
    yield _figure("server kills at failpoints", sum(reached.values()), "kills", kills, least=True)
    yield _figure(f"kills at the rarest of {len(PLACES)} places", min(reached[place] for place in PLACES), "kills",
                  plan.of(quick=1, full=3), least=True)  # fmt: skip
    yield _figure("server ready again, p95", percentile(ready_s, 0.95), "s", READY_P95_S)
    yield _figure("server ready again, max", max(ready_s), "s", READY_MAX_S)


def _armed(place: str, draw: random.Random) -> str:
    """Where and when the next life ends; one in ten is also refused a commit on the way."""
    passes = 1 if place in FIRST_PASS else draw.randint(1, PASSES_MAX)
    armed = f"{place}=kill@{passes}"
    return f"{armed},batch.inserted=fail@2" if place == "batch.acknowledged" else armed


def _await_death(child: Child) -> bool:
    """Whether it died at its failpoint; one that does not come by there in time is killed anyway."""
    if not child.wait_dead(LIFE_S_MAX):
        child.kill()
        return False
    if child.process.returncode != -signal.SIGKILL:
        raise Broken(
            f"the server ended with {child.process.returncode} where a kill was due",
            hint=f"see {child.folder / 'server.log'}",
        )
    return True


def _long_log(plan: Plan) -> Iterator[Outcome]:
    """A log grows as fast as one client can make it, and the server is killed: the next start replays its tail."""
    events, folder, port = plan.of(quick=60_000, full=200_000), plan.folder / "long", children.free_port()
    child = children.start(folder, port, settings=LONG_LOG)
    _require(child.ready_s is not None, child)
    child.post("/v1/world/create", {"world": WORLD})
    child.post("/v1/world/upsert", {"world": WORLD, "entities": [{"type": "npc", "id": "a"}]})
    facts = [{"subject": "a", "predicate": f"p{number}", "value": 1.0} for number in range(EVENTS_PER_POST)]
    for _ in range(events // EVENTS_PER_POST):
        _require(child.post("/v1/world/assert", {"world": WORLD, "facts": facts})[0] == http.client.OK, child)
    child.kill()
    tail = replayed_at_start(folder)
    child = children.start(folder, port, settings=LONG_LOG)
    _require(child.ready_s is not None, child)
    _require(child.stop() == 0, child)
    plan.told(f"  {events} events, {tail} of them after the last checkpoint, ready in {child.ready_s:.2f} s")
    yield _figure("replayed after a kill, of a long log", tail / events, "share", TAIL_SHARE_MAX)
    yield _figure("server ready after a long log", child.ready_s or 0.0, "s", READY_P95_S)


def _postgres_kills(plan: Plan) -> Iterator[Outcome]:
    try:
        tools = find_tools("initdb")
    except StoreDown as error:
        yield Gap(suite="F", name="PostgreSQL kills", lacks=error.message)
        return
    yield from _killed_under(plan, tools)


def _killed_under(plan: Plan, tools: Tools) -> Iterator[Outcome]:
    kills = plan.of(quick=3, full=20)
    folder, port = plan.folder / "postgres", children.free_port()
    draw = random.Random(plan.seed)  # noqa: S311  # a repeatable draw
    clients = Clients(CLIENTS, plan.seed)
    back_s = []
    with private_cluster(tools) as cluster:
        cluster.create()
        cluster.start()
        settings = {**SETTINGS, "database.url": cluster.url()}
        child = _first_life(clients, folder, port, settings)
        for number in range(kills):
            cluster.kill()
            time.sleep(draw.uniform(0.0, DOWN_S_MAX))
            cluster.start()
            started_s = time.monotonic()
            _require(clients.wait_for(CLIENTS, SETTLED_S_MAX), child)
            back_s.append(time.monotonic() - started_s)
            clients.wait_for(draw.randint(1, SETTLED_WRITES), SETTLED_S_MAX)
            plan.told(f"  {number + 1}/{kills} PostgreSQL killed, writing again after {back_s[-1]:.2f} s")
        child.stop()
        verdict, _ = _last_life(clients, folder, port, settings, url=cluster.url())
    yield from _judged("PostgreSQL kills", verdict, clients)
    yield _figure("PostgreSQL kills", kills, "kills", kills, least=True)
    yield _figure("writing again after PostgreSQL, p95", percentile(back_s, 0.95), "s", READY_P95_S)


def _redis_kills(plan: Plan) -> Iterator[Outcome]:
    try:
        program = find_program()
    except StoreDown as error:
        yield Gap(suite="F", name="Redis kills", lacks=error.message)
        return
    server = KeyServer(program, plan.folder, children.free_port())
    server.start()
    try:
        yield from _redis_killed_beside(plan, server)
    finally:
        server.kill()


def _redis_killed_beside(plan: Plan, server: KeyServer) -> Iterator[Outcome]:
    """Cache and stream come and go; writes wait for neither."""
    kills = plan.of(quick=3, full=20)
    folder, port = plan.folder / "redis", children.free_port()
    draw = random.Random(plan.seed)  # noqa: S311  # a repeatable draw
    clients = Clients(CLIENTS, plan.seed)
    settings = {**SETTINGS, "cache.url": server.url, "stream.url": server.url}
    child = _first_life(clients, folder, port, settings)
    waited_s = []
    for number in range(kills):
        server.kill()
        started_s = time.monotonic()
        _require(clients.wait_for(CLIENTS, SETTLED_S_MAX), child)
        waited_s.append(time.monotonic() - started_s)
        time.sleep(draw.uniform(0.0, DOWN_S_MAX))
        server.start()
        clients.wait_for(draw.randint(1, SETTLED_WRITES), SETTLED_S_MAX)
        plan.told(f"  {number + 1}/{kills} Redis killed, {CLIENTS} writes in {waited_s[-1]:.2f} s without it")
    child.stop()
    verdict, _ = _last_life(clients, folder, port, settings)
    yield from _judged("Redis kills", verdict, clients)
    yield _figure("Redis kills", kills, "kills", kills, least=True)
    yield _figure(f"{CLIENTS} writes without Redis, p95", percentile(waited_s, 0.95), "s", READY_P95_S)


def _disk_faults(plan: Plan) -> Iterator[Outcome]:
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], check=False).returncode:  # noqa: S603  # no shell
        yield Gap(suite="F", name="disk faults", lacks="strace, or the right to trace a process of one's own")
        return
    for name in FAULTS:
        yield from _disk_fault(plan, name, strace)


def _disk_fault(plan: Plan, name: str, strace: str) -> Iterator[Outcome]:
    folder, port = plan.folder / name, children.free_port()
    clients = Clients(CLIENTS, plan.seed)
    _first_life(clients, folder, port, SETTINGS).kill()
    record = folder / "strace.log"
    around = [strace, "-f", "-qq", "--seccomp-bpf", "-o", str(record), "-e", f"trace={TRACED[name]}",
              "-e", f"inject={FAULTS[name]}"]  # fmt: skip
    for _ in range(FAULTY_STARTS_MAX):  # a start that meets the fault may end; nothing was promised yet
        child = children.start(folder, port, settings=SETTINGS, around=around)
        if not child.dead:
            break
    clients.open(child)
    wanted, until_s = plan.of(quick=3, full=20), time.monotonic() + plan.of(quick=15, full=90)
    written, injected = True, 0
    while written and injected < wanted and time.monotonic() < until_s:
        written = clients.wait_for(CLIENTS, SETTLED_S_MAX)
        injected = record.read_text(errors="replace").count("(INJECTED)")
    written = written and clients.wait_for(CLIENTS, SETTLED_S_MAX)
    child.kill()
    verdict, _ = _last_life(clients, folder, port, SETTINGS)
    plan.told(f"  {name} injected {injected} times, {verdict.writes} writes")
    yield from _judged(name, verdict, clients)
    yield _figure(f"{name} injected", injected, "faults", wanted, least=True)
    yield _figure(f"{name}: goes on writing", int(written), "", 1, least=True)


def _first_life(clients: Clients, folder: Path, port: int, settings: Mapping[str, str]) -> Child:
    """Start where nothing is yet, and let the clients write a little."""
    child = children.start(folder, port, settings=settings)
    _require(child.ready_s is not None, child)
    clients.open(child)
    _require(clients.wait_for(SETTLED_WRITES, SETTLED_S_MAX), child)
    return child


def _last_life(
    clients: Clients, folder: Path, port: int, settings: Mapping[str, str], *, url: str = ""
) -> tuple[Verdict, float]:
    """Start unharmed, bring every last write through, stop, and judge: (verdict, seconds to be ready).

    The stop writes the state that was in RAM, so that the replay is held against that.
    """
    child = children.start(folder, port, settings=settings)
    _require(child.ready_s is not None, child)
    clients.open(child)
    clients.finish()
    _require(child.stop() == 0, child)
    return judge(clients, url, folder), child.ready_s or 0.0


def _require(held: bool, child: Child) -> None:
    if not held:
        child.kill()
        raise Broken("the server under proof did not do what it must", hint=f"see {child.folder / 'server.log'}")


def _judged(name: str, verdict: Verdict, clients: Clients) -> Iterator[Figure]:
    yield _figure(f"{name}: acknowledged writes", verdict.writes, "writes", SETTLED_WRITES, least=True)
    yield _figure(f"{name}: acknowledged and lost", len(verdict.lost) + len(verdict.worlds_lost), "writes", 0)
    yield _figure(f"{name}: effects doubled or torn", len(verdict.doubled) + len(verdict.torn), "writes", 0)
    yield _figure(f"{name}: repeated with another answer", len(clients.answers_that_differ), "writes", 0)
    yield _figure(f"{name}: replay differs from state", len(verdict.faults), "worlds", 0)
    yield _figure(f"{name}: audit trails that do not hold", len(verdict.trails), "trails", 0)


def _figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    figure = Figure(suite="F", name=name, value=round(value, 3), unit=unit, bound=bound)
    return msgspec.structs.replace(figure, side="at_least") if least else figure
