"""Whether the database is there: it ages what runs, probes what nobody asks, and names the fault.

Time is counted in turns of the event loop, so that a process which was itself stopped or busy blames nobody.
It knows no engine: how work is cut and how the database is probed comes from the one who owns the connections.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from app.core.errors import StoreDown
from app.core.ports import Log

TICK_S = 0.05
TURN_S_MAX = 2 * TICK_S
"""What one turn counts for, however long it took."""
PROBE_S = 0.2
PROBE_DOWN_S_MIN = 0.05
PROBE_DOWN_S_MAX = 1.0
NO_LIMIT_S = math.inf
RETRY_AFTER_S = 1.0

Probe = Callable[[], Coroutine[None, None, None]]


@dataclass(slots=True, eq=False)
class Running:
    """One piece of work; `cut` ends its wait and is called at most once, `begun` is False while it stands in line."""

    cut: Callable[[str], None]
    limit_s: float
    begun: bool = True
    age_s: float = 0.0
    over: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """`answer_ms`: what takes longer is named as a fault. `transaction_ms`: what takes longer is cut."""

    answer_ms: int
    transaction_ms: int

    @property
    def transaction_s(self) -> float:
        return self.transaction_ms / 1000.0


class Watch:
    """Owns a task. `probe` asks for the smallest answer; `hang_up` is called when the database is found gone."""

    def __init__(
        self,
        name: str,
        *,
        limits: Limits,
        log: Log,
        probe: Probe | None = None,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self.limits = limits
        self._log = log
        self._probe = probe
        self._hang_up = hang_up
        self._probing: asyncio.Task[None] | None = None
        self._probe_age_s = 0.0
        self._pause_s = PROBE_S
        self._down_s = PROBE_DOWN_S_MIN
        self._running: set[Running] = set()
        self._lost = ""
        self._task = asyncio.create_task(self._run(), name=f"watch {name}")

    @property
    def fault(self) -> str:
        """Why the database cannot be counted on now; empty while it can."""
        if self._lost:
            return self._lost
        oldest_s = max((one.age_s for one in self._running if one.limit_s < NO_LIMIT_S), default=0.0)
        return f"{self._name} has not answered for {oldest_s:.1f} s" if oldest_s > self.limits.answer_ms / 1e3 else ""

    def require(self) -> None:
        """Raise StoreDown while the database is gone, so that nobody waits for it."""
        if self._lost:
            raise StoreDown(self._lost, hint="it is tried again by itself", retry_after_s=RETRY_AFTER_S)

    def begin(self, running: Running) -> None:
        """Age a piece of work from now on."""
        self._running.add(running)

    def end(self, running: Running) -> None:
        self._running.discard(running)

    def lose(self, reason: str) -> None:
        """The database is gone: say so, and cut everything that waits for it."""
        if not self._lost:
            self._log.warning("database.lost", reason=reason)
        self._lost = reason
        for one in list(self._running):
            self._cut(one, reason)
        if self._hang_up is not None:
            self._hang_up()

    def find(self) -> None:
        """The database answers again."""
        if self._lost:
            self._log.info("database.found")
        self._lost = ""

    async def close(self) -> None:
        for task in (self._task, self._probing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(TICK_S)
            turn_s = min(time.monotonic() - before_s, TURN_S_MAX)
            for one in list(self._running):
                one.age_s += turn_s if one.begun else 0.0
                if one.age_s > one.limit_s:
                    self._cut(one, f"{self._name} has not answered for {one.limit_s:g} s")
            if self._probe is not None:
                self._watch_probe(self._probe, turn_s)

    def _watch_probe(self, probe: Probe, turn_s: float) -> None:
        """Start a probe when its time has come; one that fails or is late means that the database is gone."""
        if self._probing is None:
            self._pause_s -= turn_s
            if self._pause_s <= 0.0:
                self._probing, self._probe_age_s = asyncio.create_task(probe(), name=f"probe {self._name}"), 0.0
            return
        self._probe_age_s += turn_s
        if not self._probing.done():
            if self._probe_age_s > self.limits.answer_ms / 1e3 and not self._probing.cancelling():
                self.lose(f"{self._name} has not answered for {self.limits.answer_ms} ms")
                self._probing.cancel()
            return
        error = None if self._probing.cancelled() else self._probing.exception()
        if self._probing.cancelled() or error is not None:
            if error is not None:
                self.lose(error.message if isinstance(error, StoreDown) else repr(error))
            jitter = random.uniform(0.5, 1.0)  # noqa: S311  # spreads replicas out, guards nothing
            self._pause_s, self._down_s = self._down_s * jitter, min(2 * self._down_s, PROBE_DOWN_S_MAX)
        else:
            self.find()
            self._pause_s, self._down_s = PROBE_S, PROBE_DOWN_S_MIN
        self._probing = None

    def _cut(self, one: Running, reason: str) -> None:
        if not one.over:
            one.over = True
            one.cut(reason)
