"""The audit trail over real databases: one chain however many write it, whole after a kill, short only where signed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from app.control.audit import Trail
from app.control.audit_check import read_checkpoints, verify
from app.core.chain import Keys
from app.core.clock import SystemClock
from app.core.errors import Overloaded, StoreDown
from app.stores.chains import DatabaseChains
from app.stores.database import Database, open_database
from app.stores.tenancy import EVERY_TENANT
from tests.doubles import ManualClock, SilentLog
from tests.stores.conftest import MIGRATIONS

KEYS = Keys.of(b"k" * 32)
DAY_S = 86_400.0


@dataclass
class Open:
    database: Database
    chains: DatabaseChains
    trail: Trail


@asynccontextmanager
async def opened(
    url: str, folder: Path, clock: ManualClock | SystemClock | None = None, **options: object
) -> AsyncIterator[Open]:
    database = open_database(url, folder=folder, migrations=MIGRATIONS)
    await database.upgrade()
    chains = DatabaseChains(database, KEYS)
    settings: dict[str, object] = {"queue_entries_max": 100_000, **options}
    trail = Trail(chains, clock=clock or SystemClock(), log=SilentLog(), **settings)
    trail.start()
    try:
        yield Open(database, chains, trail)
    finally:
        await trail.close()
        await database.close()


async def test_what_is_noted_is_a_chain_in_order_and_each_tenant_has_its_own(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as store:
        for number in range(700):
            store.trail.note("a" if number % 2 else "b", "key:1", "key.created", f"n{number}", count=number, ok=True)
        await store.trail.write("a", "host", "key.revoked", "k\x00\x1b[31m\ud800", text="\x00" * 3, huge=2**80)
        for tenant, entries in (("a", 351), ("b", 350)):
            found = await verify(store.chains, tenant)
            assert (found.fault, found.entries) == (None, entries)
        page = await store.chains.page("a", 0, entries_max=1_000, until_seq=10**9)
        assert [entry.target for entry in page[:3]] == ["n1", "n3", "n5"]
        assert page[-1].target == "k  [31m?"
        assert page[-1].details == b'{"huge":"1208925819614629174706176","text":"   "}'


async def test_replicas_that_write_at_once_make_one_chain(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    async with opened(url, tmp_path) as one, opened(url, tmp_path) as other:

        async def write(store: Open, name: str) -> None:
            for number in range(60):
                await store.trail.write("t", name, "test.done", str(number))

        await asyncio.gather(*(write(store, f"{row}") for row, store in enumerate((one, other, one, other))))
        found = await verify(one.chains, "t")
        assert (found.fault, found.entries, found.last_seq) == (None, 240, 240)
        page = await other.chains.page("t", 0, entries_max=1_000, until_seq=10**9)
        for name in "0123":
            assert [entry.target for entry in page if entry.actor == name] == [str(number) for number in range(60)]


@pytest.mark.parametrize(
    ("statement", "kind", "seq"),
    [
        ("UPDATE audit_entries SET actor = 'key:2' WHERE seq = 7", "changed", 7),
        ("DELETE FROM audit_entries WHERE seq = 7", "missing", 7),
        ("DELETE FROM audit_entries WHERE seq > 7", "cut", 8),
        ("INSERT INTO audit_entries SELECT tenant, 21, 'x', wall_ms, actor, action, target, details, hash "
         "FROM audit_entries WHERE seq = 20", "inserted", 21),
        ("UPDATE audit_checkpoints SET wall_ms = 1", "checkpoint", 20),
    ],
)  # fmt: skip
async def test_what_is_done_to_the_rows_is_found(url: str, tmp_path: Path, statement: str, kind: str, seq: int) -> None:
    async with opened(url, tmp_path) as store:
        for number in range(20):
            await store.trail.write("t", "key:1", "test.done", str(number))
    async with opened(url, tmp_path) as store:
        await store.database.run(EVERY_TENANT, lambda connection: connection.execute(text(statement)))
        found = await verify(store.chains, "t")
        assert found.fault is not None
        assert (found.fault.kind, found.fault.seq) == (kind, seq)


async def test_a_tail_cut_with_everything_that_tells_of_it_is_found_by_the_exported_checkpoint(
    url: str, tmp_path: Path
) -> None:
    exported = tmp_path / "marks"
    async with opened(url, tmp_path, checkpoint_file=exported) as store:
        for number in range(9):
            await store.trail.write("t", "key:1", "test.done", str(number))
    async with opened(url, tmp_path) as store:
        for statement in (
            "DELETE FROM audit_checkpoints",
            "UPDATE audit_heads SET seq = 5, hash = (SELECT hash FROM audit_entries WHERE seq = 5)",
            "DELETE FROM audit_entries WHERE seq > 5",
        ):
            await store.database.run(
                EVERY_TENANT, lambda connection, statement=statement: connection.execute(text(statement))
            )
        assert (await verify(store.chains, "t")).fault is None
        found = await verify(store.chains, "t", exported=read_checkpoints(exported))
        assert found.fault is not None
        assert (found.fault.kind, found.fault.seq) == ("cut", 6)


async def test_old_entries_go_at_a_signed_checkpoint_and_the_rest_holds(url: str, tmp_path: Path) -> None:
    clock = ManualClock(now_s=10 * DAY_S)
    async with opened(url, tmp_path, clock) as store:
        for number in range(5):
            await store.trail.write("t", "key:1", "old", str(number))
    clock.now_s += 5 * DAY_S
    async with opened(url, tmp_path, clock) as store:
        await store.trail.write("t", "key:1", "new", "5")
        now_ms = clock.wall_ms()
        cut = await store.chains.cut("t", before_ms=now_ms - 86_400_000, now_ms=now_ms)
        assert cut == (5, 5)
        assert await store.chains.cut("t", before_ms=now_ms - 86_400_000, now_ms=now_ms) == (0, 0)
        await store.trail.write("t", "key:1", "new", "6")
        found = await verify(store.chains, "t")
        assert (found.fault, found.first_seq, found.last_seq) == (None, 6, 7)
        await store.database.run(
            EVERY_TENANT, lambda c: c.execute(text("DELETE FROM audit_checkpoints WHERE kind = 'base'"))
        )
        assert (await verify(store.chains, "t")).fault is not None


async def test_a_running_server_cuts_what_is_older_than_its_retention(url: str, tmp_path: Path) -> None:
    clock = ManualClock(now_s=10 * DAY_S)
    async with opened(url, tmp_path, clock) as store:
        await store.trail.write("t", "key:1", "old", "1")
    clock.now_s += 5 * DAY_S
    async with opened(url, tmp_path, clock, retention_days=2) as store:
        await store.trail.write("t", "key:1", "new", "2")
        async with asyncio.timeout(10):
            page = await store.chains.page("t", 0, entries_max=9, until_seq=9)
            while page[-1].action != "audit.cut":
                page = await store.chains.page("t", 0, entries_max=9, until_seq=9)
        assert [(entry.seq, entry.action) for entry in page] == [(2, "new"), (3, "audit.cut")]


async def test_a_full_queue_loses_notes_and_counts_them_but_refuses_what_must_be_seen(tmp_path: Path) -> None:
    async with opened("", tmp_path, queue_entries_max=3) as store:
        for number in range(10):
            store.trail.note("t", "key:1", "test.done", str(number))
        with pytest.raises(Overloaded):
            await store.trail.write("t", "key:1", "key.created", "x")
        await asyncio.sleep(0.2)
        page = await store.chains.page("t", 0, entries_max=9, until_seq=9)
        assert [entry.action for entry in page] == ["test.done"] * 3 + ["audit.lost"]
        assert page[-1].details == b'{"entries":7}'


async def test_while_the_database_is_gone_notes_wait_and_what_must_be_seen_is_refused(tmp_path: Path) -> None:
    async with opened("", tmp_path) as store:
        await store.database.run(
            EVERY_TENANT, lambda connection: connection.execute(text("ALTER TABLE audit_heads RENAME TO away"))
        )
        store.trail.note("t", "key:1", "test.done", "waits")
        with pytest.raises(StoreDown):
            await store.trail.write("t", "key:1", "key.created", "x")
        await store.database.run(
            EVERY_TENANT, lambda connection: connection.execute(text("ALTER TABLE away RENAME TO audit_heads"))
        )
        await store.trail.write("t", "key:1", "key.created", "y")
        page = await store.chains.page("t", 0, entries_max=9, until_seq=9)
        assert [entry.target for entry in page] == ["waits", "y"]


async def test_an_entry_that_is_written_again_is_there_once(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as store:
        await store.trail.write("t", "key:1", "test.done", "1")
        (entry,) = await store.chains.page("t", 0, entries_max=9, until_seq=9)
        await store.chains.append("t", [entry], now_ms=0)
        assert (await verify(store.chains, "t")).entries == 1


WRITE_ON = """
import asyncio, sys
from pathlib import Path
from tests.stores.test_audit import opened

async def main():
    async with opened(sys.argv[1], Path(sys.argv[2])) as store:
        number = 0
        while True:
            for _ in range(20):
                store.trail.note("t", "key:1", "test.done", str(number))
                number += 1
            await store.trail.write("t", "key:1", "test.done", "awaited")
            print(number, flush=True)

asyncio.run(main())
"""


async def test_a_kill_in_the_middle_of_a_write_leaves_a_chain_that_holds_and_all_that_was_awaited(
    url: str, tmp_path: Path
) -> None:
    awaited = 0
    for _ in range(3):
        command = [sys.executable, "-c", WRITE_ON, url, str(tmp_path)]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=MIGRATIONS.parent)
        assert child.stdout is not None
        for _ in range(5):
            assert await child.stdout.readline()
            awaited += 1
        await asyncio.sleep(0.005)
        child.kill()
        await child.wait()
    async with opened(url, tmp_path) as store:
        found = await verify(store.chains, "t")
        assert found.fault is None
        page = await store.chains.page("t", 0, entries_max=100_000, until_seq=10**9)
        assert sum(entry.target == "awaited" for entry in page) >= awaited
