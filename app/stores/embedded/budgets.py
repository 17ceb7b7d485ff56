"""Budgets in the process: accounts by tenant, world, player and NPC, by UTC day and month. It knows no server.

An account holds what each world has spent and what calls in flight have reserved; both together never pass its
cap. The log says once for each account that it is full.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote

from app.core.clock import Clock
from app.core.errors import OverBudget
from app.core.ports import Log
from app.core.quotas import Budgets, Caps
from app.core.spending import Amount, Reservation, Spender
from app.core.tenants import NoRules, Rules
from app.world.usage import day_name, day_of, month_name

SCOPES = ("tenant", "world", "player", "npc")
DAYS_BACK_MAX = 2
"""A clock set back by less goes on with the later day, so that no day is spent twice."""
NOTHING = Amount()


class Account(NamedTuple):
    """One counter and its cap; 0 is no cap."""

    name: str
    cap: Amount
    monthly: bool
    until_day: int
    """The last day that it counts for."""


@dataclass(slots=True)
class _Counter:
    until_day: int
    spent: dict[str, Amount] = field(default_factory=dict)
    held: dict[str, tuple[Amount, float]] = field(default_factory=dict)

    def taken(self, now_s: float) -> Amount:
        """What is spent or reserved; reservations that have ended are forgotten."""
        ended = [id for id, (_, until_s) in self.held.items() if until_s <= now_s]
        for id in ended:
            del self.held[id]
        return total([*self.spent.values(), *(amount for amount, _ in self.held.values())])


class Accounts:
    """The caps of a profile, and of a tenant where those are lower, as accounts of a spender on a day."""

    def __init__(self, section: Budgets, rules: Rules) -> None:
        self._rules = rules
        self._caps = {(scope, period): _cap(section, scope, period) for scope in SCOPES for period in ("day", "month")}

    def of(self, spender: Spender, day: int) -> list[Account]:
        """Every account that a call of the spender is charged to and that has a cap."""
        owners: Mapping[str, tuple[str, ...]] = {
            "tenant": (),
            "world": (spender.world,),
            "player": (spender.world, spender.player),
            "npc": (spender.world, spender.npc),
        }
        labels = {"day": day_name(day), "month": month_name(day)}
        own = self._rules.of(spender.tenant).settings.caps
        found = []
        for (scope, period), profiled in self._caps.items():
            cap = _lower(profiled, _amount(own, period)) if scope == "tenant" else profiled
            if cap == NOTHING or not all(owners[scope]):
                continue
            name = ":".join((scope, labels[period], *(quote(owner, safe="") for owner in owners[scope])))
            monthly = period == "month"
            found.append(Account(name, cap, monthly, day + 31 if monthly else day))
        return found


def _cap(section: Budgets, scope: str, period: str) -> Amount:
    caps: Caps = getattr(section, scope)
    return _amount(caps, period)


def _lower(one: Amount, other: Amount) -> Amount:
    """The lower of each cap; 0 is none."""
    return Amount(
        nano_usd=min(filter(None, (one.nano_usd, other.nano_usd)), default=0),
        tokens=min(filter(None, (one.tokens, other.tokens)), default=0),
    )


def _amount(caps: Caps, period: str) -> Amount:
    return Amount(nano_usd=getattr(caps, f"{period}_nano_usd_max"), tokens=getattr(caps, f"{period}_tokens_max"))


class EmbeddedBudgets:
    """Implements app.core.ports.Budgets for one process."""

    def __init__(
        self, section: Budgets, *, clock: Clock, log: Log, accounts_max: int, rules: Rules | None = None
    ) -> None:
        self.accounts = Accounts(section, rules or NoRules())
        self._hold_s = section.hold_ms / 1000.0
        self._clock = clock
        self._log = log
        self._accounts_max = accounts_max
        self._counters: dict[tuple[str, str], _Counter] = {}
        self._full: set[tuple[str, str]] = set()
        self._day = 0

    async def reserve(self, spender: Spender, most: Amount) -> Reservation:
        return self.hold(spender, most, self.today())

    def hold(self, spender: Spender, most: Amount, day: int) -> Reservation:
        """As `reserve`, at once, on the accounts of `day`."""
        now_s = self._clock.monotonic_s()
        accounts = self.accounts.of(spender, day)
        counters = [self._counter(spender.tenant, account) for account in accounts]
        for account, counter in zip(accounts, counters, strict=True):
            if not fits(account.cap, total((counter.taken(now_s), most))):
                raise self.full(spender.tenant, account)
        reservation = Reservation(id=secrets.token_hex(8), spender=spender, day=day, most=most)
        for counter in counters:
            counter.held[reservation.id] = most, now_s + self._hold_s
        return reservation

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        spender = reservation.spender
        for account in self.accounts.of(spender, reservation.day):
            counter = self._counters.get((spender.tenant, account.name))
            if counter is not None:  # else its day is long over
                counter.held.pop(reservation.id, None)
                counter.spent[spender.world] = total((counter.spent.get(spender.world, NOTHING), spent))

    def know(self, tenant: str, world: str, spent: Iterable[tuple[int, str, str, Amount]]) -> None:
        today = self.today()
        sums: dict[Account, Amount] = {}
        for day, npc, player, amount in spent:
            if month_name(day) != month_name(today):
                continue
            spender = Spender(tenant=tenant, world=world, npc=npc, player=player)
            for account in self.accounts.of(spender, today):
                if account.monthly or day == today:
                    sums[account] = total((sums.get(account, NOTHING), amount))
        for account, amount in sums.items():
            known = self._counter(tenant, account).spent
            known[world] = most_of(known.get(world, NOTHING), amount)

    def known(self, reservation: Reservation) -> list[Amount]:
        """What the spender's world has spent so far, for each account of the reservation."""
        spender = reservation.spender
        return [
            self._spent(spender.tenant, spender.world, account)
            for account in self.accounts.of(spender, reservation.day)
        ]

    def worlds(self, tenant: str, account: Account) -> Mapping[str, Amount]:
        """What each world of the tenant has spent on an account."""
        counter = self._counters.get((tenant, account.name))
        return dict(counter.spent) if counter is not None else {}

    def tenants(self) -> set[str]:
        """The tenants that have accounts."""
        return {tenant for tenant, _ in self._counters}

    def today(self) -> int:
        """The UTC day; it does not go back over midnight with a clock that is set back."""
        day = day_of(self._clock.wall_ms())
        if not self._day - DAYS_BACK_MAX < day <= self._day:
            self._day = day
            self._sweep()
        return self._day

    def full(self, tenant: str, account: Account) -> OverBudget:
        """The error of an account without room."""
        if (tenant, account.name) not in self._full:
            self._full.add((tenant, account.name))
            self._log.warning("budget.reached", tenant=tenant, account=account.name)
        return OverBudget(f"the budget {account.name!r} has no room", hint="see GET /v1/usage and [budgets]")

    def _spent(self, tenant: str, world: str, account: Account) -> Amount:
        counter = self._counters.get((tenant, account.name))
        return NOTHING if counter is None else counter.spent.get(world, NOTHING)

    def _counter(self, tenant: str, account: Account) -> _Counter:
        """The account's counter; when there are too many the call is not allowed, since nobody could count it."""
        key = tenant, account.name
        if key not in self._counters:
            if len(self._counters) >= self._accounts_max:
                raise self.full(tenant, Account("cache.keys_max", NOTHING, False, 0))
            self._counters[key] = _Counter(account.until_day)
        return self._counters[key]

    def _sweep(self) -> None:
        """Forget accounts whose day or month was over before yesterday."""
        oldest = self._day - DAYS_BACK_MAX
        self._counters = {key: counter for key, counter in self._counters.items() if counter.until_day >= oldest}
        self._full &= set(self._counters)


def total(amounts: Sequence[Amount]) -> Amount:
    return Amount(nano_usd=sum(one.nano_usd for one in amounts), tokens=sum(one.tokens for one in amounts))


def most_of(one: Amount, other: Amount) -> Amount:
    return Amount(nano_usd=max(one.nano_usd, other.nano_usd), tokens=max(one.tokens, other.tokens))


def fits(cap: Amount, taken: Amount) -> bool:
    """Whether `taken` passes neither cap; 0 is no cap."""
    return (not cap.nano_usd or taken.nano_usd <= cap.nano_usd) and (not cap.tokens or taken.tokens <= cap.tokens)
