"""The port to what players report: how a report is kept, read and settled. It knows no store and no face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from app.core.messages import ModelText

Category = Literal["offensive", "sexual", "hate", "self_harm", "violence", "private_data", "wrong", "other"]
"""Why a line was reported; `wrong` is a line that breaks the game or is not true."""
State = Literal["open", "settled"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A line that somebody reported. `text` is what they wrote about it, `line` is the line as it was said.

    `ai_generated` says whether a model wrote the line; `note` is of whoever settled it.
    """

    id: str
    world: str
    player: str
    explain_id: str
    npc: str
    category: Category
    text: str
    line: ModelText
    ai_generated: bool
    made_ms: int
    state: State = "open"
    note: str = ""
    settled_by: str = ""
    settled_ms: int | None = None


class Reports(Protocol):
    """Where reports are kept, sealed. Methods raise StoreDown."""

    async def add(self, tenant: str, report: Report, *, open_max: int) -> Report:
        """Keep a report; the one that is there already where the same player reported the same line.

        Raises TooLarge when `open_max` reports of the tenant are open.
        """
        ...

    async def page(self, tenant: str, *, state: State | None, after: str, most: int) -> Sequence[Report]:
        """Reports with an id above `after`, the oldest first, of that state where one is given."""
        ...

    async def get(self, tenant: str, id: str) -> Report:
        """One report; raises NotFound."""
        ...

    async def settle(self, tenant: str, id: str, *, note: str, actor: str, now_ms: int) -> Report:
        """Close a report with a note; raises NotFound, and Conflict for one that was settled with another note."""
        ...
