"""Quests as Yarn Spinner scripts, versions 2 and 3, with their table of texts; and the drafts back out of a script.

The language is that of its own documentation. A node stands for each quest, step and fork, an option for each branch,
a variable for each step: the game sets it when the step's event has happened. Every text that a translator sees has a
`#line:` tag made of the studio's own ids, which stays what it is when quests are added or moved. While `$rehearsal` is
true an option stands for the event. An import reads lines that carry one of our tags, and nothing else.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.core.errors import Invalid
from app.modules.quests.draft import Draft, DraftBranch, DraftStep
from app.modules.quests.exports.naming import Named, Way, named
from app.modules.quests.exports.records import (
    Record,
    branch_record,
    drafts,
    failure_record,
    kind_of,
    records,
    restored,
    step_record,
)
from app.modules.quests.exports.texts import escaped, line_id, parted, tag_texts

SIGNS = "{}[]#<>/"
DONE, LEFT_OUT = "✓", "✗"
COLUMNS = ("language", "id", "text", "file", "node", "lineNumber", "lock", "comment")
"""Of a table of texts, as Yarn Spinner writes it."""
LOCK_CHARS = 8
_FIRST = re.compile(r"(?:->|=>|===)")
_CONDITION = re.compile(r" <<if [^<>]*>>(?= #line:)")
_LINE = "line"
_OPTION = "->"


def write(quests: Sequence[Draft]) -> str:
    """The Yarn script; raises Invalid where ids are not distinct."""
    return "\n".join(line for node in _nodes(list(named(quests))) for line in node.lines()) + "\n"


def texts(quests: Sequence[Draft], *, language: str, file: str) -> str:
    """The table of texts of the script, as CSV (RFC 4180): one row for each `#line:`."""
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(COLUMNS)
    number = 0
    for node in _nodes(list(named(quests))):
        body = False
        for line in node.lines():
            number += 1
            said = _CONDITION.sub("", line.strip().removeprefix(_OPTION))
            visible, tags = parted(said) if body else ("", ())
            body = line == "---" or (body and line != "===")
            id = next((values[0] for name, values in tags if name == _LINE), "")
            if id:
                lock = hashlib.sha256(visible.encode()).hexdigest()[:LOCK_CHARS]
                rows.writerow((language, f"line:{id}", visible, file, node.title, number, lock, ""))
    return table.getvalue()


def read(text: str, file: str) -> tuple[Draft, ...]:
    """The drafts of a script; raises Invalid with file, line, value and mend."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    found = [record for number, line in enumerate(lines, 1) for record in _record(line, f"{file}:{number}")]
    if not found:
        raise Invalid(f"{file}:1: no line has the tag #quest:", hint="docs/reference/quests.md shows one that has")
    return drafts(found)


def _record(line: str, place: str) -> Iterator[Record]:
    bare = line.strip()
    if bare.startswith(("//", "<<", _OPTION)):
        return
    visible, tags = parted(bare)
    tags = tuple(pair for pair in tags if pair[0] != _LINE)
    if kind_of(tags):
        yield restored(visible, tags, place)


# Writing.


@dataclass(frozen=True, slots=True)
class _Node:
    title: str
    body: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        yield f"title: {self.title}"
        yield "---"
        yield from self.body
        yield "==="


def _nodes(quests: list[Named]) -> Iterator[_Node]:
    yield _Node("Quests", tuple(_menu(quests)))
    for quest in quests:
        fork = f"{quest.name}_fork" if quest.branches else f"{quest.name}_end"
        yield _Node(quest.name, tuple(_head(quest, fork)))
        yield from _way(quest, quest.common, fork, ())
        if quest.branches:
            yield _Node(fork, tuple(_fork(quest)))
        for way in quest.branches:
            if way.branch is not None:
                yield _Node(_node(quest, way.name), tuple(_branch(quest, way, way.branch)))
                yield from _way(quest, way, f"{quest.name}_end", ("branch", way.branch.id))
        yield _Node(f"{quest.name}_end", tuple(_end(quest)))
        for name, failure in zip(quest.failures, quest.draft.failures, strict=True):
            record = failure_record(failure)
            yield _Node(_node(quest, name), (_line(quest, record, "failure", failure.entity),))


def _menu(quests: list[Named]) -> Iterator[str]:
    """Every variable, and an option for each quest that is open."""
    yield "// Quests of Innkeeper. Texts may be edited; the tags behind them are read by an import."
    yield "<<declare $rehearsal = true>>"
    for quest in quests:
        yield f"<<declare ${quest.name}_done = false>>"
        if quest.branches:
            yield f'<<declare ${quest.name}_branch = "">>'
        for way in (quest.common, *quest.branches):
            for name, _ in way.steps:
                yield f"<<declare ${quest.name}_{name}_done = false>>"
    places = {quest.draft.id: quest.name for quest in quests if quest.draft.id}
    for quest in quests:
        before = [f"${places[id]}_done" for id in quest.draft.requires if id in places]
        condition = " and ".join((f"not ${quest.name}_done", *before))
        title = _text(next(records(quest.draft)).shown)
        yield f"-> {title} <<if {condition}>> {_id(quest, 'menu')}"
        yield f"    <<jump {quest.name}>>"


def _head(quest: Named, fork: str) -> Iterator[str]:
    head, *rest = records(quest.draft)
    yield _line(quest, head, "title")
    yield from (_line(quest, record, "about") for record in rest if record.kind == "about")
    yield f"<<jump {_start(quest, quest.common, fork)}>>"


def _node(quest: Named, name: str) -> str:
    return f"{quest.name}_{name}"


def _start(quest: Named, way: Way, otherwise: str) -> str:
    return _node(quest, way.steps[0][0]) if way.steps else otherwise


def _way(quest: Named, way: Way, end: str, within: tuple[str, ...]) -> Iterator[_Node]:
    """Each step as a node that is passed through when it is done."""
    for number, (name, step) in enumerate(way.steps):
        following = _node(quest, way.steps[number + 1][0]) if number + 1 < len(way.steps) else end
        id = (*within, "step", step.id)
        yield _Node(_node(quest, name), tuple(_step(quest, step, f"${_node(quest, name)}_done", following, id)))


def _step(quest: Named, step: DraftStep, variable: str, following: str, id: tuple[str, ...]) -> Iterator[str]:
    yield f"<<if {variable}>>"
    yield f"    <<jump {following}>>"
    yield "<<endif>>"
    yield _line(quest, step_record(step), *id)
    yield "<<if $rehearsal>>"
    yield f"    -> {DONE} {_id(quest, *id, 'done')}"
    yield f"        <<set {variable} to true>>"
    yield f"        <<jump {following}>>"
    if step.optional:
        yield f"    -> {LEFT_OUT} {_id(quest, *id, 'left_out')}"
        yield f"        <<jump {following}>>"
    yield "<<endif>>"
    yield f"<<jump {following}>>" if step.optional else "<<stop>>"


def _fork(quest: Named) -> Iterator[str]:
    """Where the way parts: an option for each branch. What was chosen is kept, and a game may set it."""
    for way in quest.branches:
        yield f'<<if ${quest.name}_branch == "{way.name}">>'
        yield f"    <<jump {_start(quest, way, '')}>>"
        yield "<<endif>>"
    for way in quest.branches:
        if way.branch is not None:
            yield f"-> {_text(branch_record(way.branch).shown)} {_id(quest, 'branch', way.branch.id, 'option')}"
            yield f'    <<set ${quest.name}_branch to "{way.name}">>'
            yield f"    <<jump {_node(quest, way.name)}>>"


def _branch(quest: Named, way: Way, branch: DraftBranch) -> Iterator[str]:
    yield _line(quest, branch_record(branch), "branch", branch.id)
    yield f"<<jump {_start(quest, way, '')}>>"


def _end(quest: Named) -> Iterator[str]:
    yield f"<<set ${quest.name}_done to true>>"
    yield f"{DONE} {_text(next(records(quest.draft)).shown)} {_id(quest, 'done')}"


def _line(quest: Named, record: Record, *id: str) -> str:
    tags = (f"#{tag.replace(': ', ':', 1).replace(' ', '%20')}" for tag in tag_texts(record.written))
    return " ".join((_text(record.shown), _id(quest, *id), *tags))


def _id(quest: Named, *id: str) -> str:
    return f"#line:{line_id(quest.key, *id)}"


def _text(shown: str) -> str:
    """A text as Yarn shows it."""
    text = escaped(shown, SIGNS)
    return f"\\{text}" if _FIRST.match(text) else text
