"""Quests go out of a world and come back into it by the command line, over a real server and without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from app.cli.quests import quests
from app.core.errors import Invalid, NotFound, Unavailable
from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.exports import files, ink, yarn
from tests.modules.quests.exports.drawing import BEFORE, RING
from tests.servers import Server, running

WALK = Draft(
    id="walk",
    title='Down to the "mill" -> and back',
    giver="mara",
    steps=(DraftStep(id="s1", action="goto", location="mill", text="Go to the mill.\nLook at the wheel."),),
)
LOST = Draft(id="lost", title="Nowhere", giver="mara", steps=(DraftStep(id="s1", action="goto", location="moon"),))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(quests, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("quest-files")) as started:
        assert started.post("/v1/world/create", {"world": "vale"})[0] == 200
        entities = [
            {"type": "location", "id": "inn", "connects": ["mill"]},
            {"type": "location", "id": "mill", "connects": ["inn"]},
            {"type": "npc", "id": "mara", "name": "Mara", "location": "inn"},
        ]
        assert started.post("/v1/world/upsert", {"world": "vale", "entities": entities})[0] == 200
        yield started


def test_what_is_imported_into_a_world_is_exported_as_it_was(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "two.ink"
    source.write_text(ink.write((WALK, LOST)), encoding="utf-8")
    key = server.folder / "api-key"
    there = ("--world", "vale", "--url", server.url, "--key-file", key)
    told = run("import", source, *there).output.splitlines()
    assert told[0] == "walk: kept as verified, verified"
    assert told[1].startswith("lost: kept as draft, rejected: V1 ")
    assert run("import", source, *there).output.splitlines() == told, "sent again, it is the same"
    out = tmp_path / "back.json"
    assert run("export", *there, "--out", out).exit_code == 0
    assert files.read(out.read_text(encoding="utf-8"), "back.json") == (WALK, LOST)
    one = run("export", *there, "--quest", "walk", "--format", "yarn").output
    assert yarn.read(one, "one.yarn") == (WALK,)
    picture = run("graph", *there, "--quest", "walk").output
    words = [element.text for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314  # ours
    assert "verified" in words
    assert "not proved yet" in run("graph", *there, "--quest", "lost").output


def test_a_server_that_refuses_or_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    key = server.folder / "api-key"
    with pytest.raises(NotFound, match="no quest 'wlk'"):
        run("export", "--world", "vale", "--url", server.url, "--key-file", key, "--quest", "wlk")
    with pytest.raises(Unavailable, match="does not answer"):
        run("export", "--world", "vale", "--url", "http://127.0.0.1:9", "--key-file", key)
    with pytest.raises(Invalid, match="is no address"):
        run("export", "--world", "vale", "--url", "file:///etc", "--key-file", key)
    with pytest.raises(Invalid, match="holds no key"):
        run("export", "--world", "vale", "--url", server.url, "--key-file", tmp_path / "none")


@pytest.mark.parametrize("ending", ["json", "ink", "yarn"])
def test_files_become_one_another_without_a_server(ending: str, tmp_path: Path) -> None:
    first = tmp_path / "first.json"
    first.write_text(files.write((BEFORE, RING)), encoding="utf-8")
    second = tmp_path / f"second.{ending}"
    assert run("export", first, "--format", ending, "--out", second).exit_code == 0
    assert files.read(run("import", second).output, "printed") == (BEFORE, RING)


def test_rows_and_tables_of_texts_are_written_from_a_file(tmp_path: Path) -> None:
    source, columns = tmp_path / "quests.json", tmp_path / "columns.toml"
    source.write_text(files.write((BEFORE, RING)), encoding="utf-8")
    columns.write_text('dialect = "mysql"\n[[tables]]\nname = "q"\neach = "quest"\ncolumns = { t = "{quest.title}" }\n')
    rows = run("export", source, "--format", "sql", "--columns", columns).output
    assert "INSERT INTO `q` (`t`) VALUES ('The smith''s ring');" in rows
    texts = run("export", source, "--format", "yarn-strings", "--language", "de", "--quest", "q7").output
    assert texts.splitlines()[2].startswith("de,line:q7.title,The smith's ring,")


def test_a_fault_of_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    source = tmp_path / "broken.ink"
    source.write_text(ink.write((RING,)).replace("# target: mara", "# taget: mara"), encoding="utf-8")
    with pytest.raises(Invalid, match=r"broken\.ink:\d+: step 'ask' has a tag 'taget'") as caught:
        run("import", source)
    assert "target" in caught.value.hint
    source.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match="no text in UTF-8"):
        run("import", source)
    other = tmp_path / "quests.twee"
    other.write_text(":: Start\n")
    with pytest.raises(Invalid, match="in no format that can be read back"):
        run("import", other)


def test_schemas_are_printed_as_json() -> None:
    for name in ("draft", "file", "quest", "certificate"):
        assert json.loads(run("schema", name).output)["$schema"].startswith("https://json-schema.org/")


def test_where_quests_come_from_is_said_once(tmp_path: Path) -> None:
    assert run("export").exit_code == 2
    assert run("export", tmp_path / "x.json", "--world", "w", "--key-file", tmp_path / "k").exit_code == 2
    assert run("graph", "--world", "w", "--key-file", tmp_path / "k").exit_code == 2
