"""The bodies of the demo's village: what happens to them is told once, and custom gives way to need."""

from __future__ import annotations

import numpy as np
import pytest

from app.cli.demo.chart import draw
from app.cli.demo.folk import settle
from app.cli.demo.life import DAY_S, GAME_DAY_S, SETTLED_S, Life, begin
from app.cli.demo.save import pack, unpack
from app.learning.envs.village import ATTACK, HOME, PREDATOR, REST, VILLAGER, WANDER, WORK

TICK_S = 0.1


@pytest.fixture
def life() -> Life:
    chart = draw(7, 80)
    return begin(chart, settle(chart, npcs=40, seed=7).seats, seed=7)


def row_of(life: Life, role: int) -> int:
    return int(np.flatnonzero(life.village.role[0] == role)[0])


def put(life: Life, row: int, cell: tuple[int, int]) -> None:
    life.village.x[0, row], life.village.y[0, row] = cell[0] + 0.5, cell[1] + 0.5


def test_a_killing_is_told_once_with_killer_and_victim(life: Life) -> None:
    wolf, victim = row_of(life, PREDATOR), row_of(life, VILLAGER)
    put(life, wolf, life.cell(victim))
    life.village.hp[0, victim] = 0.001
    life.look()
    life.intents[0, wolf] = ATTACK
    life.slots[0, wolf] = int(np.flatnonzero(life.senses.targets[0, wolf] == victim)[0])
    told = [happened for _ in range(5) for happened in life.pass_time(TICK_S)]
    killed = [happened for happened in told if happened.verb == "killed"]
    assert [(each.actor, each.target) for each in killed] == [(life.ids[wolf], life.ids[victim])]
    assert life.alive[victim] == 0


def test_whom_a_player_slays_dies_without_being_told_twice(life: Life) -> None:
    wolf = row_of(life, PREDATOR)
    life.look()
    life.slay(wolf)
    told = [happened for _ in range(3) for happened in life.pass_time(TICK_S)]
    assert life.alive[wolf] == 0
    assert not [happened for happened in told if happened.verb in ("killed", "died")]


def test_a_passer_by_is_not_told_but_who_stays_is(life: Life) -> None:
    row = row_of(life, VILLAGER)
    mill = next(place for place in life.chart.places if place.id == "mill")
    life.look()
    life.pass_time(TICK_S)
    put(life, row, mill.cell)
    ticks = round(SETTLED_S / TICK_S)
    early = [each for _ in range(ticks - 2) for each in life.pass_time(TICK_S) if each.actor == life.ids[row]]
    late = [each for _ in range(4) for each in life.pass_time(TICK_S) if each.actor == life.ids[row]]
    assert early == []
    assert [(each.verb, each.location) for each in late] == [("moved", "mill")]


def test_custom_sends_people_to_work_by_day_and_home_by_night(life: Life) -> None:
    row = row_of(life, VILLAGER)
    life.village.hunger[:] = 0.1
    life.village.clock_s[:] = DAY_S * 10.0 / 24.0
    life.look()
    assert life.village.told[0, row] == WORK
    life.village.clock_s[:] = DAY_S * 23.5 / 24.0
    put(life, row, life.chart.places[0].cell)
    life.look()
    assert life.village.told[0, row] == HOME
    life.village.x[0, row], life.village.y[0, row] = life.village.home_x[0, row], life.village.home_y[0, row]
    life.look()
    assert life.village.told[0, row] == REST


def test_the_hungry_are_not_held_to_their_work_and_animals_to_nothing(life: Life) -> None:
    row = row_of(life, VILLAGER)
    life.village.clock_s[:] = DAY_S * 10.0 / 24.0
    life.village.hunger[0, row] = 0.9
    life.look()
    assert life.village.told[0, row] == -1
    assert (life.village.told[0, life.village.role[0] > VILLAGER] == -1).all()


def test_midnight_begins_a_new_day_and_game_time_never_runs_back(life: Life) -> None:
    life.village.clock_s[:] = DAY_S - 0.25
    before = life.game_s
    seen = []
    for _ in range(5):
        life.pass_time(TICK_S)
        seen.append(life.game_s)
    assert seen == sorted(seen)
    assert seen[0] > before
    assert life.days == 1
    assert GAME_DAY_S <= seen[-1] < GAME_DAY_S + 200.0


def test_every_goal_can_be_walked_to(life: Life) -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        life.look()
        life.obey(generator.integers(0, 12, life.count, dtype=np.uint8), np.full(life.count, 255, np.uint8))
        goals = life.aim_all()
        assert life.chart.ground.walkable[goals[:, 1], goals[:, 0]].all()


def test_people_stroll_in_town_and_animals_beyond_the_palisade(life: Life) -> None:
    life.look()
    life.obey(np.full(life.count, WANDER, np.uint8), np.full(life.count, 255, np.uint8))
    goals = life.aim_all()
    town = life.chart.town[goals[:, 1], goals[:, 0]]
    people = life.village.role[0] <= VILLAGER
    assert town[people].all()
    assert not town[~people].any()


def test_bodies_survive_being_saved(life: Life) -> None:
    life.look()
    life.pass_time(TICK_S)
    again = unpack(pack(life.village))
    assert all((one == other).all() or np.isnan(one).any() for one, other in zip(again, life.village, strict=True))
