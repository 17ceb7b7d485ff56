"""From records to trajectories: rewards find their decisions, sums equal a loop, and poison is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.learning.datasets import NONE, Collector, Plays, advantages, discounted, held_out

HANDS = np.arange(4, dtype=np.uint32)


def tick(on: Collector, number: int, *, handles: Any = HANDS, world: str = "w", **more: Any) -> None:
    count = len(handles)
    fields = {
        "obs": np.full((count, 3), number, np.float32), "mask": np.ones((count, 2), np.uint8),
        "intents": np.ones(count, np.uint8), "targets": np.full(count, NONE, np.uint8),
        "confidence": np.ones(count, np.float32), "rungs": ("utility", "reflex"),
        "rung_of": np.zeros(count, np.uint8), "broken": np.zeros(count, bool),
    }  # fmt: skip
    on.tick(world, number, more.pop("fingerprint", "f"), handles=np.asarray(handles, np.uint32), **{**fields, **more})


def pay(on: Collector, number: int, npc: int, worth: float, *, world: str = "w", **more: Any) -> None:
    chosen = {"ends": False, **more}
    on.reward(world, number, handles=np.array([npc], np.uint32), reward=np.array([worth], np.float32), **chosen)


def of(plays: Plays, npc: int) -> Plays:
    return plays.at(np.asarray(plays.npc == npc))


def test_rewards_go_to_the_decision_of_their_tick_or_the_last_one_before_it() -> None:
    on = Collector("f")
    for number in (10, 12, 14, 16):
        tick(on, number)
    pay(on, 12, 1, 1.0)
    pay(on, 13, 1, 0.5)
    pay(on, 12, 1, 0.25)
    pay(on, 9, 2, 7.0)
    pay(on, 12, 99, 7.0)
    pay(on, 12, 1, 7.0, world="elsewhere")
    pay(on, 10_000, 3, 7.0)
    plays = on.plays()
    assert of(plays, 1).reward.tolist() == [0.0, 1.75, 0.0, 0.0]
    assert plays.reward.sum() == 1.75
    assert (plays.rewarded, plays.left_out.unmatched_rewards) == (3, 4)


def test_a_story_ends_where_feedback_says_so_and_where_an_npc_was_silent() -> None:
    on = Collector("f")
    for number in (1, 2, 3, 4, 40, 41):
        tick(on, number)
    pay(on, 2, 0, -1.0, ends=True)
    plays = on.plays()
    assert np.diff(of(plays, 0).trajectory).tolist() == [0, 1, 0, 1, 0]
    assert of(plays, 0).ends.tolist() == [False, True, False, False, False, False]
    assert np.diff(of(plays, 1).trajectory).tolist() == [0, 0, 0, 1, 0]
    assert plays.last.sum() == plays.trajectory[-1] + 1


def test_records_may_come_in_any_order_and_twice() -> None:
    on = Collector("f")
    pay(on, 2, 0, 1.0, key="a")
    for number in (3, 1, 2):
        tick(on, number)
    tick(on, 2, intents=np.zeros(4, np.uint8))
    pay(on, 2, 0, 1.0, key="a")
    plays = on.plays()
    assert (of(plays, 0).tick.tolist(), of(plays, 0).intent.tolist()) == ([1, 2, 3], [1, 0, 1])
    assert of(plays, 0).reward.tolist() == [0.0, 1.0, 0.0]
    assert plays.left_out.repeated_feedback == 1


def test_rows_that_teach_nothing_are_left_out_and_counted() -> None:
    on = Collector("f", rows_max=10)
    tick(on, 1)
    tick(on, 2, fingerprint="other")
    tick(on, 3, broken=np.array([True, False, False, False]), intents=np.array([1, NONE, 1, 1], np.uint8))
    tick(on, 4)
    tick(on, 5)
    plays = on.plays()
    assert len(plays) == 10
    left = plays.left_out
    assert (left.other_schema_rows, left.broken_rows, left.oldest_rows) == (4, 2, 4)


def test_poisoned_rewards_change_nothing_for_anyone_else() -> None:
    clean, poisoned = Collector("f"), Collector("f")
    generator = np.random.default_rng(3)
    for number in range(50):
        tick(clean, number)
        tick(poisoned, number, handles=[*HANDS, 77])
        worth = float(generator.normal())
        for on in (clean, poisoned):
            pay(on, number, number % 4, worth)
        for bad in (np.nan, np.inf, -np.inf):
            pay(poisoned, number, number % 4, bad)
    pay(poisoned, 20, 77, 1e30)
    one, other = clean.plays(), poisoned.plays()
    for name in ("npc", "tick", "obs", "intent", "reward", "ends", "trajectory"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    left = other.left_out
    assert (left.absurd_npcs, left.absurd_rows, left.not_finite_rewards) == (1, 50, 150)


def test_a_large_reward_that_is_meant_stays() -> None:
    on = Collector("f")
    for number in range(50):
        tick(on, number)
        pay(on, number, 0, -0.001)
    pay(on, 49, 0, 100.0)
    assert on.plays().reward.max() == pytest.approx(99.999)


def test_nothing_recorded_is_no_play() -> None:
    assert len(Collector("f").plays()) == 0


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8), discount=st.floats(0.0, 1.0),
    trace=st.floats(0.0, 1.0), seed=st.integers(0, 999),
)  # fmt: skip
def test_sums_to_come_equal_a_loop(lengths: list[int], discount: float, trace: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    trajectory = np.repeat(np.arange(len(lengths)), lengths)
    count = len(trajectory)
    last = np.append(trajectory[1:] != trajectory[:-1], True)
    ends = last & (generator.random(count) < 0.5)
    reward, values = generator.normal(size=count).astype(np.float32), generator.normal(size=count)
    plays = Plays(
        world=np.zeros(count, np.int32), npc=trajectory.astype(np.uint32), tick=np.arange(count),
        obs=np.zeros((count, 1), np.float32), mask=np.ones((count, 2), np.uint8), intent=np.zeros(count, np.uint8),
        target=np.zeros(count, np.uint8), confidence=np.ones(count, np.float32), rung=np.zeros(count, np.uint8),
        reward=reward, ends=ends, trajectory=trajectory, worlds=("w",), rungs=("r",), rewarded=0,
        left_out=Collector("f").left_out,
    )  # fmt: skip
    returns, gains = np.zeros(count), np.zeros(count)
    for row in reversed(range(count)):
        goes_on = not last[row]
        returns[row] = reward[row] + (discount * returns[row + 1] if goes_on else 0.0)
        if last[row] and not ends[row]:
            continue  # what came of it was not recorded
        surprise = reward[row] - values[row] + (discount * values[row + 1] if goes_on else 0.0)
        gains[row] = surprise + (discount * trace * gains[row + 1] if goes_on else 0.0)
    assert discounted(reward.astype(np.float64), trajectory, discount) == pytest.approx(returns, abs=1e-6)
    assert advantages(plays, values, discount=discount, trace=trace) == pytest.approx(gains, abs=1e-6)


def test_held_out_are_whole_trajectories_that_more_play_does_not_move() -> None:
    few, many = Collector("f"), Collector("f")
    for number in range(30):
        tick(few, number, handles=np.arange(200))
        tick(many, number, handles=np.arange(400))
    short, long = few.plays(), many.plays()
    first, second = held_out(short, 0.2, 7), held_out(long, 0.2, 7)
    assert 0.1 < first.mean() < 0.3
    assert len(np.unique(short.npc[first])) * 30 == first.sum(), "whole"
    assert np.array_equal(np.unique(short.npc[first]), np.unique(long.npc[second & (long.npc < 200)]))
    assert not np.array_equal(held_out(short, 0.2, 8), first)
