"""Suite L, disaster: back up under load, destroy everything, restore, verify, and count what is gone.

SQLite from an online copy, PostgreSQL from a base backup and a streamed write-ahead log, to its end and to a point
in time. The verbs are run as an operator runs them. Erased players stay erased only once there is an erasure.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.build import ROOT
from app.cli.prove import child as children
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.ledger import WORLD, Clients, Verdict, judge
from app.core.errors import Broken, StoreDown
from app.stores.cluster import Cluster, find_tools, give_away, private_cluster

CLIENTS = 6
VERB_S_MAX = 300
RTO_S_PER_GIB = 60.0
RPO_S = 1.0
GIB = float(1 << 30)
POINT_MARGIN_S = 0.25
WAL_SETTINGS = {"wal_level": "replica", "max_wal_senders": "8"}
BULK_ENTITIES = 500
BULK_CHARACTERS = 400


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    return [*_embedded(plan), *_postgres(plan)]


def _embedded(plan: Plan) -> Iterator[Outcome]:
    folder, copy, port = plan.folder / "data", plan.folder / "copy", children.free_port()
    clients = Clients(CLIENTS, plan.seed)
    child = _begin(plan, clients, folder, port, {})
    covered = dict(clients.acknowledged)
    started_s = time.monotonic()
    _verb("backup", "--data", str(folder), "--out", str(copy))
    copied_s = time.monotonic() - started_s
    clients.wait_for(CLIENTS, VERB_S_MAX)
    child.kill()
    clients.abandon()
    shutil.rmtree(folder)
    destroyed_s = time.monotonic()
    _verb("restore", "--data", str(folder), "--from", str(copy))
    child = children.start(folder, port, settings={})
    back_s = time.monotonic() - destroyed_s
    child.stop()
    _verb("verify", str(copy))
    gib = sum(path.stat().st_size for path in copy.iterdir()) / GIB
    plan.told(f"  SQLite: {gib * 1024:.1f} MiB copied in {copied_s:.2f} s under load, back after {back_s:.2f} s")
    verdict = judge(clients, "", folder)
    yield _figure("SQLite: writes before the backup", len(covered), "writes", CLIENTS, least=True)
    yield _figure("SQLite: lost of those", len(set(verdict.lost) & set(covered)), "writes", 0)
    yield _figure("SQLite: replay differs after the restore", len(verdict.faults), "worlds", 0)
    yield _figure("SQLite: destroyed to ready", back_s, "s", RTO_S_PER_GIB * max(1.0, gib))


def _postgres(plan: Plan) -> Iterator[Outcome]:
    try:
        tools = find_tools("pg_receivewal")
        find_tools("initdb", major=tools.major)
    except StoreDown as error:
        yield Gap(suite="L", name="PostgreSQL to a point in time", lacks=error.message)
        return
    with private_cluster(tools, settings=WAL_SETTINGS) as cluster:
        yield from _drill(plan, cluster)


def _drill(plan: Plan, cluster: Cluster) -> Iterator[Outcome]:
    cluster.create()
    cluster.start()
    clients, copy, url = Clients(CLIENTS, plan.seed), plan.folder / "base", cluster.url()
    with _archived(cluster) as archive:
        child = _begin(plan, clients, plan.folder / "server", children.free_port(), {"database.url": url})
        _verb("backup", "--physical", "--out", str(copy), "--set", f"database.url={url}")
        clients.wait_for(plan.of(quick=60, full=600), VERB_S_MAX)
        time.sleep(2 * POINT_MARGIN_S)
        point = datetime.now(UTC)
        time.sleep(2 * POINT_MARGIN_S)
        clients.wait_for(plan.of(quick=60, full=600), VERB_S_MAX)
        cluster.kill()
        destroyed_s, destroyed_at_s = time.monotonic(), time.time()
        child.kill()
        clients.abandon()
        time.sleep(POINT_MARGIN_S)  # what the archive had received is on its disk
        shutil.rmtree(cluster.data)
        to_the_end, back_s = _restored(plan, cluster, clients, copy, archive, destroyed_s, until=None)
        to_a_point, _ = _restored(plan, cluster, clients, copy, archive, destroyed_s, until=point)
    _verb("verify", str(copy))
    lost_s = [destroyed_at_s - clients.acknowledged[key].answered_s for key in to_the_end.lost]
    gib = sum(path.stat().st_size for path in copy.rglob("*") if path.is_file()) / GIB
    plan.told(f"  PostgreSQL: {gib * 1024:.1f} MiB, back after {back_s:.2f} s, {len(lost_s)} writes lost")
    yield _figure("PostgreSQL: acknowledged writes", to_the_end.writes, "writes", 2 * CLIENTS, least=True)
    yield _figure("PostgreSQL: time of lost writes (RPO)", max(lost_s, default=0.0), "s", RPO_S)
    yield _figure("PostgreSQL: destroyed to writing (RTO)", back_s, "s", RTO_S_PER_GIB * max(1.0, gib))
    yield _figure("PostgreSQL: replay differs after the restore", len(to_the_end.faults), "worlds", 0)
    yield from _point_figures(clients, to_a_point, point.timestamp())


def _point_figures(clients: Clients, verdict: Verdict, point_s: float) -> Iterator[Figure]:
    """What was acknowledged before the point is there; what was sent after it is not."""
    lost = set(verdict.lost)
    early = [key for key in lost if clients.acknowledged[key].answered_s < point_s - POINT_MARGIN_S]
    late = [
        key
        for key, noted in clients.acknowledged.items()
        if key not in lost and noted.sent_s > point_s + POINT_MARGIN_S
    ]
    yield _figure("point in time: earlier writes missing", len(early), "writes", 0)
    yield _figure("point in time: later writes present", len(late), "writes", 0)
    yield _figure("point in time: replay differs", len(verdict.faults), "worlds", 0)


def _restored(
    plan: Plan,
    lost: Cluster,
    clients: Clients,
    copy: Path,
    archive: Path,
    destroyed_s: float,
    *,
    until: datetime | None,
) -> tuple[Verdict, float]:
    """A new cluster from the backup and the archive, judged under a server: (verdict, seconds since the disaster)."""
    with private_cluster(lost.tools, settings=WAL_SETTINGS) as cluster:
        point = () if until is None else ("--until", until.isoformat())
        _verb("restore", "--from", str(copy), "--cluster", str(cluster.data), "--wal", str(archive), *point)
        give_away(cluster.data)
        cluster.start()
        folder = plan.folder / f"server-{'end' if until is None else 'point'}"
        child = children.start(folder, children.free_port(), settings={"database.url": cluster.url()})
        # The first key's text is in the old data folder; a world is written to with it.
        shutil.copy(plan.folder / "server" / "api-key", folder)
        status, answer = child.post("/v1/world/upsert", {"world": WORLD, "entities": [{"type": "npc", "id": "back"}]})
        back_s = time.monotonic() - destroyed_s
        child.stop()
        if status != 200:
            raise Broken(f"the restored world refuses writes: {status} {answer!r}", hint=f"see {folder / 'server.log'}")
        return judge(clients, cluster.url(), folder), back_s


@contextmanager
def _archived(cluster: Cluster) -> Iterator[Path]:
    """A folder that receives the cluster's write-ahead log as it is written."""
    archive = Path(tempfile.mkdtemp(prefix="innkeeper-wal-"))
    give_away(archive)
    arguments = [f"--directory={archive}", f"--host={cluster.folder}", "--username=postgres", "--synchronous"]
    receiver = cluster.tools.popen("pg_receivewal", [*arguments, "--no-loop"], log=cluster.folder / "receive.log")
    try:
        yield archive
    finally:
        receiver.terminate()
        receiver.wait()
        shutil.rmtree(archive, ignore_errors=True)


def _begin(plan: Plan, clients: Clients, folder: Path, port: int, settings: Mapping[str, str]) -> children.Child:
    """A server with some bulk in its log, and clients that write to it."""
    child = children.start(folder, port, settings=settings)
    clients.open(child)
    for number in range(plan.of(quick=4, full=200)):
        entities = [
            {"type": "npc", "id": f"n{number}-{each}", "attributes": {"bio": "x" * BULK_CHARACTERS}}
            for each in range(BULK_ENTITIES)
        ]
        status, answer = child.post("/v1/world/upsert", {"world": WORLD, "entities": entities})
        if status != 200:
            raise Broken(f"the bulk was refused: {status} {answer!r}", hint="see server.log")
    clients.wait_for(10 * CLIENTS, VERB_S_MAX)
    return child


def _verb(*arguments: str) -> None:
    """Run a verb of manage.py as an operator does; raises Broken with what it said."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=VERB_S_MAX, check=False)  # noqa: S603  # our own command
    if done.returncode != 0:
        raise Broken(f"{arguments[0]} ended with {done.returncode}: {done.stderr.strip()}", hint="run it by hand")


def _figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    figure = Figure(suite="L", name=name, value=round(value, 3), unit=unit, bound=bound)
    return msgspec.structs.replace(figure, side="at_least") if least else figure
