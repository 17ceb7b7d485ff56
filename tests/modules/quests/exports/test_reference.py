"""The page on quests as files says what is so: every field, its type and default, and examples that can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.core.messages import Message
from app.modules.quests.draft import Draft, DraftBranch, DraftFailure, DraftReward, DraftStep
from app.modules.quests.exports import formats, sql
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.quest import BranchProof, Certificate, Failure, Knockout
from tests.modules.quests.exports.drawing import BEFORE, RING
from tests.modules.quests.exports.tables import rows

DOCS = Path(__file__).resolve().parents[4] / "docs"
PAGE = (DOCS / "reference" / "quests.md").read_text()
KINDS: tuple[type[Message], ...] = (
    Draft, DraftStep, DraftBranch, DraftFailure, DraftReward, Certificate, BranchProof, Failure, Knockout,
    sql.ColumnMap, sql.Table,
)  # fmt: skip
BLOCKS = dict(re.findall(r"```(\w+ \w+)\n(.*?)```", PAGE, re.DOTALL))


def table(heading: str) -> list[tuple[str, ...]]:
    """The cells of the first table below a heading."""
    after = PAGE.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in after.splitlines() if line.startswith("|")][2:]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_stands_there_with_its_type_and_default(kind: type[Message]) -> None:
    told = table(kind.__name__)
    assert [(row[0].strip("`"), *row[1:3]) for row in told] == list(rows(kind))
    assert all(row[3] for row in told), "each says what it means"


def test_every_action_stands_there_with_what_it_takes() -> None:
    schemas = load_vocabulary().schemas
    told = {name.strip("`"): (takes, event) for name, takes, event in table("Actions")}
    assert list(told) == list(schemas)
    for name, (takes, event) in told.items():
        assert takes == ", ".join(f"`{field}`" for field in schemas[name].takes)
        assert event.startswith(f"`{schemas[name].event.verb}`: ")


def test_every_format_stands_there_with_whether_it_is_read_back() -> None:
    lines = PAGE.split("| format |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    told = {line.split("|")[1].strip(" `"): line.split("|")[2].strip() for line in lines}
    assert list(told) == list(formats.MEDIA_TYPES)
    for name, back in told.items():
        readable = formats.ENDINGS[formats.format_of(name)] in formats.READERS
        assert (back == "yes") == readable


@pytest.mark.parametrize("format", ["json", "ink", "yarn"])
def test_the_examples_are_what_this_release_writes(format: str) -> None:
    text = BLOCKS[f"{format} quests"]
    assert text == formats.written((BEFORE,), formats.format_of(format))
    assert formats.read(text, f"page.{format}") == (BEFORE,)


def test_the_column_map_writes_rows() -> None:
    columns = sql.read_map(BLOCKS["toml columns"], "page")
    text = sql.write((BEFORE,), columns)
    assert "VALUES (1, 'First, a loaf', '', 0, 0, 8);" in text
    assert "VALUES (1, 1, 8, 1, 'Go to the bakery.');" in text


def test_ids_of_texts_that_the_page_names_are_those_of_a_script() -> None:
    script = formats.written((BEFORE, RING), "yarn")
    for id in re.findall(r"`(q\d\.[\w.]+)`", PAGE):
        assert f"#line:{id} " in script
