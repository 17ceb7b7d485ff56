"""Quests as rows of a studio's own tables, by a column map: which table has a row for what, and what its columns hold.

A map names tables and, for each column, a template: text with `{fields}` of the draft. A template that is one field
alone keeps the field's type; all others are text. Values are written as literals of the dialect, so that no text of an
author can end one (PostgreSQL 17 manual, 4.1.2; MySQL 8.4 manual, 11.1.1; SQLite, "Literal Values").
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from app.core.errors import Invalid, nearest
from app.core.messages import Message
from app.modules.quests.draft import Draft, DraftReward, DraftStep
from app.modules.quests.exports.naming import require_distinct

Dialect = Literal["postgresql", "mysql", "sqlite"]
Row = Literal["quest", "step", "branch", "failure", "requires", "reward_item"]
Cell = str | int | float | bool | None
Values = Mapping[str, Cell]
Code = str | int | float
COLUMNS_MAX = 256
CODES_MAX = 1_000
WHOLE = "int"
"""Written behind a field, it makes a number of an id that is one."""
_FIELD = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}(?:\.[A-Za-z_][A-Za-z0-9_$]{0,62})?")


class Table(Message, frozen=True, kw_only=True):
    """One table: what it has a row for, and column -> template; a value that is no text stands as it is."""

    name: Annotated[str, msgspec.Meta(max_length=128)]
    each: Row
    columns: Annotated[dict[str, Code | bool], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]


class ColumnMap(Message, frozen=True, kw_only=True):
    """A studio's tables. With a table of `codes` behind it a field is translated: `{step.action|actions}`."""

    dialect: Dialect
    tables: Annotated[tuple[Table, ...], msgspec.Meta(min_length=1, max_length=32)]
    codes: Annotated[
        dict[str, Annotated[dict[str, Code], msgspec.Meta(max_length=CODES_MAX)]],
        msgspec.Meta(max_length=COLUMNS_MAX),
    ] = msgspec.field(default_factory=dict)


def read_map(text: str, file: str) -> ColumnMap:
    """A column map in TOML; raises Invalid with file, value and mend."""
    try:
        found = msgspec.convert(tomllib.loads(text), ColumnMap)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"{file}: {error}", hint="docs/reference/quests.md shows a column map") from error
    for name in (name for table in found.tables for name in (table.name, *table.columns)):
        if not _NAME.fullmatch(name):
            raise Invalid(f"{file}: {name!r} is no name of a table or column", hint="use letters, digits and _")
    return found


def write(quests: Sequence[Draft], columns: ColumnMap) -> str:
    """INSERT statements in one transaction, table by table; raises Invalid for a field or code that there is not."""
    require_distinct(quests)
    lines = ["BEGIN;"]
    for table in columns.tables:
        into = f"INSERT INTO {_quoted(table.name, columns.dialect)}"
        names = ", ".join(_quoted(name, columns.dialect) for name in table.columns)
        for values in rows(quests, columns, table):
            cells = ", ".join(literal(value, columns.dialect) for value in values)
            lines.append(f"{into} ({names}) VALUES ({cells});")
    return "\n".join((*lines, "COMMIT;")) + "\n"


def rows(quests: Sequence[Draft], columns: ColumnMap, table: Table) -> Iterator[tuple[Cell, ...]]:
    """The values of a table, row by row, in the order of its columns."""
    for number, quest in enumerate(quests, 1):
        for values in _contexts(quest, number, table.each):
            yield tuple(
                _filled(template, values, columns, f"{table.name}.{name}") for name, template in table.columns.items()
            )


# What a row may speak of.


def _contexts(quest: Draft, number: int, each: Row) -> Iterator[Values]:
    """The fields of each row that a quest has in a table."""
    whole = _of_quest(quest, number)
    match each:
        case "quest":
            yield whole
        case "step":
            steps = [("", step) for step in quest.steps]
            steps += [(branch.id, step) for branch in quest.branches for step in branch.steps]
            for place, (branch, step) in enumerate(steps, 1):
                yield {**whole, **_of_step(step, branch, place)}
        case "branch":
            for place, one in enumerate(quest.branches, 1):
                forbid = ",".join(one.forbid)
                named: Values = {"branch.id": one.id, "branch.number": place, "branch.text": one.text}
                yield {**whole, **named, "branch.forbid": forbid}
        case "failure":
            for place, failure in enumerate(quest.failures, 1):
                yield {
                    **whole,
                    "failure.entity": failure.entity,
                    "failure.text": failure.text,
                    "failure.number": place,
                }
        case "requires":
            for place, id in enumerate(quest.requires, 1):
                yield {**whole, "required.id": id, "required.number": place}
        case "reward_item":
            for place, id in enumerate(quest.reward.items if quest.reward else (), 1):
                yield {**whole, "item.id": id, "item.number": place}


def _of_quest(quest: Draft, number: int) -> dict[str, Cell]:
    reward = quest.reward or DraftReward()
    fields: dict[str, Cell] = {
        name: value if not isinstance(value := getattr(quest, name), tuple) else ",".join(value)
        for name in quest.__struct_fields__
        if name not in ("steps", "branches", "failures", "reward")
    }
    own = {"number": number, **fields, "reward.experience": reward.experience, "reward.coins": reward.coins}
    return {f"quest.{name}": value for name, value in own.items()}


def _of_step(step: DraftStep, branch: str, number: int) -> dict[str, Cell]:
    fields: dict[str, Cell] = {
        name: value if not isinstance(value := getattr(step, name), tuple) else ",".join(value)
        for name in step.__struct_fields__
    }
    return {f"step.{name}": value for name, value in {"number": number, "branch": branch, **fields}.items()}


# Templates.


def _filled(template: Code | bool, values: Values, columns: ColumnMap, column: str) -> Cell:
    """What a column holds; raises Invalid naming the column."""
    if not isinstance(template, str):
        return template
    if alone := _FIELD.fullmatch(template):
        return _value(alone[1], values, columns, column)
    return _FIELD.sub(lambda found: _word(_value(found[1], values, columns, column)), template)


def _value(field: str, values: Values, columns: ColumnMap, column: str) -> Cell:
    name, _, through = (part.strip() for part in field.partition("|"))
    if name not in values:
        raise Invalid(f"column {column}: {name!r} is no field of such a row", hint=nearest(name, values))
    value = values[name]
    if not through:
        return value
    if through == WHOLE:
        if re.fullmatch(r"-?[0-9]{1,18}", str(value)):
            return int(str(value))
        raise Invalid(f"column {column}: {name} is {value!r}, which is no whole number", hint="write it without |int")
    if through not in columns.codes:
        raise Invalid(f"column {column}: {through!r} is no table of codes", hint=nearest(through, columns.codes))
    codes = columns.codes[through]
    if _word(value) not in codes:
        raise Invalid(f"column {column}: codes.{through} has none for {value!r}", hint="add it to the column map")
    return codes[_word(value)]


def _word(value: Cell) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


# Literals.


def literal(value: Cell, dialect: Dialect) -> str:
    """A value as a literal; raises Invalid for a text with NUL, which no column holds."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper() if dialect == "postgresql" else str(int(value))
    if not isinstance(value, str):
        return repr(value)
    if "\0" in value:
        raise Invalid(f"{value[:60]!r} holds a NUL sign, which no text column takes", hint="take it out")
    doubled = value.replace("'", "''")
    if dialect == "mysql" and "\\" in value:
        # Whether a backslash escapes depends on the server's sql_mode; bytes do not.
        return f"_utf8mb4 X'{value.encode().hex().upper()}'"
    if dialect == "postgresql" and "\\" in value:
        return "E'" + doubled.replace("\\", "\\\\") + "'"
    return f"'{doubled}'"


def _quoted(name: str, dialect: Dialect) -> str:
    """A name of the map, already seen to hold no quotes."""
    mark = "`" if dialect == "mysql" else '"'
    return ".".join(f"{mark}{part}{mark}" for part in name.split("."))
