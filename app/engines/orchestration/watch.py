"""Who is told what engines do: counters, and an alarm for whoever keeps the keys.

It knows names, outcomes and amounts, never a text.
"""

from __future__ import annotations

from typing import Literal, Protocol

from app.core.words import Usage

Hedge = Literal["won", "lost", "unfunded"]


class Meter(Protocol):
    """Told of every call once, when it is over, and of every turn of a breaker."""

    def called(self, engine: str, outcome: str, usage: Usage) -> None: ...
    def first_text(self, engine: str, seconds: float) -> None: ...
    def hedged(self, engine: str, outcome: Hedge) -> None: ...
    def turned(self, engine: str, state: str) -> None: ...
    def alerted(self, engine: str, reason: str) -> None: ...


class NoMeter:
    """Nobody is told."""

    def called(self, engine: str, outcome: str, usage: Usage) -> None:
        """Forget it."""

    def first_text(self, engine: str, seconds: float) -> None:
        """Forget it."""

    def hedged(self, engine: str, outcome: Hedge) -> None:
        """Forget it."""

    def turned(self, engine: str, state: str) -> None:
        """Forget it."""

    def alerted(self, engine: str, reason: str) -> None:
        """Forget it."""
