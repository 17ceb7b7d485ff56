"""What hedges may cost: a share of what everything else has cost, saved up and spent first come, first served.

Money is in nano-dollars (1e-9 USD). It knows no engine and no tenant; their caps are the budgets' own.
"""

from __future__ import annotations


class Purse:
    """A token bucket whose rain is spending: all that it gives never passes `share` of all that it was told of."""

    __slots__ = ("_room", "_saved_max", "_share")

    def __init__(self, share: float, saved_max: int) -> None:
        self._share = share
        self._saved_max = float(saved_max)
        self._room = 0.0

    def earn(self, nano_usd: int) -> None:
        """That much was spent on what is no hedge."""
        self._room = min(self._saved_max, self._room + self._share * nano_usd)

    def take(self, most_nano_usd: int) -> bool:
        """Take the most that a hedge can cost; False where there is not as much, and what is free is always given."""
        if most_nano_usd > self._room:
            return most_nano_usd == 0
        self._room -= most_nano_usd
        return True

    def settle(self, most_nano_usd: int, spent_nano_usd: int) -> None:
        """Give back what a hedge did not need."""
        self._room = min(self._saved_max, self._room + most_nano_usd - spent_nano_usd)
