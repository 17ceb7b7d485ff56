"""Replay and export over both databases: the log gives the state again, and says so when it does not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from app.core.errors import Conflict, Invalid
from app.stores import export, tables
from app.stores.checkpoints import load_checkpoint, save_checkpoint
from app.stores.database import Database, open_database
from app.stores.replay import check_world, rebuild_world
from app.stores.tenancy import EVERY_TENANT
from app.world.entities import Fact, Item, Npc
from app.world.events import EntityUpserted, FactAsserted, RelationChanged
from app.world.state import State
from tests.stores.conftest import MIGRATIONS, Opener, Store


def silent(_steps: int) -> None:
    """No bar."""


async def fill(store: Store) -> None:
    await store.journal.create_world("t", "w")
    await store.journal.create_world("t", "empty")
    await store.journal.append("t", "w", [EntityUpserted(entity=Npc(id="a")), EntityUpserted(entity=Item(id="cup"))])
    await store.journal.checkpoint()
    fact = Fact(subject="a", predicate="mood", value="glad", from_s=1.5)
    await store.journal.append("t", "w", [FactAsserted(fact=fact)], key="k", game_s=2.25)
    await store.journal.append("t", "w", [RelationChanged(npc="a", other="p", delta=0.1)])


async def test_a_replay_gives_the_bytes_that_the_server_holds(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        held = msgspec.msgpack.encode(store.world().state)
        replayed = await store.database.run(EVERY_TENANT, lambda c: rebuild_world(c, "t", "w", silent))
        assert replayed.faults == ()
        assert (replayed.seq, replayed.saved_seq) == (4, 2)
        rebuilt = await store.database.run(EVERY_TENANT, lambda c: load_checkpoint(c, "t", "w"))
        assert msgspec.msgpack.encode(rebuilt) == held
        assert (await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "empty", silent))).faults == ()


async def test_a_checkpoint_that_lies_is_named_and_replaced(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        lie = State(seq=2, npcs={"someone": Npc(id="someone")})
        await store.database.run(
            EVERY_TENANT, lambda c: save_checkpoint(c, "t", "w", msgspec.msgpack.encode(lie), lie.seq)
        )
        (fault,) = (await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", silent))).faults
        assert "npcs" in fault
        assert (await store.database.run(EVERY_TENANT, lambda c: rebuild_world(c, "t", "w", silent))).faults == (fault,)
        assert (await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", silent))).faults == ()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("DELETE FROM events WHERE seq = 2", "missing"),
        ("UPDATE events SET version = 9 WHERE seq = 3", "version 9"),
        ("UPDATE idempotency SET first_seq = 0", "idempotency"),
    ],
)
async def test_a_damaged_log_is_named_and_rebuilds_nothing(opened: Opener, damage: str, named: str) -> None:
    async with opened() as store:
        await fill(store)
        await store.database.run(EVERY_TENANT, lambda c: c.execute(text(damage)) and None)
        (fault,) = (await store.database.run(EVERY_TENANT, lambda c: rebuild_world(c, "t", "w", silent))).faults
        assert named in fault
        kept = await store.database.run(EVERY_TENANT, lambda c: load_checkpoint(c, "t", "w"))
        assert kept.seq == 2


async def test_an_export_is_the_log_one_event_a_line(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        out = io.BytesIO()
        assert await store.database.run(EVERY_TENANT, lambda c: export.count_events(c, "", "w")) == 4
        assert await store.database.run(EVERY_TENANT, lambda c: export.write_events(c, out, "", "w", silent)) == 4
        lines = [msgspec.json.decode(line, type=export.Line) for line in out.getvalue().splitlines()]
        assert [(line.format, line.version, line.seq, line.world) for line in lines] == [
            (1, 1, seq, "w") for seq in range(1, 5)
        ]
        assert [line.change for line in lines] == [event.change for event in store.told]
        assert lines[2].game_s == 2.25
        with pytest.raises(Invalid) as refused:
            await store.database.run(EVERY_TENANT, lambda c: export.count_events(c, "", "ww"))
        assert "did you mean 'w'" in refused.value.hint


def test_a_line_carries_bytes_and_comes_back_equal() -> None:
    fields = {"tenant": "t", "world": "w", "seq": 1, "id": "x", "wall_ms": 1, "game_s": 0.1, "version": 1}
    change = msgspec.convert(
        {"kind": "quest.recorded", "id": "q", "state": "open", "body": b"\x00\xff"}, export.AnyChange
    )
    line = export.Line(**fields, change=change)  # type: ignore[arg-type]  # a test's shorthand
    assert msgspec.json.decode(msgspec.json.encode(line), type=export.Line) == line


async def test_a_checkpoint_that_cannot_be_read_is_named_and_replaced(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        await store.database.run(
            EVERY_TENANT, lambda c: c.execute(tables.sealed_checkpoints.update().values(body=b"\xc1")) and None
        )
        (fault,) = (await store.database.run(EVERY_TENANT, lambda c: rebuild_world(c, "t", "w", silent))).faults
        assert "cannot be read" in fault
        assert (await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", silent))).faults == ()


async def exported(database: Database) -> bytes:
    out = io.BytesIO()
    await database.run(EVERY_TENANT, lambda c: export.write_events(c, out, "", "", silent))
    return out.getvalue()


async def test_an_export_is_imported_into_an_empty_database_and_gives_the_same_bytes(
    opened: Opener, tmp_path: Path, postgres: Callable[[], str]
) -> None:
    async with opened() as store:
        await fill(store)
        held, body = msgspec.msgpack.encode(store.world().state), await exported(store.database)
    for url in (f"sqlite:///{tmp_path / 'other.db'}", postgres()):
        database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
        await database.upgrade()
        assert await database.run(EVERY_TENANT, lambda c: export.read_events(c, io.BytesIO(body), silent)) == 4
        assert (await database.run(EVERY_TENANT, lambda c: rebuild_world(c, "t", "w", silent))).seq == 4
        assert msgspec.msgpack.encode(await database.run(EVERY_TENANT, lambda c: load_checkpoint(c, "t", "w"))) == held
        assert await exported(database) == body
        with pytest.raises(Conflict, match="has events already"):
            await database.run(EVERY_TENANT, lambda c: export.read_events(c, io.BytesIO(body), silent))
        await database.close()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [(b'"seq":2', b'"seq":5', "follows event 1"), (b'"version":1', b'"version":9', "version 9"), (b"{", b"", "line 1")],
)
async def test_an_import_that_is_not_whole_changes_nothing(opened: Opener, old: bytes, new: bytes, named: str) -> None:
    async with opened() as store:
        await fill(store)
        body = (await exported(store.database)).replace(old, new, 1)
        await store.database.run(EVERY_TENANT, lambda c: c.execute(tables.events.delete()) and None)
        with pytest.raises(Invalid, match=named):
            await store.database.run(EVERY_TENANT, lambda c: export.read_events(c, io.BytesIO(body), silent))
        assert await store.database.run(EVERY_TENANT, lambda c: c.execute(tables.events.select()).all()) == []
