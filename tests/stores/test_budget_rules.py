"""Budgets as rules: whatever is reserved, settled, given back or forgotten in whatever order, no cap is passed."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.core.errors import OverBudget
from app.core.spending import Amount, Reservation, Spender
from app.stores.embedded.budgets import EmbeddedBudgets, fits, total
from app.world.usage import DAY_MS, day_of
from tests.doubles import ManualClock, SilentLog
from tests.stores.contracts.conftest import budgets_section

CAPS = {
    "tenant_day_nano_usd_max": 100,
    "tenant_month_tokens_max": 150,
    "world_day_nano_usd_max": 80,
    "player_day_tokens_max": 40,
    "npc_month_nano_usd_max": 60,
}
HOLD_S = 60.0


class Spending(RuleBasedStateMachine):
    """A process that reserves and settles, whose calls may die, over a clock that is pushed to and fro."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(now_s=1_000_000 * 86.4)
        section = budgets_section(hold_ms=int(HOLD_S * 1000), **CAPS)
        self.budgets = EmbeddedBudgets(section, clock=self.clock, log=SilentLog(), accounts_max=1_000)
        self.open: list[tuple[Reservation, float]] = []
        self.spent: list[tuple[Reservation, Amount]] = []

    @rule(
        world=st.sampled_from("ab"),
        npc=st.sampled_from("xy"),
        player=st.sampled_from(["", "p", "q"]),
        nano_usd=st.integers(0, 50),
        tokens=st.integers(0, 50),
    )
    def reserve(self, world: str, npc: str, player: str, nano_usd: int, tokens: int) -> None:
        spender = Spender(tenant="t", world=world, npc=npc, player=player)
        most = Amount(nano_usd=nano_usd, tokens=tokens)
        try:
            held = self.budgets.hold(spender, most, self.budgets.today())
        except OverBudget:
            return
        self.open.append((held, self.clock.now_s + HOLD_S))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.floats(0.0, 1.0))
    def settle(self, data: st.DataObject, share: float) -> None:
        """A call ends while its reservation lasts, as every call's deadline sees to."""
        held, until_s = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if until_s <= self.clock.now_s:
            return  # its process has died
        cost = Amount(nano_usd=int(held.most.nano_usd * share), tokens=int(held.most.tokens * share))
        self.budgets.settle(held, cost)
        self.spent.append((held, cost))

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0, 4_000.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def no_account_is_past_its_cap(self) -> None:
        taken: dict[str, list[Amount]] = {}
        caps = {}
        alive = [(held, held.most) for held, until_s in self.open if until_s > self.clock.now_s]
        for held, amount in [*self.spent, *alive]:
            for account in self.budgets.accounts.of(held.spender, held.day):
                taken.setdefault(account.name, []).append(amount)
                caps[account.name] = account.cap
        for name, amounts in taken.items():
            assert fits(caps[name], total(amounts)), name


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_clock_that_goes_back_over_midnight_does_not_open_yesterday_again() -> None:
    clock = ManualClock(now_s=DAY_MS / 1000 * 100 + 60)
    budgets = EmbeddedBudgets(budgets_section(), clock=clock, log=SilentLog(), accounts_max=10)
    assert budgets.today() == 100
    clock.now_s -= 3_600
    assert budgets.today() == 100
    clock.now_s += 86_400 + 3_600
    assert budgets.today() == 101 == day_of(clock.wall_ms())
    clock.now_s -= 86_400 * 30
    assert budgets.today() == 71, "a clock that was wrong by days is believed again"
