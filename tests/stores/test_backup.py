"""Backup and restore, on both databases: what was there is there again, and what is damaged is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from app.core.errors import Conflict, Invalid, StoreDown
from app.stores.backup import MANIFEST, Manifest, read_manifest, take, verify
from app.stores.replay import check_world
from app.stores.restore import restore
from app.stores.tenancy import EVERY_TENANT
from app.world.entities import Npc
from app.world.events import EntityUpserted, RelationChanged
from tests.stores.conftest import MIGRATIONS, Opener, Store


def silent(_steps: int) -> None:
    """No bar."""


async def fill(store: Store, npcs: int) -> bytes:
    """The state's bytes after a first life: a checkpoint, and events after it."""
    await store.journal.create_world("t", "w")
    for number in range(npcs):
        await store.journal.append("t", "w", [EntityUpserted(entity=Npc(id=f"n{number}"))], key=f"k{number}")
        if number == npcs // 2:
            await store.journal.checkpoint()
    await store.journal.append("t", "w", [RelationChanged(npc="n0", other="n1", delta=0.3)])
    return msgspec.msgpack.encode(store.world().state)


@pytest.fixture
def other_url(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of a second, empty database of the same kind."""
    if url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'other' / 'innkeeper.db'}"
    make: Callable[[], str] = request.getfixturevalue("postgres")
    return make()


async def test_a_drill_of_backup_destruction_and_restore(
    opened: Opener, url: str, other_url: str, tmp_path: Path
) -> None:
    async with opened() as store:
        before = await fill(store, 30)
        writing = asyncio.create_task(_keep_writing(store))
        manifest = await take(store.database, url, tmp_path / "copy", physical=False)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    assert manifest.worlds[0].seq >= 31
    (proved,) = await asyncio.to_thread(verify, tmp_path / "copy", silent)
    assert proved.faults == ()
    restored = await restore(
        tmp_path / "copy", other_url, data=tmp_path, migrations=MIGRATIONS, overwrite=False, told=silent
    )
    assert restored[0] == msgspec.structs.replace(proved, saved_seq=restored[0].saved_seq), (
        "without keys it is the log alone"
    )
    assert restored[0].seq == manifest.worlds[0].seq
    assert before


async def _keep_writing(store: Store) -> None:
    for number in range(10_000):
        await store.journal.append("t", "w", [EntityUpserted(entity=Npc(id=f"late{number}"))])


async def test_a_database_that_is_not_empty_is_kept(opened: Opener, url: str, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store, 3)
        await take(store.database, url, tmp_path / "copy", physical=False)
        await store.journal.append("t", "w", [EntityUpserted(entity=Npc(id="newer"))])
    arguments = {"data": tmp_path, "migrations": MIGRATIONS, "told": silent}
    with pytest.raises(Conflict, match=r"exists|has the table"):
        await restore(tmp_path / "copy", url, overwrite=False, **arguments)  # type: ignore[arg-type]  # a test's shorthand
    async with opened() as store:
        assert "newer" in store.world().state.npcs
    await restore(tmp_path / "copy", url, overwrite=True, **arguments)  # type: ignore[arg-type]  # a test's shorthand
    async with opened() as store:
        assert "newer" not in store.world().state.npcs
        assert "n2" in store.world().state.npcs
    if url.startswith("sqlite"):
        names = [path.name for path in await asyncio.to_thread(lambda: list(tmp_path.iterdir()))]
        assert any("innkeeper.db.replaced-" in name for name in names), "what was there is moved aside"


async def test_a_damaged_copy_is_refused(opened: Opener, url: str, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store, 3)
        manifest = await take(store.database, url, tmp_path / "copy", physical=False)
    copy = next(path for path in (tmp_path / "copy").iterdir() if path.name != MANIFEST)
    body = bytearray(copy.read_bytes())
    body[len(body) // 2] ^= 1
    copy.write_bytes(body)
    with pytest.raises(StoreDown, match="the manifest says"):
        await asyncio.to_thread(verify, tmp_path / "copy", silent)
    assert manifest.copy_bytes == len(body)


async def test_a_copy_that_lacks_events_of_its_manifest_is_refused(opened: Opener, url: str, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store, 3)
        manifest = await take(store.database, url, tmp_path / "copy", physical=False)
    world = msgspec.structs.replace(manifest.worlds[0], seq=99)
    wrong = msgspec.structs.replace(manifest, worlds=(world,))
    (tmp_path / "copy" / MANIFEST).write_bytes(msgspec.json.encode(wrong))
    with pytest.raises(StoreDown, match="99"):
        await asyncio.to_thread(verify, tmp_path / "copy", silent)


async def test_a_backup_needs_a_folder_of_its_own(opened: Opener, url: str, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store, 1)
        await take(store.database, url, tmp_path / "copy", physical=False)
        with pytest.raises(Conflict, match="is not empty"):
            await take(store.database, url, tmp_path / "copy", physical=False)


def test_a_folder_without_a_manifest_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=MANIFEST):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text('{"format": 1}')
    with pytest.raises(Invalid, match="cannot be read"):
        read_manifest(tmp_path)
    newer = Manifest(
        format=2, kind="sqlite", created_ms=0, schema_revision="1", worlds=(), copy_bytes=0, copy_sha256=""
    )
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(newer))
    with pytest.raises(Invalid, match="format 2"):
        read_manifest(tmp_path)


async def test_a_checkpoint_that_lies_is_found(opened: Opener) -> None:
    async with opened() as store:
        await fill(store, 3)
        await store.journal.checkpoint()
        assert (await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", silent))).faults == ()
        await store.database.run(EVERY_TENANT, lambda c: c.execute(text("DELETE FROM events WHERE seq = 2")) and None)
        (fault,) = (await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", silent))).faults
        assert "missing" in fault
