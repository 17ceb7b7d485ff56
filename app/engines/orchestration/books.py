"""The money of one call: reserved before it, settled once after it, and put on the bill.

It knows budgets, prices as an engine tells them, and bills. It does not know why a call ended.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from app.core.spending import Amount, Budgets, Reservation, Spender
from app.core.words import Completion, Spent, Usage, Words
from app.engines.orchestration.members import Member
from app.engines.orchestration.purse import Purse
from app.engines.orchestration.watch import Meter

NOTHING = Usage()
HEDGED = "hedged"
"""The outcome of a call that lost to another one beside it."""


@runtime_checkable
class Metered(Protocol):
    """An engine whose calls are counted: it knows the most that one can cost, and guesses what a broken one has."""

    def most(self, completion: Completion) -> Usage: ...
    def estimate(self, completion: Completion, written: str) -> Usage: ...


def most(engine: Words, completion: Completion) -> Usage:
    """The most that the call can consume; nothing for an engine that is not metered."""
    return engine.most(completion) if isinstance(engine, Metered) else NOTHING


def estimate(engine: Words, completion: Completion, written: str) -> Usage:
    """What a call that was cut off has probably cost: a prompt that was sent is paid, answered or not."""
    return engine.estimate(completion, written) if isinstance(engine, Metered) else NOTHING


class Books:
    """Reserves and settles for every attempt, hedge and repair alike."""

    def __init__(self, budgets: Budgets | None, purse: Purse, meter: Meter) -> None:
        self._budgets = budgets
        self._meter = meter
        self.purse = purse

    async def reserve(self, engine: Words, completion: Completion) -> Reservation | None:
        """Room for the most that the engine can cost; None where nothing is counted. Raises OverBudget."""
        if self._budgets is None or not isinstance(engine, Metered):
            return None
        spender = Spender(
            tenant=completion.tenant, world=completion.world, npc=completion.npc, player=completion.player
        )
        return await self._budgets.reserve(spender, _amount(engine.most(completion)))

    def release(self, hold: Reservation | None) -> None:
        """Give back what was reserved for a call that was never made."""
        if self._budgets is not None and hold is not None:
            self._budgets.settle(hold, Amount())

    def book(
        self,
        member: Member,
        completion: Completion,
        hold: Reservation | None,
        spent: Spent,
    ) -> None:
        """Settle what was reserved, count the call, and put on the bill what it has cost."""
        usage = spent.usage
        if self._budgets is not None and hold is not None:
            self._budgets.settle(hold, _amount(usage))
        if spent.outcome != HEDGED:
            self.purse.earn(usage.cost_nano_usd)
        self._meter.called(member.name, spent.outcome, usage)
        if completion.bill is not None and usage != NOTHING:
            completion.bill.items.append(spent)


def plus(one: Usage, other: Usage) -> Usage:
    """Both together."""
    if one is NOTHING:
        return other
    return Usage(
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_out=one.tokens_out + other.tokens_out,
        cached_tokens_in=one.cached_tokens_in + other.cached_tokens_in,
        cost_nano_usd=one.cost_nano_usd + other.cost_nano_usd,
    )


def _amount(usage: Usage) -> Amount:
    return Amount(nano_usd=usage.cost_nano_usd, tokens=usage.tokens_in + usage.tokens_out)
