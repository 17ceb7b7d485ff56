"""A draft as a row of records, each a line of text with tags, and back: what ink and Yarn files are made of.

It knows which fields a draft has and how a value is written in a tag, not how a language writes a line. What a line
cannot show of a text, such as its line ends, travels in the tag `raw`; where somebody edited the line since, the line
counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.inspect import VarTupleType, type_info

from app.core.errors import Invalid, nearest
from app.core.messages import Message
from app.modules.quests.draft import Draft, DraftBranch, DraftFailure, DraftReward, DraftStep

Tags = tuple[tuple[str, tuple[str, ...]], ...]
"""Name and values; a field that is no list has one."""

RAW = "raw"
BLANK = "…"
"""What a line shows that has nothing else to show."""
REWARD = "reward."
JOINERS = "\u200c\u200d"
"""Without a width, and yet a part of how Persian and Hindi are spelled."""

_APART: Mapping[str, tuple[type[Message], str, frozenset[str]]] = {
    "quest": (Draft, "id", frozenset({"title", "description", "steps", "branches", "failures", "reward"})),
    "step": (DraftStep, "id", frozenset({"text"})),
    "branch": (DraftBranch, "id", frozenset({"text", "steps"})),
    "failure": (DraftFailure, "entity", frozenset({"text"})),
}
"""Kind of record -> its type, the field that names it, and the fields that stand elsewhere than in its tags."""
ABOUT = "about"
KINDS = (*_APART, ABOUT)
_CODED = re.compile(r"%([0-9A-F]{2})")


@dataclass(frozen=True, slots=True)
class Record:
    """One line: what kind it is, its tags (the first names it), its whole text, and where it was read."""

    kind: str
    tags: Tags
    text: str
    place: str = ""

    @property
    def id(self) -> str:
        return self.tags[0][1][0]

    @property
    def shown(self) -> str:
        """Its text on one line; never empty."""
        return shown(self.text) or shown(self.id) or BLANK

    @property
    def written(self) -> Tags:
        """Its tags, and the whole text where the line does not show it."""
        return self.tags if self.shown == self.text else (*self.tags, (RAW, (self.text,)))


def shown(text: str) -> str:
    """What of a text can be shown on one line: spaces run together, signs that cannot be printed left out."""
    return " ".join("".join(s if s.isprintable() or s.isspace() or s in JOINERS else "" for s in text).split())


def coded(value: str) -> str:
    """A value as every language can hold it in a tag: other signs than letters and digits as percent and bytes."""
    return re.sub(r"[^\w.'-]|(?<=-)-", _percent, value) if " " not in value else _spaced(value)


def _spaced(value: str) -> str:
    """As `coded`, where single spaces between words stay what they are."""
    words = value.split(" ")
    return " ".join(map(coded, words)) if all(words) else "%20".join(map(coded, words))


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def plain(value: str) -> str:
    """What was coded; bytes that are no text become a replacement sign."""
    return re.sub(r"(?:%[0-9A-F]{2})+", lambda found: _bytes(found[0]).decode(errors="replace"), value)


def _bytes(run: str) -> bytes:
    return bytes(int(pair, 16) for pair in _CODED.findall(run))


# A draft's records.


def records(draft: Draft) -> Iterator[Record]:
    """The quest, what it is about, its steps, its branches with theirs, its failures."""
    yield Record("quest", (*_tags("quest", draft), *_reward(draft.reward)), draft.title)
    if draft.description:
        yield Record(ABOUT, ((ABOUT, ("",)),), draft.description)
    for step in draft.steps:
        yield step_record(step)
    for branch in draft.branches:
        yield branch_record(branch)
        for step in branch.steps:
            yield step_record(step)
    for failure in draft.failures:
        yield failure_record(failure)


def step_record(step: DraftStep) -> Record:
    """The line of a step."""
    return Record("step", tuple(_tags("step", step)), step.text)


def branch_record(branch: DraftBranch) -> Record:
    """The line that opens a branch."""
    return Record("branch", tuple(_tags("branch", branch)), branch.text)


def failure_record(failure: DraftFailure) -> Record:
    """The line of a declared failure."""
    return Record("failure", tuple(_tags("failure", failure)), failure.text)


def _tags(kind: str, value: Message) -> Iterator[tuple[str, tuple[str, ...]]]:
    struct, name, apart = _APART[kind]
    yield kind, (getattr(value, name),)
    for field in msgspec.structs.fields(struct):
        found = getattr(value, field.name)
        if field.name not in apart and field.name != name and found != field.default:
            yield field.name, _words(found)


def _reward(reward: DraftReward | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in msgspec.structs.fields(DraftReward) if reward is not None else ():
        if field.default != () or getattr(reward, field.name):
            yield f"{REWARD}{field.name}", _words(getattr(reward, field.name))


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode(),)


# Records as drafts.


def kind_of(tags: Tags) -> str:
    """Which kind of record these tags make a line; empty for none."""
    return next((name for name, _ in tags if name in KINDS), "")


def restored(visible: str, tags: Tags, place: str) -> Record:
    """The record of a line that was read: its whole text is in `raw`, unless the line was edited since."""
    kind = kind_of(tags)
    first = next(pair for pair in tags if pair[0] == kind)
    rest = tuple(pair for pair in tags if pair is not first and pair[0] != RAW)
    record = Record(kind, (first, *rest), visible, place)
    for name, values in tags:
        if name == RAW:
            whole = Record(kind, record.tags, ",".join(values), place)
            return whole if whole.shown == visible else record
    return record


def drafts(found: Iterable[Record]) -> tuple[Draft, ...]:
    """The drafts that records make; raises Invalid with the place, the value and what would mend it."""
    quests: list[list[Record]] = []
    for record in found:
        if record.kind == "quest":
            quests.append([record])
        elif quests:
            quests[-1].append(record)
        else:
            raise wrong(record, "stands before any quest", "put the line with # quest: above it")
    return tuple(_draft(rows[0], rows[1:]) for rows in quests)


def wrong(record: Record, what: str, hint: str) -> Invalid:
    """What is wrong with a line, and how to mend it."""
    return Invalid(f"{record.place}: {record.kind} {record.id[:60]!r} {what}", hint=hint)


def _draft(head: Record, rows: Sequence[Record]) -> Draft:
    about = ""
    steps: list[dict[str, Any]] = []
    into = steps
    branches: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for row in rows:
        if row.kind == ABOUT:
            about = row.text
            continue
        found = _fields(row)
        if row.kind == "step":
            into.append(_made(row, DraftStep, found))
        elif row.kind == "branch":
            into = []
            branches.append({**found, "steps": into, "_": row})
        else:
            failures.append(_made(row, DraftFailure, found))
    for branch in branches:
        row = branch.pop("_")
        _made(row, DraftBranch, branch)
    whole = {**_fields(head), "description": about, "steps": steps, "branches": branches, "failures": failures}
    reward = {name.removeprefix(REWARD): whole.pop(name) for name in list(whole) if name.startswith(REWARD)}
    draft: Draft = _convert(head, Draft, {**whole, **({"reward": reward} if reward else {})})
    return draft


def _made(row: Record, kind: type[Message], found: dict[str, Any]) -> dict[str, Any]:
    """The fields, after it was seen that they make what they should."""
    _convert(row, kind, found)
    return found


def _convert(row: Record, kind: type[Message], found: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise wrong(row, f"cannot be read: {error}", "docs/reference/quests.md lists the fields") from error


def _fields(row: Record) -> dict[str, Any]:
    """The fields that a record's tags give, by name; lists as lists."""
    struct, name, apart = _APART[row.kind]
    lists = _lists(struct) | {f"{REWARD}{field}" for field in _lists(DraftReward)}
    known = {field.name for field in msgspec.structs.fields(struct)} - apart - {name}
    if row.kind == "quest":
        known |= {f"{REWARD}{field.name}" for field in msgspec.structs.fields(DraftReward)}
    found: dict[str, Any] = {name: row.id}
    for tag, values in row.tags[1:]:
        if tag not in known:
            raise wrong(row, f"has a tag {tag!r}, which is no field of a {row.kind}", nearest(tag, known))
        if tag in found:
            raise wrong(row, f"has two tags {tag!r}", "take one of the two out")
        found[tag] = list(values) if tag in lists else ",".join(values)
    return {**found, "title" if row.kind == "quest" else "text": row.text}


def _lists(struct: type[Message]) -> set[str]:
    info: Any = type_info(struct)
    return {field.name for field in info.fields if isinstance(field.type, VarTupleType)}
