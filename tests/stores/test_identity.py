"""Sign-ins, keys and the numbered changes of access, on each real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.build.records import DatabaseRecords, rotate_ring
from app.control.keys import make_key, rotation_of, split
from app.control.records import Family, Turned
from app.core.digests import digest
from app.core.module import Scope
from app.stores import identity, tables
from app.stores.database import Database, open_database
from app.stores.tenancy import EVERY_TENANT
from tests.stores.conftest import MIGRATIONS

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


@pytest.fixture
async def database(tmp_path: Path, url: str) -> AsyncIterator[Database]:
    opened = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await opened.upgrade()
    await opened.run(EVERY_TENANT, identity.prepare)
    yield opened
    await opened.close()


@pytest.fixture
def records(database: Database) -> DatabaseRecords:
    return DatabaseRecords(database)


def family(number: int = 0, *, actor: str = "key:k1", ends_ms: int = NOW_MS + 12 * HOUR_MS) -> Family:
    return Family(
        tenant="t", handle=f"h{number}", id=f"f{number}", actor=actor, scopes=Scope.READ, rotation=0, generation=0,
        since_ms=NOW_MS, ends_ms=ends_ms,
    )  # fmt: skip


async def opened(records: DatabaseRecords, one: Family, *, families_max: int = 10) -> Family:
    return await records.open_family(one, digest("r0"), expires_ms=NOW_MS + HOUR_MS, families_max=families_max)


async def turned(records: DatabaseRecords, old: str, new: str, *, handle: str = "h0", now_ms: int = NOW_MS) -> Turned:
    return await records.turn_family(
        "t", handle, digest=digest(old), next_digest=digest(new), now_ms=now_ms, expires_ms=now_ms + HOUR_MS
    )


async def test_of_two_hundred_turns_at_once_one_wins_and_the_sign_in_ends(records: DatabaseRecords) -> None:
    await opened(records, family())
    turns = await asyncio.gather(*(turned(records, "r0", f"r1-{number}") for number in range(200)))
    assert sum(turn.family is not None for turn in turns) == 1
    assert sum(turn.reused is not None for turn in turns) == 1, "it is told once"
    changes = await records.changes_after(0)
    assert changes is not None
    assert [rule.actor for rule in changes.rules] == ["family:f0"]
    for number in range(200):
        assert (await turned(records, f"r1-{number}", "r2")).family is None


async def test_a_sign_in_is_turned_again_and_again_until_it_is_over(records: DatabaseRecords) -> None:
    await opened(records, family())
    now_ms = NOW_MS
    for number in range(12):
        assert (await turned(records, f"r{number}", f"r{number + 1}", now_ms=now_ms)).family is not None
        now_ms += HOUR_MS - 1
    assert (await turned(records, "r12", "r13", now_ms=NOW_MS + 12 * HOUR_MS)) == Turned(None)


async def test_a_refresh_token_that_lay_too_long_is_over_and_no_theft(records: DatabaseRecords) -> None:
    await opened(records, family())
    assert (await turned(records, "r0", "r1", now_ms=NOW_MS + HOUR_MS)) == Turned(None)
    assert await records.changes_after(0) is None


async def test_a_sign_in_of_another_tenant_is_not_found(records: DatabaseRecords) -> None:
    await opened(records, family())
    assert await records.find_family("u", "h0") is None
    found = await records.turn_family("u", "h0", digest=digest("r0"), next_digest="", now_ms=NOW_MS, expires_ms=0)
    assert found == Turned(None)


async def test_an_actor_s_oldest_sign_in_makes_room(records: DatabaseRecords) -> None:
    for number in range(4):
        one = family(number)
        await records.open_family(one, digest("r0"), expires_ms=NOW_MS + HOUR_MS + number, families_max=3)
    await records.open_family(family(9, actor="key:k2"), digest("r0"), expires_ms=NOW_MS, families_max=3)
    kept = [number for number in range(10) if await records.find_family("t", f"h{number}") is not None]
    assert kept == [1, 2, 3, 9]


async def test_who_is_revoked_has_a_new_generation_and_no_sign_in(records: DatabaseRecords) -> None:
    before = await opened(records, family())
    await records.end_actor("t", "key:k1", NOW_MS)
    assert await turned(records, "r0", "r1") == Turned(None)
    after = await opened(records, family(1))
    assert (before.generation, after.generation) == (0, 1)


async def test_changes_come_in_order_and_none_is_missed(records: DatabaseRecords) -> None:
    seen: dict[str, int] = {}
    version, done = 0, False

    async def follow() -> None:
        nonlocal version
        while not done:
            changes = await records.changes_after(version)
            if changes is not None:
                version = changes.version
                seen.update({rule.actor: rule.generation for rule in changes.rules})
            await asyncio.sleep(0)

    following = asyncio.create_task(follow())
    await asyncio.gather(*(records.end_actor("t", f"operator:{number % 10}", NOW_MS) for number in range(60)))
    done = True
    await following
    changes = await records.changes_after(version)
    seen.update({rule.actor: rule.generation for rule in changes.rules} if changes is not None else {})
    assert seen == {f"operator:{number}": 6 for number in range(10)}


@pytest.mark.parametrize("older_may_serve", [True, False])
async def test_of_a_secret_the_database_keeps_what_its_pepper_verifies(
    database: Database, records: DatabaseRecords, monkeypatch: pytest.MonkeyPatch, older_may_serve: bool
) -> None:
    """The plain digest stays while the release before this one may have to read it, and verifies nothing here."""
    monkeypatch.setattr(identity, "KEEPS_PLAIN", older_may_serve)
    new = make_key(label="a", scopes=Scope.READ, created_ms=NOW_MS)
    await records.add_key("t", new)
    row = (await database.run(EVERY_TENANT, identity.api_keys))[0]
    secret = split(new.text)[1]
    assert secret not in str(row)
    assert (digest(secret) in str(row)) is older_may_serve
    pepper = await database.run(EVERY_TENANT, identity.prepare)
    (key,) = await records.keys("t")
    assert rotation_of(key, secret, pepper or b"") == 0
    assert rotation_of(key, secret, b"another") is None


async def test_a_key_of_before_the_pepper_is_rotated_into_one(database: Database, records: DatabaseRecords) -> None:
    new = make_key(label="a", scopes=Scope.READ, created_ms=NOW_MS)
    old = {"secret_sha256": digest(split(new.text)[1]), "secret_hmac": None}
    await records.add_key("t", new)
    await database.run(
        EVERY_TENANT, lambda connection: connection.execute(update(tables.api_keys).values(old)).rowcount
    )
    prefix = new.row["prefix"]
    assert await records.rotate_key("t", prefix, digest("next"), until_ms=NOW_MS)
    assert not await records.rotate_key("u", prefix, digest("theirs"), until_ms=NOW_MS)
    (key,) = await records.keys("t")
    pepper = await database.run(EVERY_TENANT, identity.prepare)
    assert rotation_of(key, "next", pepper) == 1
    assert rotation_of(key, split(new.text)[1], pepper) == 0
    assert key.plain_digest == ""


async def test_the_ring_rotates_once_however_many_replicas_find_it_old(database: Database) -> None:
    def rotate(connection: Any) -> bool:
        return rotate_ring(connection, NOW_MS, older_than_ms=HOUR_MS, signs_ms=NOW_MS + 2_000)

    added = await asyncio.gather(*(database.run(EVERY_TENANT, rotate) for _ in range(20)))
    assert added.count(True) == 1
    (first,) = await database.run(EVERY_TENANT, identity.signing_keys)
    assert first["signs_ms"] == NOW_MS, "the first signs at once, for there is no other"


async def test_what_is_long_over_is_forgotten(database: Database, records: DatabaseRecords) -> None:
    await opened(records, family())
    await records.end_family("t", "f0", NOW_MS)
    await records.end_actor("t", "operator:ann", NOW_MS)
    await records.tidy(NOW_MS + 1)
    assert await records.find_family("t", "h0") is None
    actors = await database.run(
        EVERY_TENANT, lambda connection: list(connection.execute(select(tables.access_rules.c.actor)).scalars())
    )
    assert actors == ["operator:ann"], "whose tokens were revoked stays known"


async def test_the_day_of_use_is_noted_and_nobody_is_told(database: Database, records: DatabaseRecords) -> None:
    new = make_key(label="a", scopes=Scope.READ, created_ms=NOW_MS)
    await records.add_key("t", new)
    changes = await records.changes_after(0)
    assert changes is not None
    await records.note_used([("t", f"key:{new.row['prefix']}")], NOW_MS)
    assert (await database.run(EVERY_TENANT, identity.api_keys))[0]["used_day"] == NOW_MS // 86_400_000
    assert await records.changes_after(changes.version) is None
