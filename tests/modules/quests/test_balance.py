"""What quests pay: never less for more, never less than what is spent, and no loop that is worth running."""

from __future__ import annotations

import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.quests.generation import balance
from app.modules.quests.messages import Reward
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from app.world.entities import Item
from tests.modules.quests.markets import loops, market
from tests.modules.quests.test_generated import made
from tests.modules.quests.villages import troubled

amounts = st.floats(0.0, 500.0)
efforts = st.floats(0.1, 200.0)
levels = st.integers(1, 60)
PLAIN = Settings()
OWN = Settings(reward_points=("1=20", "10=90", "8=120", "40=900"))
STUDIOS = st.sampled_from([PLAIN, OWN, Settings(coins_per_effort=7.5, reward_deviation_share=0.3)])


@given(pairs=st.lists(st.tuples(st.integers(1, 8), st.floats(0.1, 100.0)), min_size=1, max_size=24))
def test_the_fit_is_the_nearest_curve_that_never_falls(pairs: list[tuple[int, float]]) -> None:
    """Against the min-max formula of isotonic regression, which needs no pooling (Barlow et al. 1972)."""
    levels = sorted({level for level, _ in pairs})
    groups = [[amount for level, amount in pairs if level == one] for one in levels]

    def mean(first: int, last: int) -> float:
        return statistics.fmean(amount for group in groups[first : last + 1] for amount in group)

    curve = balance.monotone(pairs)
    for at, level in enumerate(levels):
        best = max(min(mean(first, last) for last in range(at, len(levels))) for first in range(at + 1))
        assert curve.at(level) == pytest.approx(best)
    assert [curve.at(level / 2) for level in range(20)] == sorted(curve.at(level / 2) for level in range(20))


@given(low=efforts, more=amounts, level=levels, spent=amounts, studio=STUDIOS)
def test_more_effort_never_pays_less(low: float, more: float, level: int, spent: float, studio: Settings) -> None:
    less = balance.reward(low, level, studio, spent=spent)
    greater = balance.reward(low + more, level, studio, spent=spent)
    dearer = balance.reward(low, level, studio, spent=spent + more)
    assert less.coins <= greater.coins
    assert less.experience <= greater.experience
    assert less.coins <= dearer.coins
    assert less.experience == dearer.experience


@given(effort=efforts, level=levels, spent=amounts, studio=STUDIOS)
def test_whoever_hands_over_what_was_bought_loses_nothing(
    effort: float, level: int, spent: float, studio: Settings
) -> None:
    assert balance.reward(effort, level, studio, spent=spent).coins >= spent


@given(effort=efforts, level=levels, spent=amounts, repeat_s=st.floats(60.0, 1e6), studio=STUDIOS)
def test_what_can_be_had_again_pays_no_more_an_hour_than_is_allowed(
    effort: float, level: int, spent: float, repeat_s: float, studio: Settings
) -> None:
    again = balance.reward(effort, level, studio, spent=spent, repeat_s=repeat_s)
    once = balance.reward(effort, level, studio, spent=spent)
    hourly = (again.coins - spent) * 3_600.0 / repeat_s
    assert again.coins == 1 or hourly <= studio.repeat_coins_per_hour_max * (1 + 1e-9)
    assert again.coins <= once.coins
    assert again.experience <= once.experience


@given(level=levels, studio=STUDIOS)
def test_a_level_never_pays_less_than_the_one_below(level: int, studio: Settings) -> None:
    assert 0.0 < balance.budget(level, studio) <= balance.budget(level + 1, studio)


def test_a_studios_points_are_its_curve_and_are_mended_where_they_fall() -> None:
    assert balance.budget(1, OWN) == 20.0
    assert balance.budget(8, OWN) == balance.budget(10, OWN) == 105.0
    assert balance.budget(25, OWN) == pytest.approx(105.0 + (900.0 - 105.0) * 15 / 30)
    assert balance.budget(99, OWN) == 900.0
    for wrong in ("ten=5", "5", "5=-1", "5=nan"):
        with pytest.raises(Invalid, match=wrong):
            balance.points_of((wrong,))


def ranks(values: list[float]) -> list[float]:
    order = sorted(values)
    return [order.index(value) + (order.count(value) - 1) / 2 for value in values]


def test_rewards_of_a_level_vary_as_hand_written_ones_do_and_follow_the_effort() -> None:
    rewards = [quest.reward for seed in range(150) if (quest := made(seed % 60, seed)) is not None]
    coins = [float(reward.coins) for reward in rewards]
    assert 0.33 < statistics.pstdev(coins) / statistics.fmean(coins) < 0.6
    followed = statistics.correlation(ranks([reward.effort for reward in rewards]), ranks(coins))
    assert followed >= 0.95


def test_prices_are_the_studios_where_it_names_any() -> None:
    ring = Item(id="ring", item_kind="ring", value=7.0)
    assert balance.price(ring, PLAIN) == 7.0
    assert balance.price(ring, Settings(item_prices={"ring": 40.0})) == 40.0
    assert balance.price(msgspec.structs.replace(ring, value=-3.0), PLAIN) == 0.0


def test_a_promise_beyond_the_budget_or_the_hour_is_objected_to() -> None:
    world = troubled(1)
    view = View(world.state, PLAIN)
    typical = round(balance.budget(3, PLAIN))
    fair = Reward(experience=1, coins=typical, effort=1.0)
    assert balance.objections(view, fair, 3) == ()
    rich = msgspec.structs.replace(fair, coins=10 * typical)
    assert "level 3 allows" in balance.objections(view, rich, 3)[0]
    assert balance.objections(view, rich, 3, spent=9.0 * typical) == ()
    assert "an hour" in balance.objections(view, fair, 3, repeat_s=60.0)[0]
    item = next(iter(world.state.items))
    dear = View(world.state, Settings(item_prices={world.state.items[item].item_kind: 10_000.0}))
    assert balance.objections(dear, msgspec.structs.replace(fair, items=(item,)), 3)


def test_no_order_of_quests_brings_the_same_goods_round_for_coins() -> None:
    for seed in range(4):
        assert list(loops(market(seed), (), 3, forgets=False)) == []


def test_the_search_would_find_loops_if_givers_forgot_what_they_were_brought() -> None:
    assert any(next(loops(market(seed), (), 3, forgets=True), None) for seed in range(4))
