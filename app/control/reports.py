"""What players reported, as the people who run a game meet it: listed, read, and settled with a note; audited."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.clock import Clock
from app.core.ports import Audit
from app.core.reports import Report, Reports, State


class ReportDesk:
    """Holds the ports."""

    def __init__(self, reports: Reports, *, clock: Clock, audit: Audit) -> None:
        self._reports = reports
        self._clock = clock
        self._audit = audit

    async def page(self, tenant: str, *, state: State | None, after: str, most: int) -> Sequence[Report]:
        """Reports with an id above `after`, the oldest first; raises StoreDown."""
        return await self._reports.page(tenant, state=state, after=after, most=most)

    async def get(self, tenant: str, actor: str, id: str) -> Report:
        """One report, whose reading is noted; raises NotFound, StoreDown."""
        found = await self._reports.get(tenant, id)
        self._audit.note(tenant, actor, "report.read", id)
        return found

    async def settle(self, tenant: str, actor: str, id: str, note: str) -> Report:
        """Close a report; raises NotFound, Conflict, StoreDown."""
        before = await self._reports.get(tenant, id)
        done = await self._reports.settle(tenant, id, note=note, actor=actor, now_ms=self._clock.wall_ms())
        if before.state == "open":
            self._audit.note(tenant, actor, "report.settled", id, category=done.category)
        return done
