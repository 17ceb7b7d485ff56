"""Steering, schedules and squads: the kernels against their numpy twins, and both against plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.behavior import nudges, schedules, squads, steering
from app.modules.behavior.considerations import Curve
from app.modules.behavior.messages import SteeringRule
from app.modules.behavior.schedules import Block, Schedule
from app.modules.behavior.schema import NONE
from app.modules.behavior.squads import UNKNOWN
from tests.modules.behavior.stage import LAYOUT, observations

SLOW, FAST = nudges.Slow(), nudges.Fast()
NAMES = LAYOUT.feature_names
PLAIN = [
    name
    for name in NAMES
    if not name.startswith(("is_", "told_", "day_")) and LAYOUT.features[LAYOUT.columns[name]].scale == "linear"
]
ENDS = st.floats(0.0, 1.0).map(lambda value: round(value, 2))
CURVES = (
    st.tuples(st.sampled_from(PLAIN), ENDS, ENDS).filter(lambda parts: parts[1] != parts[2]).map(lambda p: Curve(*p))
)
RULES = st.lists(
    st.builds(
        SteeringRule,
        name=st.sampled_from("abcdef"),
        intent=st.sampled_from(LAYOUT.intent_names),
        roles=st.lists(st.sampled_from(LAYOUT.roles), max_size=3, unique=True).map(tuple),
        when=st.lists(CURVES, max_size=3).map(tuple),
        bonus=st.floats(-2.0, 2.0, width=32),
        veto=st.just(False),
    ).flatmap(lambda rule: st.sampled_from([rule, steering.msgspec.structs.replace(rule, bonus=0.0, veto=True)])),
    min_size=1,
    max_size=6,
)
HOUR = st.integers(0, 24).map(float)
BLOCKS = st.builds(
    Block,
    start=HOUR,
    to=HOUR,
    intent=st.sampled_from(LAYOUT.intent_names),
    days=st.lists(st.integers(0, 6), max_size=3).map(tuple),
    when=st.lists(CURVES, max_size=2).map(tuple),
)
SCHEDULES = st.lists(
    st.builds(
        Schedule,
        name=st.just("x"),
        jitter_hours=st.floats(0.0, 6.0),
        needs=st.lists(CURVES, max_size=2).map(tuple),
        hours=st.lists(BLOCKS, min_size=1, max_size=5).map(tuple),
    ),
    min_size=1,
    max_size=3,
)


def compiled(found: list[Schedule]) -> schedules.Timetable:
    named = [("f", schedules.msgspec.structs.replace(each, name=str(at))) for at, each in enumerate(found)]
    return schedules.compile_timetable(named, LAYOUT, [])


def at_hours(times: NDArray[np.float64]) -> NDArray[np.float32]:
    obs = observations(len(times))
    obs[:, LAYOUT.columns["day_sin"]] = np.sin(times * math.tau / 24)
    obs[:, LAYOUT.columns["day_cos"]] = np.cos(times * math.tau / 24)
    return obs


def steer(passes: nudges.Slow, rules: steering.Steering, obs: Any, mask: Any) -> list[bytes]:
    bonus, laid = np.zeros(mask.shape, np.float32), np.full_like(mask, 7)
    passes.steer(rules, obs, mask, bonus, laid)
    return [bonus.tobytes(), laid.tobytes()]


@given(RULES, st.integers(0, 2**32 - 1), st.integers(0, 90))
def test_kernel_and_twin_steer_with_the_same_bits(found: list[SteeringRule], seed: int, count: int) -> None:
    rules = steering.compile_steering(found, LAYOUT)
    obs = observations(count, seed=seed)
    mask = (np.random.default_rng(seed).random((count, 12)) < 0.4).astype(np.uint8)
    assert steer(FAST, rules, obs, mask) == steer(SLOW, rules, obs, mask)


@given(RULES, st.integers(0, 2**32 - 1))
def test_steering_is_what_its_words_say(found: list[SteeringRule], seed: int) -> None:
    rules = steering.compile_steering(found, LAYOUT)
    obs, mask = observations(4, seed=seed), (np.random.default_rng(seed).random((4, 12)) < 0.5).astype(np.uint8)
    bonus, laid = np.zeros((4, 12), np.float32), np.empty((4, 12), np.uint8)
    SLOW.steer(rules, obs, mask, bonus, laid)
    for row in range(4):
        wanted, vetoed = np.zeros(12), set()
        for rule in {rule.name: rule for rule in found}.values():
            if rule not in rules.rules:
                continue
            product = 1.0 if not rule.roles else sum(obs[row, LAYOUT.columns[f"is_{role}"]] for role in rule.roles)
            for curve in rule.when:
                feature = LAYOUT.features[LAYOUT.columns[curve.feature]]
                start, end = feature.encode(curve.start), feature.encode(curve.end)
                product *= min(1.0, max(0.0, (obs[row, LAYOUT.columns[curve.feature]] - start) / (end - start)))
            if rule.veto:
                if abs(product - 0.5) < 1e-4:
                    return
                vetoed |= {LAYOUT.intent_index[rule.intent]} if product > 0.5 else set()
            else:
                wanted[LAYOUT.intent_index[rule.intent]] += product * rule.bonus
        np.testing.assert_allclose(bonus[row], wanted, atol=1e-3)
        left = [intent for intent in range(12) if mask[row, intent] and intent not in vetoed]
        assert np.flatnonzero(laid[row]).tolist() == (left or np.flatnonzero(mask[row]).tolist())


def test_a_rule_that_says_nothing_or_names_what_is_not_there_is_refused() -> None:
    for rule, said in (
        (SteeringRule(name="a", intent="fle", bonus=1.0), "did you mean 'flee'"),
        (SteeringRule(name="a", intent="flee", roles=("gard",), bonus=1.0), "did you mean 'guard'"),
        (SteeringRule(name="a", intent="flee", when=(Curve("hpp", 0, 1),), bonus=1.0), "did you mean 'hp'"),
        (SteeringRule(name="a", intent="flee", when=(Curve("hp", 1, 1),), bonus=1.0), "let from and to differ"),
        (SteeringRule(name="a", intent="flee"), "give it one of them"),
        (SteeringRule(name="a", intent="flee", bonus=1.0, veto=True), "give it one of them"),
    ):
        with pytest.raises(Invalid) as caught:
            steering.check(rule, LAYOUT)
        assert said in caught.value.hint
        assert "'a'" in caught.value.message
        assert steering.compile_steering([rule], LAYOUT).unfit == ("a",)


@given(st.lists(st.floats(0.0, 23.999), min_size=1, max_size=40))
def test_the_clock_is_read_back_from_its_sine_and_cosine(times: list[float]) -> None:
    wanted = np.array(times)
    obs = at_hours(wanted)
    found = schedules.hours(obs[:, 13], obs[:, 14])
    gap = np.abs(found - wanted)
    assert (np.minimum(gap, 24.0 - gap) < 1e-3).all()
    assert ((found >= 0) & (found < 24)).all()
    assert schedules.hours(np.zeros(1, np.float32), np.zeros(1, np.float32))[0] == -1.0


@given(SCHEDULES, st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(0, 6))
def test_kernel_and_twin_keep_the_same_hours_however_rows_are_cut(
    found: list[Schedule], seed: int, count: int, day: int
) -> None:
    table = compiled(found)
    generator = np.random.default_rng(seed)
    obs = at_hours(generator.random(count) * 24)
    obs[generator.random(count) < 0.1, LAYOUT.block("told").start] = 1.0
    obs[generator.random(count) < 0.1, 13:15] = 0.0
    which = generator.integers(-1, len(found), count).astype(np.int16)
    handles = generator.integers(0, 2**32, count, dtype=np.uint32)
    start = np.where(generator.random(count) < 0.2, 3, -1).astype(np.int16)
    slow, fast = start.copy(), start.copy()
    SLOW.ask(table, obs, which, handles, day, slow)
    FAST.ask(table, obs, which, handles, day, fast)
    assert fast.tolist() == slow.tolist()
    cut = int(generator.integers(0, count))
    table.ask(obs, which, handles, day, start, cut, count)
    table.ask(obs, which, handles, day, start, 0, cut)
    assert start.tolist() == slow.tolist()


@given(SCHEDULES, st.floats(0.0, 23.99), st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_a_schedule_is_what_its_words_say(found: list[Schedule], time: float, handle: int, day: int) -> None:
    table, schedule = compiled(found[:1]), found[0]
    obs = at_hours(np.array([time]))
    natural = {name: float(obs[0, at]) for name, at in LAYOUT.columns.items()}

    def height(curve: Curve) -> float:
        feature = LAYOUT.features[LAYOUT.columns[curve.feature]]
        start, end = feature.encode(curve.start), feature.encode(curve.end)
        return min(1.0, max(0.0, (natural[curve.feature] - start) / (end - start)))

    late = float(schedules.lateness(np.array([handle], np.uint32))[0])
    assert -1.0 <= late < 1.0
    mine = time + late * schedule.jitter_hours
    days, mine = (day - 1, mine + 24) if mine < 0 else (day + 1, mine - 24) if mine >= 24 else (day, mine)
    edges = [edge for block in schedule.hours for edge in (block.start, block.to, 0.0, 24.0)]
    heights = [math.prod(map(height, block.when)) for block in schedule.hours] + list(map(height, schedule.needs))
    if min(abs(mine - edge) for edge in edges) < 2e-3 or any(abs(each - 0.5) < 1e-3 for each in heights):
        return
    wanted = -1
    for block in schedule.hours:
        wraps = block.to <= block.start
        inside = mine >= block.start or mine < block.to if wraps else block.start <= mine < block.to
        since = days - 1 if wraps and mine < block.start else days
        if inside and (not block.days or since % 7 in block.days) and math.prod(map(height, block.when)) > 0.5:
            wanted = LAYOUT.intent_index[block.intent]
            break
    if any(height(need) > 0.5 for need in schedule.needs):
        wanted = -1
    told = np.array([-1], np.int16)
    SLOW.ask(table, obs, np.zeros(1, np.int16), np.array([handle], np.uint32), day, told)
    assert told[0] == wanted


@st.composite
def fights(draw: st.DrawFn) -> tuple[Any, ...]:
    count, width, teams = draw(st.integers(1, 24)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    foes = np.array([UNKNOWN, 1, 2, 3, 4], np.uint32)
    return (
        generator.choice(np.array([NONE, *range(width)], np.uint8), count),
        generator.integers(0, 2, count).astype(np.uint8),
        1,
        generator.choice(foes, (count, width)),
        (generator.random((count, width)) < 0.8).astype(np.uint8),
        np.round(generator.random((count, width)), 1).astype(np.float32),
        generator.integers(-1, teams, count).astype(np.int32),
        generator.choice(foes, teams),
        np.empty(teams, np.uint32),
    )


@given(fights(), st.randoms())
def test_squads_gather_alike_in_kernel_and_twin_and_in_any_order(fight: tuple[Any, ...], chance: Any) -> None:
    targets, intents, attack, candidates, may, threat, squad, focus, chosen = fight
    slow, fast, slow_chosen = targets.copy(), targets.copy(), chosen.copy()
    SLOW.gather(slow, intents, attack, candidates, may, threat, squad, focus, slow_chosen)
    FAST.gather(fast, intents, attack, candidates, may, threat, squad, focus, chosen)
    assert fast.tolist() == slow.tolist()
    assert chosen.tolist() == slow_chosen.tolist()
    order = list(range(len(targets)))
    chance.shuffle(order)
    mixed = targets[order].copy()
    SLOW.gather(
        mixed, intents[order], attack, candidates[order], may[order], threat[order], squad[order], focus, chosen
    )
    assert mixed.tolist() == slow[order].tolist()


@given(fights())
def test_a_squad_s_foe_is_the_author_s_or_the_most_wanted_one(fight: tuple[Any, ...]) -> None:
    targets, intents, attack, candidates, may, threat, squad, focus, chosen = fight
    after = targets.copy()
    squads.gather(after, intents, attack, candidates, may, threat, squad, focus, chosen)
    for team in range(len(focus)):
        rows = [row for row in range(len(targets)) if squad[row] == team and intents[row] == attack]
        within = [row for row in rows if any(may[row] & (candidates[row] == focus[team]))]
        votes: dict[int, list[float]] = {}
        for row in rows:
            if targets[row] != NONE and candidates[row, targets[row]] != UNKNOWN:
                votes.setdefault(int(candidates[row, targets[row]]), []).append(float(threat[row, targets[row]]))
        best = max(votes, key=lambda foe: (len(votes[foe]), max(votes[foe]), -foe), default=UNKNOWN)
        wanted = int(focus[team]) if within and focus[team] != UNKNOWN else best
        for row in rows:
            places = np.flatnonzero((candidates[row] == wanted) & (may[row] != 0)) if wanted != UNKNOWN else []
            assert after[row] == (places[0] if len(places) else targets[row])
    others = (intents != attack) | (squad < 0)
    assert after[others].tolist() == targets[others].tolist()
