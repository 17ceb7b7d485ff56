"""Quests as Twee 3, the text form of Twine: a passage for each quest, step, branch and end, laid out in columns.

It follows the Twee 3 specification of the Interactive Fiction Technology Foundation. Signs that mean something to any
of Twine's story formats are written as character references. A file is read by people and Twine, never by an import.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.modules.quests.draft import Draft
from app.modules.quests.exports.naming import Named, Way, named
from app.modules.quests.exports.records import BLANK, branch_record, failure_record, records, shown, step_record

STORY_FORMAT, STORY_FORMAT_VERSION = "SugarCube", "2.36.1"
ACROSS_PX, DOWN_PX, SIZE_PX = 200, 150, 100
DONE = "✓"
_SIGNS = re.compile(r"[^\w .,;?\u0080-\U0010ffff]|(?<=_)_")


@dataclass(frozen=True, slots=True)
class _Passage:
    name: str
    tag: str
    column: int
    row: int
    text: str
    links: tuple[tuple[str, str], ...] = ()
    """(what a reader sees, the passage that it leads to)."""


def write(quests: Sequence[Draft]) -> str:
    """The Twee source; raises Invalid where ids are not distinct. Equal quests give equal bytes."""
    found = list(named(quests))
    passages = list(_passages(found))
    parts = ["\n".join(_lines(passage)) for passage in passages]
    body = "\n\n\n".join(parts)
    data = {
        "ifid": _ifid(body),
        "format": STORY_FORMAT,
        "format-version": STORY_FORMAT_VERSION,
        "start": passages[0].name,
    }
    title = escaped(shown(found[0].draft.title) or BLANK) if len(found) == 1 else "Quests"
    head = f":: StoryTitle\n{title}\n\n\n:: StoryData\n{json.dumps(data, indent=2)}\n"
    return f"{head}\n\n{body}\n"


def _ifid(body: str) -> str:
    """An id as the Treaty of Babel wants it, the same for the same story."""
    return str(uuid.UUID(bytes=hashlib.sha256(body.encode()).digest()[:16], version=4)).upper()


def escaped(text: str) -> str:
    """The text with every sign of markup as a character reference."""
    return _SIGNS.sub(lambda found: f"&#{ord(found[0])};", text)


def _lines(passage: _Passage) -> Iterator[str]:
    place = {
        "position": f"{_px(passage.column, ACROSS_PX)},{_px(passage.row, DOWN_PX)}",
        "size": f"{SIZE_PX},{SIZE_PX}",
    }
    yield f":: {passage.name} [{passage.tag}] {json.dumps(place, separators=(',', ':'))}"
    yield from (escaped(line) for line in passage.text.split("\n"))
    yield from (f"[[{escaped(label)}->{target}]]" for label, target in passage.links)


def _px(number: int, step: int) -> int:
    return SIZE_PX + number * step


def _passages(quests: list[Named]) -> Iterator[_Passage]:
    row = 0
    if len(quests) > 1:
        links = tuple((next(records(quest.draft)).shown, quest.name) for quest in quests)
        yield _Passage("Quests", "menu", 0, 0, "", links)
        row = 1
    for quest in quests:
        yield from _quest(quest, row)
        row += max(1, len(quest.branches)) + bool(quest.failures)


def _quest(quest: Named, row: int) -> Iterator[_Passage]:
    draft, end = quest.draft, f"{quest.name}_end"
    fork = tuple((branch_record(way.branch).shown, f"{quest.name}_{way.name}") for way in quest.branches if way.branch)
    after = fork or ((DONE, end),)
    text = f"{_whole(draft.title)}\n{_whole(draft.description)}".rstrip("\n")
    first = f"{quest.name}_{quest.common.steps[0][0]}"
    yield _Passage(quest.name, "quest", 0, row, text, ((DONE, first),))
    yield from _way(quest, quest.common, 1, row, after)
    column = 1 + len(quest.common.steps)
    for number, way in enumerate(quest.branches):
        if way.branch is not None:
            into = ((DONE, f"{quest.name}_{way.steps[0][0]}"),)
            text = branch_record(way.branch).shown
            yield _Passage(f"{quest.name}_{way.name}", "branch", column, row + number, text, into)
            yield from _way(quest, way, column + 1, row + number, ((DONE, end),))
    longest = max((len(way.steps) + 1 for way in quest.branches), default=0)
    yield _Passage(end, "end", column + longest, row, f"{DONE} {_whole(draft.title)}")
    below = row + max(1, len(quest.branches))
    for number, (name, failure) in enumerate(zip(quest.failures, draft.failures, strict=True), 1):
        yield _Passage(f"{quest.name}_{name}", "failure", number, below, failure_record(failure).shown)


def _way(quest: Named, way: Way, column: int, row: int, after: tuple[tuple[str, str], ...]) -> Iterator[_Passage]:
    for number, (name, step) in enumerate(way.steps):
        following = way.steps[number + 1][0] if number + 1 < len(way.steps) else ""
        links = ((DONE, f"{quest.name}_{following}"),) if following else after
        tag = "optional" if step.optional else "step"
        yield _Passage(f"{quest.name}_{name}", tag, column + number, row, step_record(step).shown, links)


def _whole(text: str) -> str:
    """A text with its lines kept."""
    return "\n".join(shown(line) for line in text.splitlines()) or BLANK
