"""The port to budgets: what a paid call may cost is reserved before it, and settled after. It knows no prices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """Money in integer nano-dollars (1e-9 USD), and tokens in and out together."""

    nano_usd: int = 0
    tokens: int = 0


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    """Who a paid call is for; an empty `npc` or `player` has no account."""

    tenant: str
    world: str
    npc: str = ""
    player: str = ""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Room for one paid call on the accounts of a UTC day (days since 1970) and its month."""

    id: str
    spender: Spender
    day: int
    most: Amount
    expires_ms: int = 0
    """By the shared server's clock; 0 where it knows nothing of it."""


class Budgets(Protocol):
    """Hard caps on money and tokens, by tenant, world, player and NPC, by UTC day and month.

    What is spent and what is reserved never pass a cap together. A reservation that is never settled counts
    as spent until it ends by itself.
    """

    async def reserve(self, spender: Spender, most: Amount) -> Reservation:
        """Room for `most` on every account, or on none; raises OverBudget, also when nobody can tell."""
        ...

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        """Charge what the call has cost and free the rest; once for each reservation, and never blocks."""
        ...

    def know(self, tenant: str, world: str, spent: Iterable[tuple[int, str, str, Amount]]) -> None:
        """Take (day, NPC, player, amount) of a world's log as spent already; what is known twice counts once."""
        ...
