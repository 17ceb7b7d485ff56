"""`manage.py quests audit` on real files: JSON, a dump, SQLite and CSV; its reference is run word for word."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from app.build import ROOT
from app.cli.quests import dump, jobs, pages
from app.cli.quests.columns import column_map
from app.cli.quests.rows import Reading
from app.cli.quests.source import AuditFile, Source, WorldPart, json_source, schema
from app.cli.quests.tables import tables_of
from app.core.errors import Invalid
from app.modules.quests.auditing.entry import entries_of
from app.modules.quests.report import Fault, Report
from app.modules.quests.settings import Settings
from tests.modules.quests import planted

REFERENCE = (ROOT / "docs" / "reference" / "quest-audit.md").read_text(encoding="utf-8")


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "quests", "audit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", REFERENCE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (tmp_path / "dump.sql").write_text(block("sql"), encoding="utf-8")
    (tmp_path / "map.toml").write_text(block("toml"), encoding="utf-8")
    return tmp_path


def write(folder: Path, base: planted.Base) -> Path:
    world = WorldPart(entities=tuple(base.entities.values()), facts=tuple(base.facts), game_s=100.0)
    path = folder / "quests.json"
    body = msgspec.json.encode(AuditFile(world=world, quests=tuple(base.quests)))
    path.write_bytes(msgspec.json.format(body, indent=1))
    return path


def test_the_reference_prints_what_its_example_gives(example: Path) -> None:
    done = run("dump.sql", "--columns", "map.toml", cwd=example)
    assert done.stdout == block("text")
    assert done.returncode == 1


def test_every_fault_of_the_closed_list_is_in_the_reference() -> None:
    assert set(get_args(Fault)) == set(re.findall(r"^\| (?:V\d|any) \| `(\w+)`", REFERENCE, re.MULTILINE))


def test_sqlite_and_csv_tell_the_same_as_the_dump(example: Path) -> None:
    chosen = column_map(example / "map.toml")
    tables = tables_of(example / "dump.sql", chosen.tables())
    connection = sqlite3.connect(example / "quests.db")
    folder = example / "csv"
    folder.mkdir()
    for name, lines in tables.items():
        columns = list(lines[0].values)
        connection.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
        rows = [[line.values[column] for column in columns] for line in lines]
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608  # the reference's own names
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    connection.commit()
    connection.close()
    said = [
        Reading(tables_of(example / name, chosen.tables()), chosen).source(name)
        for name in ("dump.sql", "quests.db", "csv")
    ]
    drafts = [[entry.draft for entry in source.entries] for source in said]
    assert drafts[0] == drafts[1] == drafts[2]
    assert said[0].state == said[1].state == said[2].state
    assert [source.entries[3].where for source in said] == ["dump.sql:19", "quest:4", "quest.csv:5"]


def test_a_file_names_the_line_of_the_broken_step_and_exits_with_one(tmp_path: Path) -> None:
    base = planted.sound(2, 10)
    planted.no_key(base)
    path = write(tmp_path, base)
    done = run(path.name, "--json", "--html", "report.html", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    report = msgspec.json.decode(done.stdout, type=Report)
    (found,) = report.found
    lines = path.read_text().splitlines()
    at = int(found.where.partition(":")[2]) - 1
    assert '"id": "a"' in lines[at]
    assert any(f'"id": "{found.quests[0]}"' in line for line in lines[at - 12 : at])
    page = (tmp_path / "report.html").read_text()
    assert found.quests[0] in page
    assert "<script" not in page


def test_a_sound_file_exits_with_zero_and_shows_no_bar_in_a_pipe(tmp_path: Path) -> None:
    done = run(write(tmp_path, planted.sound(5, 8)).name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "every quest can be completed" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "text", ['{"quests": [', "[]", '{"quests": [], "wurld": 1}', '{"quests": []}', "\0", "[" * 100_000]
)
def test_a_file_that_cannot_be_read_exits_with_two(tmp_path: Path, text: str) -> None:
    (tmp_path / "quests.json").write_text(text)
    done = run("quests.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_file_without_quests_is_not_praised(tmp_path: Path) -> None:
    (tmp_path / "quests.json").write_text('{"quests": [], "world": {}}')
    done = run("quests.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'quests.json' has no quests" in done.stderr


def test_a_quest_that_is_no_draft_spoils_no_other(tmp_path: Path) -> None:
    base = planted.sound(4, 3)
    path = write(tmp_path, base)
    body = json.loads(path.read_text())
    body["quests"].insert(1, {"id": "odd", "title": "x", "giver": "y", "steps": [], "weight": 3})
    body["quests"].insert(2, 17)
    path.write_text(json.dumps(body))
    report = audited(json_source(path))
    found = [(each.fault, each.quests) for each in report.found]
    assert found == [("unreadable", ("odd",)), ("unreadable", ("#3",))]
    assert report.verdicts["rejected"] == 2


def test_the_report_is_the_same_in_any_number_of_processes() -> None:
    base = planted.spoiled(1, 30)
    assert audited(set_of(base), 1) == audited(set_of(base), 2)


def test_the_schema_accepts_what_the_reader_accepts() -> None:
    found = schema()
    assert found["$schema"].startswith("https://json-schema.org/")
    assert "Draft" in found["$defs"]
    assert set(found["$defs"]["AuditFile"]["properties"]) == {"format", "version", "world", "quests"}


def test_what_studios_write_is_escaped_on_the_page() -> None:
    base = planted.based(1)
    base.quest(planted.step("a", "goto", location="<script>alert(1)</script>"))
    page = pages.page("<b>", audited(set_of(base)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page


POSTGRES = r"""
CREATE TABLE public.quest (
    id integer NOT NULL,
    title text DEFAULT 'x,('::character varying,
    CONSTRAINT positive CHECK ((id > 0))
);
COPY public.quest (id, title) FROM stdin;
1	a\tb
2	\N
\.
CREATE FUNCTION f() AS $$ begin; insert into quest values (now()); end $$;
INSERT INTO public.quest (title, id) VALUES ('a\b', 3), (E'q\'t', 4), ('x'::varchar(3), '5'::integer);
"""
MYSQL = r'''
/*!40101 SET NAMES utf8 */; # a remark; with a mark
CREATE TABLE IF NOT EXISTS `quest` (`id` int,
 `title` varchar(9) DEFAULT 'a,b(', PRIMARY KEY (`id`), KEY `t` (`title`(4)));
LOCK TABLES `quest` WRITE;
INSERT INTO `quest` VALUES (1,'It''s \'so\' \\n\n;'),(2,NULL),
(-3,_utf8'x'),(0x10,"say ""it""");
REPLACE INTO `other` SELECT * FROM `quest`;
'''


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (POSTGRES, [("1", "a\tb"), ("2", None), ("3", "a\\b"), ("4", "q't"), ("5", "x")]),
        (MYSQL, [("1", "It's 'so' \\n\n;"), ("2", None), ("-3", "x"), ("16", 'say "it"')]),
    ],
    ids=["postgres", "mysql"],
)
def test_dumps_are_read_as_their_databases_wrote_them(tmp_path: Path, text: str, rows: list[object]) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(text)
    lines = dump.tables_of(path, ["quest"])["quest"]
    assert [(line.values["id"], line.values["title"]) for line in lines] == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("INSERT INTO `quest` (`id`) VALUES (NOW());", "no literal"),
        ("INSERT INTO `quest` (`id`) VALUES (1, 2);", "2 values for the 1 columns"),
        ("INSERT INTO `quest` VALUES (1);", "named nowhere"),
        ("INSERT INTO `quest` (`id`) VALUES (1", "middle of a statement"),
        ("CREATE TABLE `quests` (`id` int);", "no table 'quest'"),
    ],
)
def test_what_is_no_row_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(f"-- MySQL dump\n{text}")
    with pytest.raises(Invalid, match=said):
        dump.tables_of(path, ["quest"])


def test_a_map_that_names_no_column_is_refused(example: Path) -> None:
    (example / "map.toml").write_text(block("toml").replace("{lvl}", "{lvel}"), encoding="utf-8")
    done = run("dump.sql", "--columns", "map.toml", cwd=example)
    assert done.returncode == 2
    assert "did you mean 'lvl'" in done.stderr


def test_rows_that_belong_to_no_quest_are_found(example: Path) -> None:
    text = block("sql").replace("(102,2,'bring'", "(999,2,'bring'")
    (example / "dump.sql").write_text(text, encoding="utf-8")
    done = run("dump.sql", "--columns", "map.toml", "--json", cwd=example)
    report = msgspec.json.decode(done.stdout, type=Report)
    found = [(each.fault, each.quests, each.where) for each in report.found]
    assert ("unknown", ("quest_999",), "dump.sql:23") in found


def set_of(base: planted.Base) -> Source:
    return Source("set", entries_of(tuple(base.quests)), base.state())


def audited(source: Source, processes: int = 1) -> Report:
    assert source.state is not None
    return jobs.audited(source.state, Settings(), source.entries, start=source.start, jobs=processes)
