"""What each tenant has asked of the event loop lately, so that who asks for much cannot starve who asks for little.

A tenant is light while it asks for less than an equal share of the loop among all that ask (max-min fairness, as in
fair queueing, RFC 970): light tenants together never ask for more than the loop has. It refuses nobody itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

WINDOW_S = 0.25
"""Asking counts for one to two windows: also the most work that light tenants together can have waiting."""


class Shares:
    """Seconds of the loop that each tenant asked for in this window and in the one before, refused or not.

    They are thought seconds, as the costs are; what was begun in the same time tells how many the loop really has.
    """

    __slots__ = ("_asked_s", "_before_s", "_began_s", "_begun_before_s", "_begun_s", "_now_s")

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._asked_s: dict[str, float] = {}
        self._before_s: dict[str, float] = {}
        self._began_s = self._now_s() - WINDOW_S
        self._begun_s = self._begun_before_s = 0.0

    def ask(self, tenant: str, cost_s: float) -> None:
        """Note a request."""
        now_s = self._now_s()
        if now_s - self._began_s >= WINDOW_S:
            recent = now_s - self._began_s < 2 * WINDOW_S
            self._before_s, self._begun_before_s = (self._asked_s, self._begun_s) if recent else ({}, 0.0)
            self._asked_s, self._begun_s = {}, 0.0
            self._began_s = now_s
        self._asked_s[tenant] = self._asked_s.get(tenant, 0.0) + cost_s

    def begin(self, cost_s: float) -> None:
        """Note that a request's work begins."""
        self._begun_s += cost_s

    def of(self, tenant: str) -> Literal["alone", "light", "heavy"]:
        """Whether the tenant asks for less than its equal share or for more; alone when no other asks."""
        tenants = max(len(self._asked_s), len(self._before_s))
        if tenants < 2:
            return "alone"
        asked_s = self._asked_s.get(tenant, 0.0) + self._before_s.get(tenant, 0.0)
        window_s = WINDOW_S + self._now_s() - self._began_s
        there_s = max(window_s, self._begun_s + self._begun_before_s)
        return "light" if asked_s * tenants < there_s else "heavy"
