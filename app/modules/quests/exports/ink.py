"""Quests as ink: a knot for each, a stitch for each step, a choice for each branch; and the drafts back out of it.

The language is inkle's, as its own documentation has it (Writing with ink). A variable stands for every step: the game
sets it when the step's event has happened, and entering the knot then goes on from there. While `rehearsal` is true a
choice stands for the event, so that a writer can play the quest without a game. An import reads lines that carry one
of our tags, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.core.errors import Invalid
from app.modules.quests.draft import Draft, DraftBranch, DraftStep
from app.modules.quests.exports.naming import Named, Way, named
from app.modules.quests.exports.records import (
    Record,
    branch_record,
    coded,
    drafts,
    failure_record,
    kind_of,
    records,
    restored,
    step_record,
)
from app.modules.quests.exports.texts import escaped, parted, tag_texts

SIGNS = "{}[]#|~/*<"
_FIRST = re.compile(r"[-+=>]|(?:VAR|CONST|LIST|INCLUDE|EXTERNAL|TODO)\b")
_ARROW = re.compile(r"->")
_CHOICE = re.compile(r"[*+]\s*((?:\{[^{}]*\}\s*)*)\[(?P<text>(?:\\.|[^\]\\])*)\]")
DONE, LEFT_OUT = "✓", "✗"
"""What a rehearsal chooses instead of an event, in no language."""


def write(quests: Sequence[Draft]) -> str:
    """The ink source; raises Invalid where ids are not distinct."""
    found = list(named(quests))
    return "\n".join(_lines(found)) + "\n"


def read(text: str, file: str) -> tuple[Draft, ...]:
    """The drafts of an ink source; raises Invalid with file, line, value and mend."""
    found = [record for number, line in enumerate(_lines_of(text), 1) for record in _record(line, f"{file}:{number}")]
    if not found:
        raise Invalid(
            f"{file}:1: no line carries the tag # quest:", hint="docs/reference/quests.md shows one that does"
        )
    return drafts(found)


def _lines_of(text: str) -> list[str]:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")


def _record(line: str, place: str) -> Iterator[Record]:
    bare = line.strip()
    if choice := _CHOICE.match(bare):
        bare = choice["text"]
    elif bare.startswith(("//", "=", "~", "{", "VAR ", "->")):
        return
    visible, tags = parted(bare)
    if kind_of(tags):
        yield restored(visible, tags, place)


# Writing.


def _lines(quests: list[Named]) -> Iterator[str]:
    yield "// Quests of Innkeeper. Texts may be edited; the tags behind them are read by an import."
    yield "// A game sets rehearsal to false, and the variable of a step to true when its event has happened."
    yield "VAR rehearsal = true"
    for quest in quests:
        yield from _variables(quest)
    yield ""
    if len(quests) == 1:
        yield f"-> {quests[0].name}"
    else:
        yield from _menu(quests)
    for quest in quests:
        yield ""
        yield from _knot(quest)


def _variables(quest: Named) -> Iterator[str]:
    yield f"VAR {quest.name}_done = false"
    if quest.branches:
        yield f'VAR {quest.name}_branch = ""'
    for way in (quest.common, *quest.branches):
        for name, _ in way.steps:
            yield f"VAR {quest.name}_{name}_done = false"


def _menu(quests: list[Named]) -> Iterator[str]:
    """A choice for each quest that is open: not done, and with those that come first behind it."""
    places = {quest.draft.id: quest.name for quest in quests if quest.draft.id}
    yield "-> quests"
    yield ""
    yield "=== quests ==="
    for quest in quests:
        before = [f"{places[id]}_done" for id in quest.draft.requires if id in places]
        condition = " and ".join((f"not {quest.name}_done", *before))
        yield f"+ {{{condition}}} [{_text(next(records(quest.draft)).shown)}]"
        yield f"    -> {quest.name}"
    yield "+ -> DONE"


def _knot(quest: Named) -> Iterator[str]:
    head, *rest = records(quest.draft)
    fork = "fork" if quest.branches else "end"
    yield f"=== {quest.name} ==="
    yield _line(head)
    yield from (_line(record) for record in rest if record.kind == "about")
    yield f"-> {_first(quest.common, fork)}"
    yield from _way(quest, quest.common, fork)
    if quest.branches:
        yield from _fork(quest)
    for way in quest.branches:
        if way.branch is not None:
            yield from _branch(quest, way, way.branch)
    yield "= end"
    yield f"~ {quest.name}_done = true"
    yield f"{DONE} {_text(head.shown)} # done: {coded(quest.draft.id)}".rstrip()
    yield "-> DONE"
    for name, failure in zip(quest.failures, quest.draft.failures, strict=True):
        yield f"= {name}"
        yield _line(failure_record(failure))
        yield "-> DONE"


def _first(way: Way, otherwise: str) -> str:
    return way.steps[0][0] if way.steps else otherwise


def _way(quest: Named, way: Way, end: str) -> Iterator[str]:
    """Each step as a stitch that is passed through when it is done."""
    for number, (name, step) in enumerate(way.steps):
        following = way.steps[number + 1][0] if number + 1 < len(way.steps) else end
        yield from _stitch(f"{quest.name}_{name}_done", name, step, following)


def _stitch(variable: str, name: str, step: DraftStep, following: str) -> Iterator[str]:
    yield f"= {name}"
    yield f"{{{variable}: -> {following}}}"
    yield _line(step_record(step))
    yield f"+ {{rehearsal}} [{DONE}]"
    yield f"    ~ {variable} = true"
    yield f"    -> {following}"
    if step.optional:
        yield f"+ {{rehearsal}} [{LEFT_OUT}]"
        yield f"    -> {following}"
    yield f"+ -> {following if step.optional else 'DONE'}"


def _fork(quest: Named) -> Iterator[str]:
    """Where the way parts: a thread for each branch. What was chosen is kept, and a game may set it."""
    yield "= fork"
    for way in quest.branches:
        yield f'{{{quest.name}_branch == "{way.name}": -> {_first(way, "end")}}}'
    for way in quest.branches:
        yield f"<- {way.name}"
    yield "-> DONE"


def _branch(quest: Named, way: Way, branch: DraftBranch) -> Iterator[str]:
    """The choice of a branch, and its steps."""
    yield f"= {way.name}"
    yield f"+ [{_line(branch_record(branch))}]"
    yield f'    ~ {quest.name}_branch = "{way.name}"'
    yield f"    -> {_first(way, 'end')}"
    yield from _way(quest, way, "end")


def _line(record: Record) -> str:
    return " ".join((_text(record.shown), *(f"# {tag}" for tag in tag_texts(record.written))))


def _text(shown: str) -> str:
    """A text as ink shows it."""
    text = _ARROW.sub(r"\\->", escaped(shown, SIGNS))
    return f"\\{text}" if _FIRST.match(text) else text
