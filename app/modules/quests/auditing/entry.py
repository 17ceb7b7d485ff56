"""One quest as a source gave it, and what became of it; the pieces that the parts of an audit hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.modules.quests.draft import Draft
from app.modules.quests.messages import Verdict
from app.modules.quests.report import Found

Deed = tuple[str, ...]
"""An action and its arguments, as a certificate's plan has it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A draft and where it stands in its source; `fault` says why it could not be read, and then there is no draft."""

    number: int
    """Its place in the source, from 0."""
    draft: Draft | None
    key: str
    """Its id, or `#7` for the seventh that has none."""
    where: str = ""
    step_where: dict[str, str] = field(default_factory=dict)
    """Step id -> where that step stands, if the source tells."""
    fault: str = ""

    def at(self, step: str = "") -> str:
        """Where the step stands in the source, or the whole quest."""
        return self.step_where.get(step, self.where)


@dataclass(frozen=True, slots=True)
class Judged:
    """A quest's verdict in the world that its prerequisites leave.

    `ways` are the plans by which it can end, the main one first; empty unless it was verified. `effort` is the sum of
    the main one's step costs.
    """

    number: int
    verdict: Verdict | None
    found: tuple[Found, ...] = ()
    ways: tuple[tuple[Deed, ...], ...] = ()
    effort: float = 0.0

    @property
    def sound(self) -> bool:
        return bool(self.ways)


def entries_of(drafts: tuple[Draft, ...]) -> tuple[Entry, ...]:
    """The drafts of a request, which have no place in any file."""
    return tuple(
        Entry(number=number, draft=draft, key=draft.id or f"#{number + 1}") for number, draft in enumerate(drafts)
    )
