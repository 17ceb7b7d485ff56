"""Names for the places and variables of a quest in other tools, and the stable ids of its texts.

Names are made from ids; an import does not read them, but the tags. Text ids are the studio's own ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.core.errors import Invalid
from app.modules.quests.draft import Draft, DraftBranch, DraftStep

CHARS_MAX = 48


@dataclass(frozen=True, slots=True)
class Way:
    """Steps in a row with their names; `branch` is None for the common ones."""

    name: str
    branch: DraftBranch | None
    steps: tuple[tuple[str, DraftStep], ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A draft with its own name, and those of its ways and failures, all distinct."""

    draft: Draft
    name: str
    key: str
    """What its text ids begin with: its id, or its place in the file."""
    common: Way
    branches: tuple[Way, ...]
    failures: tuple[str, ...]


def named(drafts: Sequence[Draft]) -> Iterator[Named]:
    """Each draft with names; raises Invalid where two quests of the file, or two steps of a way, share an id."""
    require_distinct(drafts)
    names = _distinct(f"quest_{draft.id}" if draft.id else f"quest_{n}" for n, draft in enumerate(drafts, 1))
    for number, (draft, name) in enumerate(zip(drafts, names, strict=True), 1):
        ways = _distinct(f"branch_{branch.id}" for branch in draft.branches)
        yield Named(
            draft=draft,
            name=name,
            key=draft.id or str(number),
            common=Way("steps", None, _steps("step", draft.steps)),
            branches=tuple(
                Way(way, branch, _steps(f"{way}_step", branch.steps))
                for way, branch in zip(ways, draft.branches, strict=True)
            ),
            failures=tuple(_distinct(f"failure_{failure.entity}" for failure in draft.failures)),
        )


def _steps(prefix: str, steps: Sequence[DraftStep]) -> tuple[tuple[str, DraftStep], ...]:
    return tuple(zip(_distinct(f"{prefix}_{step.id}" for step in steps), steps, strict=True))


def _distinct(wanted: Iterable[str]) -> list[str]:
    """ASCII names that differ, as near to the wanted ones as they can be."""
    found: dict[str, str] = {}
    for word in wanted:
        name = free = re.sub(r"[^A-Za-z0-9]+", "_", word)[:CHARS_MAX].rstrip("_")
        number = 1
        while free.lower() in found:
            number += 1
            free = f"{name}_n{number}"
        found[free.lower()] = free
    return list(found.values())


def require_distinct(drafts: Sequence[Draft]) -> None:
    """Raise Invalid where an id that others refer to is there twice."""
    _require("quests of the file", (draft.id or str(number) for number, draft in enumerate(drafts, 1)))
    for draft in drafts:
        of = f"quest {draft.id or draft.title!r}"
        _require(f"branches of {of}", (branch.id for branch in draft.branches))
        _require(f"failures of {of}", (failure.entity for failure in draft.failures))
        for steps in (draft.steps, *(branch.steps for branch in draft.branches)):
            _require(f"steps of {of}", (step.id for step in steps))


def _require(what: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise Invalid(f"two {what} share the id {id!r}", hint="give each its own")
        seen.add(id)
