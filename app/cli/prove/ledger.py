"""The ledger: clients write with idempotency keys and note every acknowledgement; the log is then held against it.

Clients outlive the server. A write that was not acknowledged is sent again, with the same key, until it is; some
that were acknowledged are sent again too. So at the end every write must be in the log exactly once.
"""

from __future__ import annotations

import asyncio
import http.client
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from app.build import ROOT
from app.build.access import DEFAULT_TENANT
from app.build.audit import open_chains
from app.cli.prove.child import Child, ask
from app.control.audit_check import verify
from app.core.errors import Broken
from app.stores import repositories
from app.stores.checkpoints import newest_checkpoint
from app.stores.database import Database, open_database
from app.stores.replay import check_world, chosen_worlds
from app.world.events import Happened

EVENTS_PER_WRITE = 3
AGAIN_SHARE = 0.1
PAUSE_S = 0.02
DEADLINE_MS = 2_000
FINISH_S_MAX = 60.0
WORLD = "ledger"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write that the server answered: its newest event, when it was sent first and when the answer came."""

    seq: int
    sent_s: float
    answered_s: float


@dataclass(slots=True)
class Verdict:
    """What the log says about the ledger; all but `writes` and `events` must be nothing."""

    writes: int = 0
    events: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    worlds_lost: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    trails: list[str] = field(default_factory=list)
    """What is wrong with audit trails."""


class Clients:
    """Threads that write to one server, whichever process it is at the moment, each resting between two writes."""

    def __init__(self, count: int, seed: int, *, rest_s: float = 0.0) -> None:
        self.acknowledged: dict[str, Acknowledged] = {}
        self.worlds: list[str] = []
        self.answers_that_differ: list[str] = []
        self._rest_s = rest_s
        self._address: tuple[int, str] | None = None
        self._finish = threading.Event()
        self._threads = [
            threading.Thread(target=self._write_on, args=(number, random.Random(f"{seed}/{number}")), daemon=True)  # noqa: S311  # a repeatable draw
            for number in range(count)
        ]

    def open(self, child: Child) -> None:
        """Tell where the server is; the first time, make the world and begin."""
        first = self._address is None
        self._address = (child.port, child.key)
        if first:
            self._ask("/v1/world/create", {"world": WORLD})
            self._ask("/v1/world/upsert", {"world": WORLD, "entities": [{"type": "npc", "id": "a"}]})
            for thread in self._threads:
                thread.start()

    def create_world(self, id: str) -> None:
        """Ask for a world once more, whether or not the server lives to answer."""
        try:
            if self._ask("/v1/world/create", {"world": id})[0] == http.client.OK:
                self.worlds.append(id)
        except (OSError, http.client.HTTPException, ValueError):
            return

    def wait_for(self, writes: int, timeout_s: float) -> bool:
        """Whether that many more writes were acknowledged in time."""
        wanted = len(self.acknowledged) + writes
        until_s = time.monotonic() + timeout_s
        while len(self.acknowledged) < wanted and time.monotonic() < until_s:
            time.sleep(0.005)
        return len(self.acknowledged) >= wanted

    def finish(self) -> None:
        """Let each client bring its last write through, and end; raises Broken when one cannot."""
        self._finish.set()
        for thread in self._threads:
            thread.join(FINISH_S_MAX)
            if thread.is_alive():
                raise Broken(f"a client's last write had no answer for {FINISH_S_MAX:.0f} s", hint="see server.log")

    def abandon(self) -> None:
        """End the clients without their last writes, as when the server is gone for good."""
        self._finish.set()
        self._address = None
        for thread in self._threads:
            thread.join(FINISH_S_MAX)

    def _write_on(self, client: int, draw: random.Random) -> None:
        number = 0
        while not self._finish.is_set():
            self._write(f"c{client}-{number}")
            if draw.random() < AGAIN_SHARE:
                self._write(f"c{client}-{draw.randint(0, number)}")
            number += 1
            self._finish.wait(self._rest_s)

    def _write(self, key: str) -> None:
        events = [{"verb": "learned", "actor": "a", "topic": f"{key}/{part}"} for part in range(EVENTS_PER_WRITE)]
        sent_s = time.time()
        while True:
            try:
                status, answer = self._ask("/v1/world/event", {"world": WORLD, "events": events, "key": key})
            except (OSError, http.client.HTTPException, ValueError):
                status, answer = 0, {}
            if status == http.client.OK:
                self._note(key, Acknowledged(answer["seq"], sent_s, time.time()))
                return
            if self._address is None:
                return
            time.sleep(PAUSE_S)

    def _note(self, key: str, now: Acknowledged) -> None:
        before = self.acknowledged.setdefault(key, now)
        if before.seq != now.seq:
            self.answers_that_differ.append(key)

    def _ask(self, path: str, data: object) -> tuple[int, dict[str, int]]:
        address = self._address
        if address is None:
            raise OSError
        return ask(address[0], "POST", path, data, address[1], deadline_ms=DEADLINE_MS)


def replayed_at_start(folder: Path) -> int:
    """How many events of the ledger's world in that folder's database are in no checkpoint."""

    async def read() -> int:
        database = open_database("", folder=folder, migrations=ROOT / "migrations")
        try:
            return await database.run(
                DEFAULT_TENANT,
                lambda c: (
                    repositories.newest_seq(c, DEFAULT_TENANT, WORLD) - newest_checkpoint(c, DEFAULT_TENANT, WORLD)
                ),
            )
        finally:
            await database.close()

    return asyncio.run(read())


def judge(clients: Clients, url: str, folder: Path, *, replayed: str = "") -> Verdict:
    """Hold the log at `url` (empty: the SQLite file in `folder`) against the ledger, and the state against the log.

    Every world is replayed, unless `replayed` names the one that is.
    """

    async def read() -> Verdict:
        database = open_database(url, folder=folder, migrations=ROOT / "migrations")
        try:
            verdict = await database.run(
                DEFAULT_TENANT, lambda connection: _judged(clients, connection, replayed=replayed)
            )
            verdict.trails = await _broken_trails(database)
            return verdict
        finally:
            await database.close()

    return asyncio.run(read())


async def _broken_trails(database: Database) -> list[str]:
    """Where the audit trails do not hold; also an empty set of them is wrong, for every start is an entry."""
    chains = await open_chains(database, "")
    tenants = await chains.tenants()
    verdicts = [await verify(chains, tenant) for tenant in tenants]
    broken = [f"{one.tenant}: {one.fault.kind} at {one.fault.seq}" for one in verdicts if one.fault is not None]
    return broken if tenants else ["there is none"]


def _judged(clients: Clients, connection: Connection, *, replayed: str = "") -> Verdict:
    verdict = Verdict(writes=len(clients.acknowledged))
    seqs: dict[str, list[int]] = {}
    parts: Counter[str] = Counter()
    for event in repositories.events_between(connection, DEFAULT_TENANT, WORLD, 1):
        verdict.events += 1
        if isinstance(event.change, Happened):
            parts[event.change.topic] += 1
            seqs.setdefault(event.change.topic.partition("/")[0], []).append(event.seq)
    verdict.doubled = [part for part, count in parts.items() if count > 1]
    verdict.torn = [key for key, found in seqs.items() if len(found) % EVENTS_PER_WRITE]
    verdict.lost = [key for key, noted in clients.acknowledged.items() if noted.seq not in seqs.get(key, ())]
    there = {id for _, id in chosen_worlds(connection, DEFAULT_TENANT, "")}
    verdict.worlds_lost = [id for id in clients.worlds if id not in there]
    for tenant, id in chosen_worlds(connection, "", replayed):
        verdict.faults += check_world(connection, tenant, id, lambda _steps: None).faults
    return verdict
