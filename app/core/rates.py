"""The port to rate limits: how much of something a key may do in a time. Many processes may count together."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """`units` for each `period_ms`, and `burst` of them at once after a rest."""

    units: int
    period_ms: int
    burst: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a take was allowed, and when the same one would be."""

    allowed: bool
    retry_after_s: float = 0.0


class Limiter(Protocol):
    """How much of something a key may still do (GCRA). It never raises StoreDown: alone, it counts for itself."""

    async def take(self, tenant: str, key: str, rate: Rate, *, cost: int = 1) -> Verdict:
        """Take `cost` units, all or none; raises Invalid when they are more than a burst."""
        ...
