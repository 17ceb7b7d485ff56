"""Whether one engine may be asked, by how its last calls ended.

There is one for each engine table, that is for each provider, region, model and key together. It counts outcomes and
seconds that it is given; it reads no clock, sleeps never, and does not know what an engine is.
"""

from __future__ import annotations

from enum import Enum

from app.core.engines import Breaker as Limits
from app.core.errors import Failure

ALERTS = frozenset(("unauthorized", "unpaid"))
"""What no waiting mends: somebody must look after the key or the account."""
HARMLESS = frozenset(("refused",))
"""The request's fault, not the engine's."""


class State(Enum):
    """Asked freely, not at all, or by one call that tries whether it is well again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after failures in a row, after too large a share of failures, or at once where a provider says so."""

    __slots__ = ("_alert_rests", "_failed", "_limits", "_outcomes", "_probing", "_rests", "_until_s", "alert", "reason")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failed = 0
        """Failures in a row."""
        self._outcomes: list[bool] = []
        """The newest `window_calls`, True for a failure."""
        self._rests = self._alert_rests = 0
        """Rests in a row, without a success between them."""
        self._until_s: float | None = None
        """When the rest is over; None while closed."""
        self._probing = False
        self.alert = ""
        """Why somebody must look after the key or the account."""
        self.reason = ""
        """Why the last call failed; empty after a success."""

    def state(self, now_s: float) -> State:
        """Open while it rests; half open afterwards, until a call has shown that it is well."""
        if self._until_s is None:
            return State.CLOSED
        return State.OPEN if now_s < self._until_s else State.HALF_OPEN

    def admits(self, now_s: float) -> bool:
        """Whether a call that is made now would be let through."""
        return self._until_s is None or (now_s >= self._until_s and not self._probing)

    def rests_s(self, now_s: float) -> float:
        """Seconds of rest that are left."""
        return 0.0 if self._until_s is None else max(0.0, self._until_s - now_s)

    def begin(self, now_s: float) -> bool | None:
        """Take a call: True for the one probe of a half-open breaker, False for any other, None where none may be."""
        if self._until_s is None:
            return False
        if not self.admits(now_s):
            return None
        self._probing = True
        return True

    def leave(self, *, probe: bool) -> None:
        """The call ended without telling anything of the engine: its caller left."""
        self._probing = self._probing and not probe

    def succeed(self) -> bool:
        """The call ended well; True where it was failing before."""
        mended = self._failed > 0 or self._until_s is not None
        self._note(failure=False)
        self._failed = self._rests = self._alert_rests = 0
        self._until_s, self._probing = None, False
        self.alert = self.reason = ""
        return mended

    def fail(
        self, now_s: float, failure: Failure, reason: str, *, probe: bool, retry_after_s: float | None = None
    ) -> bool:
        """The call failed; True where it is the first failure since it was well. A harmless one counts for nothing."""
        self.leave(probe=probe)
        if failure in HARMLESS:
            return False
        self.reason = reason
        self._failed += 1
        self._note(failure=True)
        if failure in ALERTS:
            self.alert = reason
            self._rest(now_s, self._alert_rest_ms())
        elif probe or self._failed >= self._limits.failures_max or self._share_is_passed():
            self._rest(now_s, self._rest_ms())
        if retry_after_s is not None:
            self._rest(now_s, min(retry_after_s * 1000.0, self._limits.retry_after_ms_max))
        return self._failed == 1

    def _rest(self, now_s: float, ms: float) -> None:
        self._until_s = max(self._until_s or 0.0, now_s + ms / 1000.0)

    def _rest_ms(self) -> float:
        self._rests += 1
        return _doubled(self._limits.rest_ms, self._rests, self._limits.rest_ms_max)

    def _alert_rest_ms(self) -> float:
        self._alert_rests += 1
        return _doubled(self._limits.alert_rest_ms, self._alert_rests, self._limits.alert_rest_ms_max)

    def _note(self, *, failure: bool) -> None:
        self._outcomes.append(failure)
        if len(self._outcomes) > self._limits.window_calls:
            del self._outcomes[0]

    def _share_is_passed(self) -> bool:
        count = len(self._outcomes)
        share = sum(self._outcomes) / count
        return count >= self._limits.window_calls_min and share >= self._limits.failures_share_max


def _doubled(first: float, times: int, most: float) -> float:
    return min(most, first * 2.0 ** min(times - 1, 32))
