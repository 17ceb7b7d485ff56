"""Suite D finds what it looks for: crossings that were planted, in the log and in a database without its policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from app.cli.prove.canaries import TENANTS, canary, crossings
from app.cli.prove.tenants import _in_log, _in_rows
from app.stores import repositories
from app.stores.database import open_database
from app.stores.tenancy import EVERY_TENANT
from tests.stores.conftest import MIGRATIONS


def test_a_word_of_another_is_counted_and_one_s_own_is_not() -> None:
    mine, other, third = TENANTS
    assert crossings(f"{canary(mine)} {canary(other)}{canary(third)}", mine) == 2
    assert crossings(canary(mine), mine) == 0


def test_a_line_of_the_log_may_hold_only_its_own_tenant_s_words(tmp_path: Path) -> None:
    mine, other, _ = TENANTS
    lines = [
        json.dumps({"event": canary(mine), "tenant": mine}),
        json.dumps({"event": canary(other), "tenant": mine}),
        f"no JSON, and {canary(mine)}",
    ]
    path = tmp_path / "log"
    path.write_text("\n".join(lines))
    assert _in_log(path) == 2


async def test_without_the_policies_the_rows_of_others_are_found(tmp_path: Path, postgres: Callable[[], str]) -> None:
    url = postgres()
    owner = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await owner.upgrade()
    for tenant in TENANTS:
        await owner.run(
            tenant,
            lambda c, tenant=tenant: repositories.insert_world(c, tenant, canary(tenant), 0),
        )
    await owner.close()
    assert await _in_rows(url, tmp_path) == 0
    owner = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await owner.run(EVERY_TENANT, lambda c: c.execute(text("ALTER TABLE worlds DISABLE ROW LEVEL SECURITY")) and None)
    await owner.close()
    assert await _in_rows(url, tmp_path) == 2 * len(TENANTS) + len(TENANTS)
