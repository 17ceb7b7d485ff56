"""Who may begin: refuses requests before any work is done on them while the event loop has enough to do.

Work that was admitted but has not started yet is counted in seconds of the loop, by what each operation has
cost so far. A burst may fill a large bound. What is asked for, refused or not, fills a virtual queue that empties
with time (as in Kunniyur and Srikant, "Adaptive Virtual Queue", 2001); while that is fuller than a burst may be,
a small bound holds: a newcomer would only wait, so it is told at once when to come again. What is admitted keeps
its usual latency and the loop never idles. A tenant that asks for little still gets in while one that asks for much
is turned away. It knows neither sockets nor HTTP.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from app.core.errors import Overloaded
from app.core.ports import Log
from app.core.profile import Server
from app.edge.shares import Shares
from app.telemetry.metrics import Metrics

ENTERED_S = "innkeeper.entered_s"
"""The key of the ASGI scope under which stands when the request was let in, by `time.perf_counter`."""
COST_S_START = 0.0005
"""What an operation is thought to cost until it has been measured."""
COST_S_MIN = 0.00002
COST_S_MAX = 1.0
LEARNING = 0.2
"""Weight of the newest measurement in an operation's cost."""
RATIO_MIN, RATIO_MAX = 0.25, 4.0
"""One measurement moves a cost by no more than this, so that a pause of the process is no lesson."""
BURSTS_MAX = 2.0
"""The virtual queue holds no more than this many bursts, so that it is empty soon after an overload."""
CROWDED = 0.25
"""Part of the longest wait for a commit that a tenant may cause which asks for more than its share, beside others."""
RETRY_AFTER_S = 1.0
QUIET_S = 1.0
"""A server that has refused nothing for this long is no longer overloaded."""


class Ticket:
    """One admitted request: `begin` when its work starts, `leave` when it is over, begun or not."""

    __slots__ = ("_admission", "_begun", "cost_s", "op")

    def __init__(self, admission: Admission, op: str, cost_s: float) -> None:
        self._admission = admission
        self._begun = False
        self.op = op
        self.cost_s = cost_s

    def begin(self) -> None:
        self._begun = True
        self._admission.begun(self)

    def leave(self) -> None:
        self._admission.left(self, begun=self._begun)


class Admission:
    """Counts what waits to start and what runs, and measures what operations cost the loop."""

    def __init__(
        self, server: Server, *, behind_s: Callable[[], float], log: Log, metrics: Metrics,
        now_s: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self._now_s = now_s
        self._backlog_s_max = server.backlog_ms_max / 1000.0
        self._burst_s_max = server.burst_ms_max / 1000.0
        self._requests_max = server.requests_max
        self._write_wait_s_max = server.write_wait_ms_max / 1000.0
        self._behind_s = behind_s
        self._log = log
        self._refused = metrics.requests_shed
        self._costs_s: dict[str, float] = {}
        self._shares = Shares(now_s)
        self._waiting = 0
        self._waiting_s = 0.0
        self._requests = 0
        self._pass: list[Ticket] = []
        self._pass_began_s = 0.0
        self._asked_s = 0.0
        """The virtual queue: the cost of what was asked for, refused or not, less the time that has passed."""
        self._asked_at_s = 0.0
        self._refused_s = -QUIET_S

    @property
    def shedding(self) -> bool:
        """Whether requests were refused within the last second."""
        return self._now_s() - self._refused_s < QUIET_S

    def enter(self, op: str, *, writes: bool = False, tenant: str = "") -> Ticket:
        """A ticket for one request of `op`; raises Overloaded as `check` does."""
        cost_s = self.check(op, writes=writes, tenant=tenant)
        self._waiting += 1
        self._waiting_s += cost_s
        self._requests += 1
        return Ticket(self, op, cost_s)

    def check(self, op: str, *, writes: bool = False, tenant: str = "") -> float:
        """The seconds that `op` should take; raises Overloaded while too much waits to start, or to be committed.

        `tenant` is empty where it is not known yet; all such requests count as one tenant's.
        """
        cost_s = self._costs_s.get(op, COST_S_START)
        self._ask(cost_s)
        self._shares.ask(tenant, cost_s)
        if self._waiting and self._waiting_s + cost_s > self._bound_s(tenant):
            self._refuse(f"{self._waiting} requests wait to start")
        if writes and self._behind_s() > self._write_wait_s(tenant):
            self._refuse(f"an event has waited {self._behind_s():.3f} s for its commit")
        if self._requests >= self._requests_max:
            self._refuse(f"{self._requests} requests are being answered")
        return cost_s

    def _ask(self, cost_s: float) -> None:
        """Put `cost_s` into the virtual queue."""
        now_s = self._now_s()
        left_s = max(0.0, self._asked_s - (now_s - self._asked_at_s))
        self._asked_s = min(BURSTS_MAX * self._burst_s_max, left_s + cost_s)
        self._asked_at_s = now_s

    def _bound_s(self, tenant: str) -> float:
        """How much may wait to start before a request of the tenant is refused; a light one's never is for that."""
        share = self._shares.of(tenant)
        if share == "light":
            return math.inf
        bursts = share == "alone" and self._asked_s <= self._burst_s_max
        return self._burst_s_max if bursts else self._backlog_s_max

    def _write_wait_s(self, tenant: str) -> float:
        """How long the oldest event may have waited for its commit before a write of the tenant is refused."""
        share = self._shares.of(tenant) if self._behind_s() > self._write_wait_s_max * CROWDED else "alone"
        return {"alone": 1.0, "light": math.inf, "heavy": CROWDED}[share] * self._write_wait_s_max

    def begun(self, ticket: Ticket) -> None:
        """The ticket's work starts now; what starts in one pass of the loop is measured together."""
        self._unwait(ticket)
        if not self._pass:
            self._pass_began_s = self._now_s()
            asyncio.get_running_loop().call_soon(self._passed)
        self._pass.append(ticket)
        self._shares.begin(ticket.cost_s)

    def left(self, ticket: Ticket, *, begun: bool) -> None:
        """The ticket's request is over."""
        self._requests -= 1
        if not begun:
            self._unwait(ticket)

    def _unwait(self, ticket: Ticket) -> None:
        self._waiting -= 1
        self._waiting_s = self._waiting_s - ticket.cost_s if self._waiting else 0.0

    def _passed(self) -> None:
        """Compare how long the pass took with what its operations were thought to cost, and learn."""
        started, self._pass = self._pass, []
        taken_s = self._now_s() - self._pass_began_s
        ratio = taken_s / sum(ticket.cost_s for ticket in started)
        factor = 1.0 + LEARNING * (min(RATIO_MAX, max(RATIO_MIN, ratio)) - 1.0)
        for op in {ticket.op for ticket in started}:
            cost_s = self._costs_s.get(op, COST_S_START) * factor
            self._costs_s[op] = min(COST_S_MAX, max(COST_S_MIN, cost_s))

    def _refuse(self, why: str) -> None:
        if not self.shedding:
            self._log.warning("load.shed", reason=why)
        self._refused_s = self._now_s()
        self._refused.inc()
        raise Overloaded(why, hint="send it again after retry_after_s", retry_after_s=RETRY_AFTER_S)
