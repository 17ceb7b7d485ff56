"""Notes what may happen a thousand times in a minute: the first time at once, the others as a number.

It decides nothing and remembers nothing for longer than a minute.
"""

from __future__ import annotations

import asyncio

from app.control.audit import HOST
from app.core.ports import Audit

MINUTE_S = 60.0
KINDS_MAX = 4_096
"""Different things that are counted in one minute; what comes beyond is counted together, by its action."""
OTHERS = "others"

What = tuple[str, str, str, str]


class Repeats:
    """Counts (tenant, actor, action, target) and writes one entry a minute for each."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._counts: dict[What, int] = {}
        """How often each came after its first time."""
        self._timer: asyncio.TimerHandle | None = None

    def count(self, tenant: str, actor: str, action: str, target: str, reason: str = "") -> None:
        """It happened."""
        what = (tenant, actor, action, target)
        if what not in self._counts and len(self._counts) >= KINDS_MAX:
            what = (HOST, OTHERS, action, OTHERS)
        if what in self._counts:
            self._counts[what] += 1
            return
        self._counts[what] = 0
        self._audit.note(*what, **({"reason": reason} if reason else {}))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(MINUTE_S, self.flush)

    def flush(self) -> None:
        """Write what was counted since the first times, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, {}
        for what, count in counts.items():
            if count:
                self._audit.note(*what, more=count)
