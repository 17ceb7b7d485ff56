"""Batches from the command line: what waits, how far it is, and an end to it, beside a server that runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.batches import Batch
from app.core.clock import SystemClock
from app.stores.batches import BatchShelf
from app.stores.database import open_database
from tests.engines.conftest import COMPLETION
from tests.servers import ROOT
from tests.stores.conftest import MIGRATIONS

DAY_MS = 86_400_000


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "batches", *arguments, "--data", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database with one batch of two lines."""
    now_ms = SystemClock().wall_ms()
    batch = Batch(
        tenant="studio", id="b1", state="local", lines=2, created_ms=now_ms, wait_until_ms=now_ms + DAY_MS
    )  # fmt: skip

    async def fill() -> None:
        database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
        await database.upgrade()
        await BatchShelf(database).add(batch, [COMPLETION, COMPLETION])
        await database.close()

    asyncio.run(fill())
    made = [sys.executable, str(ROOT / "manage.py"), "tenant", "create", "studio", "--data", str(tmp_path)]
    subprocess.run(made, check=True, cwd=ROOT, capture_output=True)
    return tmp_path


def test_what_waits_is_listed_without_what_was_asked(folder: Path) -> None:
    (row,) = json.loads(manage(folder, "list", "--json").stdout)
    assert (row["tenant"], row["id"], row["state"], row["lines"], row["done"]) == ("studio", "b1", "local", 2, 0)
    table = manage(folder, "list", "--tenant", "studio")
    assert "b1" in table.stdout
    shown = manage(folder, "show", "b1", "--tenant", "studio")
    assert json.loads(shown.stdout)["errors"] == {}
    assert "Mira" not in table.stdout + shown.stdout


def test_one_that_is_cancelled_says_so_until_a_server_has_obeyed(folder: Path) -> None:
    done = manage(folder, "cancel", "b1", "--tenant", "studio")
    assert done.returncode == 0, done.stderr
    assert "to be cancelled" in manage(folder, "list").stdout


@pytest.mark.parametrize(("tenant", "id"), [("studio", "b2"), ("other", "b1")])
def test_another_tenants_batch_is_none(folder: Path, tenant: str, id: str) -> None:
    refused = manage(folder, "cancel", id, "--tenant", tenant)
    assert refused.returncode == 2
    assert "no batch" in refused.stderr


def test_without_a_database_nothing_is_made(tmp_path: Path) -> None:
    refused = manage(tmp_path / "none", "list")
    assert refused.returncode == 2
    assert not (tmp_path / "none" / "innkeeper.db").exists()
