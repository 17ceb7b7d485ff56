"""The village's rules of life, and that what it shows is the module's schema."""

from __future__ import annotations

import numpy as np
import pytest

from app.learning.envs import village as life
from app.learning.envs.effects import goals, move, resolve
from app.learning.envs.environment import Environment
from app.learning.envs.sensing import Senses
from app.learning.envs.village import Village, allocate
from app.modules.behavior import considerations, logic, schema

LAYOUT = schema.load("open_world")


def pair(first: int, second: int, *, apart: float = 1.0) -> tuple[Village, Senses]:
    """Two NPCs `apart` cells from each other at noon, at their places."""
    village = allocate(1, 2)
    village.role[0] = [first, second]
    village.strength[0] = life.STRENGTHS[village.role[0]]
    village.x[0], village.y[0] = [60.0, 60.0 + apart], 60.0
    for place in (village.home_x, village.work_x, village.food_x):
        place[:] = village.x
    for place in (village.home_y, village.work_y, village.food_y):
        place[:] = village.y
    village.clock_s[:] = 120.0
    senses = Senses(1, 2)
    senses.look(village)
    return village, senses


def act(village: Village, senses: Senses, intents: list[int], slots: list[int], seconds: float = 1.0) -> None:
    for _ in range(round(seconds / 0.5)):
        chosen, aims = np.array([intents], np.int8), np.array([slots], np.int8)
        out = np.zeros((1, 2, 3), np.float32)
        goals(village, chosen, aims, senses.targets, out)
        move(village, out, 0.5)
        resolve(village, chosen, aims, senses.targets, 0.5)
        senses.look(village)


def test_rows_intents_roles_and_aims_are_the_schema() -> None:
    assert LAYOUT.intent_names == life.INTENTS
    assert LAYOUT.roles == life.ROLES
    assert tuple(intent.slots for intent in LAYOUT.intents) == life.AIMS
    assert len(LAYOUT.features) == life.FEATURES
    assert LAYOUT.slots == life.SLOTS


def test_what_is_seen_reads_back_through_the_schema() -> None:
    village, senses = pair(life.VILLAGER, life.PREDATOR, apart=10.0)
    village.gold[0, 0], village.hunger[0, 0], village.told[0, 0] = 25.0, 0.4, life.HOME
    senses.look(village)
    seen = LAYOUT.decode(senses.obs[0, 0])
    assert seen["gold"] == pytest.approx(25.0, abs=0.1)
    assert seen["hunger"] == pytest.approx(0.4)
    assert seen["slot0_distance"] == pytest.approx(10.0, abs=0.1)
    assert seen["slot0_threat"] > 0.2
    assert (seen["threats_near"], seen["quarry_near"], seen["is_villager"]) == (1.0, 0.0, 1.0)
    assert (seen["told_home"], seen["doing_rest"], seen["is_night"]) == (1.0, 1.0, 0.0)
    assert LAYOUT.decode(senses.obs[0, 1])["slot0_threat"] < 0.0


def test_a_predator_kills_feeds_and_its_victim_returns() -> None:
    village, senses = pair(life.PREDATOR, life.PREY)
    act(village, senses, [life.ATTACK, life.REST], [0, -1], 10.0)
    assert village.alive[0, 1] == 0
    assert village.tally[0, :, life.KILLS].tolist() == [1.0, 0.0]
    village.hunger[0, 0] = 0.9
    act(village, senses, [life.EAT, life.REST], [-1, -1], 4.0)
    assert village.hunger[0, 0] < 0.5
    act(village, senses, [life.REST, life.REST], [-1, -1], 40.0)
    assert village.alive[0, 1] == 1


def test_a_guard_who_brings_a_wanted_predator_down_is_counted() -> None:
    village, senses = pair(life.GUARD, life.PREDATOR)
    village.wanted_s[0, 1], village.hp[0, 1] = 30.0, 0.2
    act(village, senses, [life.ATTACK, life.REST], [0, -1], 4.0)
    assert village.tally[0, 0, life.STOPPED] == 1.0


def test_trade_moves_goods_one_way_and_gold_the_other_and_makes_neither() -> None:
    village, senses = pair(life.VILLAGER, life.MERCHANT)
    village.stock[0], village.gold[0] = [6.0, 1.0], [2.0, 20.0]
    senses.look(village)
    assert senses.mask[0, 0, life.TRADE] == 1
    act(village, senses, [life.TRADE, life.REST], [2, -1], 5.0)
    assert village.stock[0].tolist() == pytest.approx([3.0, 4.0], abs=0.01)
    assert village.gold[0].tolist() == pytest.approx([5.0, 17.0], abs=0.01)


def test_flight_widens_the_gap_and_a_walk_ends_at_its_goal() -> None:
    village, senses = pair(life.PREY, life.PREDATOR, apart=4.0)
    act(village, senses, [life.FLEE, life.REST], [0, -1], 3.0)
    assert village.x[0, 1] - village.x[0, 0] > 10.0
    village.home_x[0, 1] = 66.0
    act(village, senses, [life.REST, life.HOME], [-1, -1], 10.0)
    assert village.x[0, 1] == pytest.approx(66.0)


def test_slots_hold_the_nearest_as_a_slow_search_finds_them() -> None:
    environment = Environment(1, 40, 3)
    village, targets = environment.village, environment.senses.targets
    hunted = {(life.GUARD, life.PREDATOR)} | {(life.PREDATOR, role) for role in (0, 1, 2, 4)}
    for i in range(40):
        gaps = np.hypot(village.x[0] - village.x[0, i], village.y[0] - village.y[0, i])
        role = int(village.role[0, i])
        foes = [
            j
            for j in range(40)
            if gaps[j] < life.SIGHT_CELLS
            and {(role, int(village.role[0, j])), (int(village.role[0, j]), role)} & hunted
        ]
        expected = sorted(foes, key=lambda j: gaps[j])[:2]
        assert [j for j in targets[0, i, :2].tolist() if j >= 0] == expected


def test_the_same_seed_lives_the_same_life_in_range() -> None:
    brain = logic.rule_brain(considerations.load("open_world", LAYOUT))
    ends = []
    for _ in range(2):
        environment = Environment(4, 24, 11)
        for _ in range(120):
            environment.step(*brain(*environment.observe()))
            obs, mask = environment.observe()
            assert np.isfinite(obs).all()
            assert (obs >= LAYOUT.low).all()
            assert (obs <= LAYOUT.high).all()
            assert mask.any(axis=1).all()
        ends.append(environment.village.x.tobytes() + environment.village.gold.tobytes())
    assert ends[0] == ends[1]
