"""Which age rating holds for a tenant's lines: its own where it has chosen a stricter one, else the profile's.

A tenant's rating that has become looser than the profile's no longer counts. It judges nothing itself.
"""

from __future__ import annotations

from app.core.tenants import NoRules, Rules
from app.world.moderation import Moderation, looser


class Ratings:
    """The moderation of every tenant; raises Invalid for a profile's rating that nobody knows."""

    def __init__(self, rating: str, rules: Rules | None = None) -> None:
        self._own = Moderation.load(rating)
        self._rating = rating
        self._rules: Rules = rules or NoRules()
        self._stricter: dict[str, Moderation] = {}

    def of(self, tenant: str) -> Moderation:
        """What judges the tenant's lines now."""
        rating = self._rules.of(tenant).settings.rating
        if not rating:
            return self._own
        known = self._stricter.get(rating)
        if known is None:
            known = self._own if looser(rating, self._rating) else Moderation.load(rating)
            self._stricter[rating] = known
        return known
