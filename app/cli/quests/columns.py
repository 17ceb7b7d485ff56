"""A column map: which table and column of a studio's database says what, as TOML.

A cell is written as a text with columns in braces, such as `npc_{giver}`; it is empty where one of them is. Of
alternatives parted by `|` the first that is not empty counts. It knows the map's shape and how cells are filled,
nothing of files or proofs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from app.cli.quests.tables import Line
from app.core.errors import Invalid, nearest

Cell = Annotated[str, msgspec.Meta(max_length=500)]
"""A text with columns in braces."""
COLUMN = re.compile(r"\{([^{}]+)\}")
REPEATS_MAX = 64


class _Map(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the map."""


class Join(_Map, frozen=True, kw_only=True):
    """The columns of the row of `table` whose `key` is the row's own `on`; as `{table.column}` in cells."""

    table: str
    on: str
    key: str


class QuestMap(_Map, frozen=True, kw_only=True):
    """The table with a row a quest. `fields` are those of a draft that hold one value each."""

    table: str
    join: tuple[Join, ...] = ()
    id: Cell
    title: Cell
    giver: Cell = ""
    requires: tuple[Cell, ...] = ()
    rewards: tuple[Cell, ...] = ()
    """Items that the giver hands over."""
    experience: Cell = ""
    coins: Cell = ""
    fields: dict[str, Cell] = msgspec.field(default_factory=dict)


class StepMap(_Map, frozen=True, kw_only=True):
    """Steps: a row of `table` each, or columns of the quest's own row, `times` of them with `#` as their number."""

    table: str = ""
    join: tuple[Join, ...] = ()
    quest: Cell = ""
    """With a table: the id of the quest that the row belongs to."""
    order: str = ""
    """With a table: the column by which steps are sorted."""
    times: Annotated[int, msgspec.Meta(ge=1, le=REPEATS_MAX)] = 1
    action: Cell
    actions: dict[str, str] = msgspec.field(default_factory=dict)
    """What the studio calls an action -> the action."""
    branch: Cell = ""
    """The branch that the step belongs to; empty for a common step."""
    fields: dict[str, Cell] = msgspec.field(default_factory=dict)


class LinkMap(_Map, frozen=True, kw_only=True):
    """A row of `table` each: a quest and what it requires, gives as a reward, is given by, or is lost with."""

    table: str
    join: tuple[Join, ...] = ()
    quest: Cell
    value: Cell


class EntityMap(_Map, frozen=True, kw_only=True):
    """Entities, a row of `table` each; `fields` are those of the entity, `attributes` its own.

    With `copies` an id may come again, as of creatures with several places: the second is then `id~2`. `words` are what
    the studio calls a tag -> the tag.
    """

    type: Literal["npc", "item", "location", "faction", "player"]
    table: str
    join: tuple[Join, ...] = ()
    id: Cell
    copies: bool = False
    tags: tuple[Cell, ...] = ()
    words: dict[str, str] = msgspec.field(default_factory=dict)
    fields: dict[str, Cell] = msgspec.field(default_factory=dict)
    attributes: dict[str, Cell] = msgspec.field(default_factory=dict)


class WayMap(_Map, frozen=True, kw_only=True):
    """Ways between places, a row of `table` each; `both` where each can be walked in both directions."""

    table: str
    join: tuple[Join, ...] = ()
    start: Cell
    end: Cell
    both: bool = True


class ColumnMap(_Map, frozen=True, kw_only=True):
    """The whole map. `none` are the values that stand for nothing, besides NULL and the empty text."""

    version: Literal[1]
    dialect: Literal["", "mysql", "standard"] = ""
    none: tuple[str, ...] = ("0",)
    start: str = ""
    """Where newcomers enter the world."""
    quests: QuestMap
    steps: tuple[StepMap, ...]
    givers: tuple[LinkMap, ...] = ()
    requires: tuple[LinkMap, ...] = ()
    rewards: tuple[LinkMap, ...] = ()
    failures: tuple[LinkMap, ...] = ()
    entities: tuple[EntityMap, ...] = ()
    ways: tuple[WayMap, ...] = ()

    def tables(self) -> Iterator[str]:
        """Every table that it reads."""
        links = (*self.givers, *self.requires, *self.rewards, *self.failures)
        parts: tuple[QuestMap | StepMap | LinkMap | EntityMap | WayMap, ...] = (
            self.quests, *self.steps, *links, *self.entities, *self.ways,
        )  # fmt: skip
        for part in parts:
            if part.table:
                yield part.table
            yield from (join.table for join in part.join)


def column_map(path: Path) -> ColumnMap:
    """The map of a file; raises Invalid naming what is wrong with it."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), ColumnMap)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        hint = "docs/reference/quest-audit.md has an example"
        raise Invalid(f"{path.name!r} is no column map: {error}", hint=hint) from error


class Filler:
    """Fills cells from one row."""

    def __init__(self, line: Line, joined: Mapping[str, Line | None], none: tuple[str, ...]) -> None:
        self._line = line
        self._joined = joined
        self._none = none

    def fill(self, cell: str, number: int = 0) -> str:
        """The cell's text, or empty where its columns say nothing; raises Invalid for an unknown column."""
        filled = (self._filled(part, number) for part in cell.split("|"))
        return next((text for text in filled if text), "")

    def _filled(self, cell: str, number: int) -> str:
        values: list[str] = []
        for name in COLUMN.findall(cell):
            value = self._value(name.replace("#", str(number)))
            if not value or value in self._none:
                return ""
            values.append(value)
        rest = iter(values)
        return COLUMN.sub(lambda _: next(rest), cell)

    def _value(self, name: str) -> str | None:
        table, dot, column = name.rpartition(".")
        if dot and table in self._joined:
            line = self._joined[table]
            return line.values.get(column) if line is not None else None
        if name not in self._line.values:
            raise Invalid(f"{self._line.where} has no column {name!r}", hint=nearest(name, self._line.values))
        return self._line.values[name]
