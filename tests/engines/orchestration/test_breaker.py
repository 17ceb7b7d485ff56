"""When an engine rests and when it is tried again, by the seconds of a clock that a test holds."""

from __future__ import annotations

import random

import pytest

from app.core.engines import Breaker as Limits
from app.core.errors import Failure
from app.engines.orchestration.breaker import Breaker, State

LIMITS = Limits(
    failures_max=3, window_calls=10, window_calls_min=6, failures_share_max=0.5, rest_ms=4_000.0, rest_ms_max=10_000.0,
    alert_rest_ms=60_000.0, alert_rest_ms_max=200_000.0, retry_after_ms_max=30_000.0,
)  # fmt: skip


def fail(breaker: Breaker, now_s: float, failure: Failure = "server", *, retry_after_s: float | None = None) -> None:
    probe = breaker.begin(now_s)
    assert probe is not None
    breaker.fail(now_s, failure, "it fell over", probe=probe, retry_after_s=retry_after_s)


def opened(times: int = 3) -> Breaker:
    breaker = Breaker(LIMITS)
    for _ in range(times):
        fail(breaker, 0.0)
    return breaker


def test_it_opens_after_failures_in_a_row_and_closes_with_the_first_success() -> None:
    breaker = opened(2)
    assert breaker.state(0.0) is State.CLOSED
    fail(breaker, 0.0)
    assert breaker.state(3.9) is State.OPEN
    assert breaker.begin(3.9) is None
    assert breaker.state(4.0) is State.HALF_OPEN
    assert breaker.begin(4.0) is True
    assert breaker.succeed()
    assert breaker.state(4.0) is State.CLOSED
    assert breaker.reason == ""


def test_half_open_lets_one_call_through_until_it_is_over() -> None:
    breaker = opened()
    assert breaker.begin(5.0) is True
    assert [breaker.begin(5.0) for _ in range(3)] == [None, None, None]
    breaker.leave(probe=True)
    assert breaker.begin(5.0) is True


def test_a_call_from_before_the_rest_does_not_end_the_probe() -> None:
    breaker = opened()
    assert breaker.begin(5.0) is True
    breaker.leave(probe=False)
    assert breaker.begin(5.0) is None


def test_a_probe_that_fails_doubles_the_rest_up_to_a_bound() -> None:
    breaker, now_s, rests = opened(), 0.0, []
    for _ in range(4):
        rests.append(breaker.rests_s(now_s))
        now_s += rests[-1]
        fail(breaker, now_s)
    assert rests == [4.0, 8.0, 10.0, 10.0]


def test_a_large_share_of_failures_opens_it_though_none_follow_one_another() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(3):
        assert breaker.state(0.0) is State.CLOSED
        breaker.begin(0.0)
        breaker.succeed()
        fail(breaker, 0.0)
    assert breaker.state(0.0) is State.OPEN


@pytest.mark.parametrize("failure", ["unauthorized", "unpaid"])
def test_a_refused_key_opens_it_at_once_for_minutes_and_longer_each_time(failure: Failure) -> None:
    breaker, now_s, rests = Breaker(LIMITS), 0.0, []
    for _ in range(4):
        fail(breaker, now_s, failure)
        assert breaker.alert == "it fell over"
        rests.append(breaker.rests_s(now_s))
        now_s += rests[-1]
    assert rests == [60.0, 120.0, 200.0, 200.0]
    breaker.begin(now_s)
    breaker.succeed()
    assert breaker.alert == ""


def test_a_refused_request_is_not_the_engines_fault() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(20):
        fail(breaker, 0.0, "refused")
    assert breaker.state(0.0) is State.CLOSED


@pytest.mark.parametrize(("asked_s", "rests_s"), [(7.0, 7.0), (3_600.0, 30.0), (0.0, 0.0)])
def test_retry_after_is_kept_within_a_bound(asked_s: float, rests_s: float) -> None:
    breaker = Breaker(LIMITS)
    fail(breaker, 0.0, "rate_limited", retry_after_s=asked_s)
    assert breaker.rests_s(0.0) == rests_s


def test_whatever_happens_no_two_probes_run_and_every_rest_ends() -> None:
    """A thousand calls with random ends: a breaker is neither stuck open nor open to a crowd."""
    dice, breaker, now_s = random.Random(7), Breaker(LIMITS), 0.0
    running: list[bool] = []
    for _ in range(2_000):
        now_s += dice.random() * 3.0
        probe = breaker.begin(now_s)
        if probe is not None:
            running.append(probe)
        assert sum(running) <= 1 or breaker.state(now_s) is State.CLOSED
        while running and dice.random() < 0.6:
            ended = running.pop(dice.randrange(len(running)))
            match dice.randrange(4):
                case 0:
                    breaker.succeed()
                case 1:
                    breaker.leave(probe=ended)
                case _:
                    failure: Failure = dice.choice(["server", "unauthorized", "refused", "rate_limited"])
                    breaker.fail(now_s, failure, "x", probe=ended, retry_after_s=dice.choice([None, 5.0]))
    while running:
        breaker.leave(probe=running.pop())
    assert breaker.begin(now_s + 201.0) is not None
