"""The verbs of an operator, on both databases, as they are typed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli.main import cli
from app.core.errors import Conflict, Invalid, NotFound
from app.world.entities import Npc
from app.world.events import EntityUpserted
from tests.stores.conftest import Opener

Run = Callable[..., Result]


@pytest.fixture
def run(url: str, tmp_path: Path) -> Run:
    """Run a verb on the test's database; an error of the tree is raised."""

    def invoke(*arguments: str, data: Path = tmp_path) -> Result:
        place = ["--data", str(data)] if url.startswith("sqlite") else ["--set", f"database.url={url}"]
        result = CliRunner().invoke(cli, [*arguments, *place], catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


async def fill(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        for id in ("a", "b", "c"):
            await store.journal.append("t", "w", [EntityUpserted(entity=Npc(id=id))])


@pytest.fixture
async def filled(opened: Opener) -> None:
    """A world of three events."""
    await fill(opened)


@pytest.mark.usefixtures("filled")
def test_events_are_exported_and_replayed(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    assert "3 events exported" in run("events", "export", "--world", "w", "--out", str(out)).output
    assert [json.loads(line)["seq"] for line in out.read_text().splitlines()] == [1, 2, 3]
    assert not list(tmp_path.glob("*.partial"))
    checked = run("events", "replay", "--check")
    assert checked.exit_code == 0
    assert "equal" in checked.output
    replayed = {row["projection"]: row for row in json.loads(run("events", "replay", "--json").output)}
    assert replayed.keys() == {"state", "minds"}
    for row in replayed.values():
        assert (row["seq"], row["faults"]) == (3, [])


@pytest.mark.usefixtures("filled")
def test_an_export_to_a_folder_that_is_not_there_says_so(run: Run, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be written"):
        run("events", "export", "--out", str(tmp_path / "nowhere" / "events.jsonl"))


def test_a_schema_is_made_and_found_good(run: Run) -> None:
    before = run("db", "check")
    assert before.exit_code == 1
    assert "run manage.py db upgrade" in before.output
    assert "empty -> " in run("db", "upgrade").output
    assert "->" not in run("db", "upgrade").output
    after = run("db", "check", "--json")
    assert after.exit_code == 0, after.output
    findings: list[dict[str, Any]] = json.loads(after.output)
    assert {finding["state"] for finding in findings} == {"ok"}
    assert len(findings) == 6


@pytest.mark.usefixtures("filled")
def test_a_backup_is_taken_verified_and_restored(run: Run, url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert "3 events" in run("backup", "--out", str(copy)).output
    verified = CliRunner().invoke(cli, ["verify", str(copy)])
    assert verified.exit_code == 0, verified.output
    assert "equal" in verified.output
    with pytest.raises(Conflict, match=r"exists|has the table"):
        run("restore", "--from", str(copy))
    assert run("restore", "--from", str(copy), "--overwrite").exit_code == 0
    assert "3 events" in run("events", "replay", "--check").output


def test_a_restore_waits_until_the_server_has_stopped(tmp_path: Path) -> None:
    place = ["--data", str(tmp_path)]
    CliRunner().invoke(cli, ["db", "upgrade", *place], catch_exceptions=False)
    CliRunner().invoke(cli, ["backup", "--out", str(tmp_path / "copy"), *place], catch_exceptions=False)
    (tmp_path / "address.json").write_text(json.dumps({"pid": os.getpid()}))
    result = CliRunner().invoke(cli, ["restore", "--from", str(tmp_path / "copy"), "--overwrite", *place])
    assert isinstance(result.exception, Conflict)
    assert "stop it first" in result.exception.hint


def test_a_time_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["restore", "--from", "x", "--cluster", "y", "--until", "yesterday"])
    assert isinstance(result.exception, Invalid)
    assert "yesterday" in result.exception.message


def test_a_folder_without_a_database_is_named_and_left_as_it_is(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    with pytest.raises(NotFound, match="no database"):
        run("events", "replay", data=empty)
    with pytest.raises(Invalid, match=r"no database|no Innkeeper schema"):
        run("backup", "--out", str(tmp_path / "copy"), data=empty)
    assert not (empty / "innkeeper.db").exists()
