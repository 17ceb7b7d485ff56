"""What the router remembers from one request to the next: who wrote for whom, and whose caps left no room.

It is a hint that may be lost at any moment. It reads no clock.
"""

from __future__ import annotations

from collections import OrderedDict

from app.core.engines import Orchestrator as Settings
from app.core.words import Completion

TENANTS_MAX = 1_024
"""Tenants of whom it is remembered that a cap left no room."""


class Memory:
    """Warm prompts by NPC, and tenants that are short of money; both end by themselves."""

    __slots__ = ("_settings", "_tight", "_warm")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._warm: OrderedDict[tuple[str, ...], tuple[str, float]] = OrderedDict()
        self._tight: dict[str, float] = {}

    def wrote(self, completion: Completion, engine: str, now_s: float) -> None:
        """The engine has the NPC's prompt at hand from now on."""
        speaker = _speaker(completion)
        if not speaker:
            return
        self._warm[speaker] = (engine, now_s + self._settings.warm_ms / 1000.0)
        self._warm.move_to_end(speaker)
        if len(self._warm) > self._settings.warm_npcs_max:
            self._warm.popitem(last=False)

    def warm(self, completion: Completion, now_s: float) -> str:
        """The engine that may still have the prompt at hand; empty where none has."""
        engine, until_s = self._warm.get(_speaker(completion), ("", 0.0))
        return engine if until_s > now_s else ""

    def refused(self, tenant: str, now_s: float) -> None:
        """A cap left no room for a call of the tenant."""
        if len(self._tight) >= TENANTS_MAX:
            self._tight.clear()
        self._tight[tenant] = now_s + self._settings.tight_ms / 1000.0

    def is_tight(self, tenant: str, now_s: float) -> bool:
        """Whether the tenant was short of money just now."""
        return bool(self._tight) and self._tight.get(tenant, 0.0) > now_s


def _speaker(completion: Completion) -> tuple[str, ...]:
    """Whose prompt the next one will resemble; empty where nobody is named."""
    who = completion.npc or completion.player
    return (completion.tenant, completion.world, who) if who else ()
