"""The watch over an SQLite file: what it learns from outside, and what it keeps in order by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from app.build import MODULE_SETTINGS, ROOT
from app.build.access import Access, open_access
from app.control.auth import Identity
from app.control.ring import LEARN_MS
from app.core.clock import SystemClock
from app.core.errors import Unauthenticated
from app.core.module import Scope
from app.core.profile import layers, load
from app.stores import identity
from app.stores.database import Database, open_database
from app.stores.tenancy import EVERY_TENANT
from tests.doubles import NoAudit

DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000


class Clock(SystemClock):
    now_ms = NOW_MS

    def wall_ms(self) -> int:
        return self.now_ms


@dataclass
class Stage:
    clock: Clock
    database: Database
    access: Access


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    database = open_database("", folder=tmp_path, migrations=ROOT / "migrations")
    await database.upgrade()
    sources = layers(ROOT / "profiles", mode=1, file=None, environment={}, flags={"server.data_folder": str(tmp_path)})
    profile = load(sources, MODULE_SETTINGS).profile
    clock = Clock()
    access = await open_access(database, profile, clock=clock, log=structlog.get_logger(), audit=NoAudit())
    yield Stage(clock, database, access)
    await access.watch.close()
    await database.close()


async def test_an_old_signing_key_is_followed_by_another_without_a_token_lost(stage: Stage) -> None:
    ring, key = stage.access.authority.ring, stage.access.first_key
    await stage.access.watch.keep_up()
    assert len(ring.keys) == 1
    stage.clock.now_ms += 31 * DAY_MS
    issued = await stage.access.grants.sign_in(stage.access.authority.identify(key))
    await stage.access.watch.keep_up()
    old, new = ring.keys
    assert ring.signer(stage.clock.now_ms) == old
    stage.clock.now_ms += LEARN_MS
    assert ring.signer(stage.clock.now_ms) == new
    assert stage.access.authority.identify(issued.access).tenant == "default"
    await stage.access.watch.keep_up()
    assert len(ring.keys) == 2


async def test_the_day_on_which_a_key_was_used_is_kept(stage: Stage) -> None:
    stage.access.authority.identify(stage.access.first_key)
    await stage.access.watch.keep_up()
    (row,) = await stage.database.run(EVERY_TENANT, identity.api_keys)
    assert row["used_day"] == NOW_MS // DAY_MS


async def test_a_sign_in_ends_twelve_hours_after_the_key_was_shown_however_often_it_is_renewed(stage: Stage) -> None:
    issued = await stage.access.grants.sign_in(stage.access.authority.identify(stage.access.first_key))
    for _ in range(15):
        stage.clock.now_ms += 45 * 60_000
        issued = await stage.access.grants.refresh(issued.refresh)
        assert issued.refresh_ends_ms <= NOW_MS + DAY_MS // 2
    stage.clock.now_ms = NOW_MS + DAY_MS // 2
    with pytest.raises(Unauthenticated):
        await stage.access.grants.refresh(issued.refresh)
    with pytest.raises(Unauthenticated):
        stage.access.authority.identify(issued.access)


async def test_a_code_lasts_an_hour_and_its_sign_in_no_longer_than_that_of_its_key(stage: Stage) -> None:
    code = stage.access.authority.make_code(stage.access.authority.identify(stage.access.first_key))
    stage.clock.now_ms += 50 * 60_000
    issued = await stage.access.grants.sign_in(stage.access.authority.take_code(code))
    assert issued.refresh_ends_ms <= NOW_MS + DAY_MS // 2


async def test_another_tenant_s_actor_of_the_same_name_is_somebody_else(stage: Stage) -> None:
    grants, authority = stage.access.grants, stage.access.authority
    tokens = {}
    for tenant in ("north", "south"):
        ann = Identity(tenant=tenant, actor="operator:ann", scopes=Scope.READ, since_ms=NOW_MS)
        tokens[tenant] = await grants.sign_in(ann)
    await grants.revoke_subject("north", "operator:ann", by="host")
    with pytest.raises(Unauthenticated):
        authority.identify(tokens["north"].access)
    assert authority.identify(tokens["south"].access).tenant == "south"
    assert (await grants.refresh(tokens["south"].refresh)).refresh
