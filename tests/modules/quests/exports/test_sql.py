"""Rows that a column map makes are read back equal from real databases, whatever an author wrote."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.exports import sql
from tests.modules.quests.exports import drawing
from tests.modules.quests.exports.drawing import BEFORE, RING

MAP = """
dialect = "{dialect}"

[[tables]]
name = "quest_template"
each = "quest"
[tables.columns]
id = "{{quest.number}}"
key = "{{quest.id}}"
LogTitle = "{{quest.title}}"
QuestDescription = "{{quest.description}}"
RewardMoney = "{{quest.reward.coins}}"
RewardXP = "{{quest.reward.experience}}"
TimeAllowed = "{{quest.until_s}}"
Flags = 8
Note = "by {{quest.giver}}, level {{quest.level}}"

[[tables]]
name = "quest_objective"
each = "step"
[tables.columns]
quest = "{{quest.id}}"
place = "{{step.number}}"
branch = "{{step.branch}}"
text = "{{step.text}}"
amount = "{{step.count}}"
optional = "{{step.optional}}"
"""
TABLES = """
CREATE TABLE quest_template (id integer, "key" text, "LogTitle" text, "QuestDescription" text, "RewardMoney" bigint,
    "RewardXP" bigint, "TimeAllowed" double precision, "Flags" integer, "Note" text);
CREATE TABLE quest_objective (quest text, place integer, branch text, text text, amount integer, optional boolean);
"""
SOME = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def column_map(dialect: str) -> sql.ColumnMap:
    return sql.read_map(MAP.format(dialect=dialect), "map.toml")


def expected(quests: Sequence[Draft]) -> dict[str, list[tuple[Any, ...]]]:
    steps = [
        (quest.id, [*(("", step) for step in quest.steps), *((b.id, s) for b in quest.branches for s in b.steps)])
        for quest in quests
    ]
    return {
        "quest_template": [
            (
                number, quest.id, quest.title, quest.description, quest.reward.coins if quest.reward else 0,
                quest.reward.experience if quest.reward else 0, quest.until_s, 8,
                f"by {quest.giver}, level {quest.level}",
            )
            for number, quest in enumerate(quests, 1)
        ],
        "quest_objective": [
            (id, place, branch, step.text, step.count, step.optional)
            for id, all_steps in steps
            for place, (branch, step) in enumerate(all_steps, 1)
        ],
    }  # fmt: skip


@SOME
@given(quests=drawing.files)
def test_sqlite_holds_what_the_drafts_say(quests: tuple[Draft, ...]) -> None:
    database = sqlite3.connect(":memory:")
    database.executescript(TABLES)
    database.executescript(sql.write(quests, column_map("sqlite")))
    for table, rows in expected(quests).items():
        found = [tuple(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY rowid")]  # noqa: S608  # ours
        assert found == rows
    database.close()


async def test_postgresql_holds_what_the_drafts_say(postgres: Callable[[], str]) -> None:
    import asyncpg  # type: ignore[import-untyped]  # it has no stubs

    texts = [text for text in drawing.NASTY if "\0" not in text]
    steps = tuple(DraftStep(id=f"s{n}", action="goto", text=text) for n, text in enumerate(texts))
    nasty = tuple(
        Draft(id=f"n{n}", title=text, giver=text, steps=steps, description=text * 3) for n, text in enumerate(texts)
    )
    quests = (RING, BEFORE, *nasty)
    connection = await asyncpg.connect(postgres())
    try:
        await connection.execute(TABLES)
        for setting in ("on", "off"):
            await connection.execute(f"SET standard_conforming_strings = {setting}; SET escape_string_warning = off")
            await connection.execute(sql.write(quests, column_map("postgresql")))
            for table, rows in expected(quests).items():
                found = [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")]  # noqa: S608  # ours
                assert sorted(found, key=repr) == sorted(rows, key=repr)
            await connection.execute("TRUNCATE quest_template, quest_objective")
    finally:
        await connection.close()


@given(text=drawing.texts)
def test_a_text_for_mysql_ends_nowhere_but_at_its_end(text: str) -> None:
    written = sql.literal(text, "mysql")
    if written.startswith("_utf8mb4 X'"):
        assert bytes.fromhex(written.removeprefix("_utf8mb4 X'").removesuffix("'")).decode() == text
    else:
        assert "\\" not in written, "whatever sql_mode is set, nothing is escaped by a backslash"
        assert written[1:-1].replace("''", "") == text.replace("'", "")
        assert written[1:-1].replace("''", "'") == text


def test_names_are_quoted_as_the_dialect_has_it() -> None:
    assert "INSERT INTO `quest_template` (`id`, `key`, " in sql.write((RING,), column_map("mysql"))
    assert 'INSERT INTO "quest_template" ("id", "key", ' in sql.write((RING,), column_map("postgresql"))


CODED = """
dialect = "mysql"
codes.actions = {{ learn = 1, gather = 2, trade = 3, give = 4, kill = 5 }}
[[tables]]
name = "world.objectives"
each = "{each}"
columns = {{ kind = "{field}" }}
"""


def test_codes_translate_and_other_rows_are_made() -> None:
    coded = sql.read_map(CODED.format(each="step", field="{step.action|actions}"), "map.toml")
    assert "INSERT INTO `world`.`objectives` (`kind`) VALUES (1);" in sql.write((RING,), coded)
    items = sql.read_map(CODED.format(each="reward_item", field="{item.id}"), "map.toml")
    assert sql.write((RING, BEFORE), items).splitlines()[1:-1] == [
        "INSERT INTO `world`.`objectives` (`kind`) VALUES ('hammer');"
    ]
    requires = sql.read_map(CODED.format(each="requires", field="{quest.id} after {required.id}"), "map.toml")
    assert "VALUES ('q7 after q6');" in sql.write((RING, BEFORE), requires)


@pytest.mark.parametrize(
    ("each", "field", "said", "hint"),
    [
        ("step", "{step.acton}", "'step.acton' is no field of such a row", "step.action"),
        ("quest", "{step.action}", "'step.action' is no field of such a row", ""),
        ("step", "{step.action|acts}", "'acts' is no table of codes", "actions"),
        ("step", "{step.id|actions}", "codes.actions has none for 'ask'", "add it"),
        ("quest", "{quest.id|int}", "quest.id is 'q7', which is no whole number", "without |int"),
    ],
)
def test_a_fault_of_the_map_is_named_with_its_column(each: str, field: str, said: str, hint: str) -> None:
    columns = sql.read_map(CODED.format(each=each, field=field), "map.toml")
    with pytest.raises(Invalid, match=r"column world\.objectives\.kind") as caught:
        sql.write((RING,), columns)
    assert said in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["a b", 'x"; DROP TABLE y; --', "", "a.b.c", "`"])
def test_a_name_that_could_end_a_statement_is_refused(name: str) -> None:
    text = f'dialect = "mysql"\n[[tables]]\nname = {name!r}\neach = "quest"\ncolumns = {{ id = 1 }}\n'
    with pytest.raises(Invalid, match="is no name of a table"):
        sql.read_map(text, "map.toml")


@given(value=st.text(max_size=5).map(lambda text: f"{text}\0"))
def test_a_nul_sign_is_refused(value: str) -> None:
    with pytest.raises(Invalid, match="holds a NUL sign"):
        sql.literal(value, "sqlite")
