"""The demo's map and its folk: reachable, consistent, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cli.demo.chart import draw, survey
from app.cli.demo.folk import PERSONS, newcomer, settle, side_for
from app.cli.demo.ground import largest_region, neighbors, read, write
from app.cli.demo.walk import clear
from app.core.errors import Invalid


@given(seed=st.integers(0, 2**32), side=st.sampled_from((80, 128)))
@settings(max_examples=12, deadline=None)
def test_every_place_and_house_can_be_walked_to(seed: int, side: int) -> None:
    chart = draw(seed, side)
    walkable = chart.ground.walkable
    assert walkable.sum() == largest_region(walkable).sum()
    for place in chart.places:
        assert walkable[place.cell[1], place.cell[0]], place
    for (x, y), lane in chart.homes:
        assert walkable[y, x]
        assert lane in {place.id for place in chart.places}
    assert len(chart.homes) >= 6
    assert len({place.id for place in chart.places}) == len(chart.places) >= 20


def test_no_passable_cell_of_a_drawn_map_is_cut_off() -> None:
    chart = draw(7, 128)
    rows = chart.ground.text.splitlines()[4:]
    passable = np.array([[letter in ".GS" for letter in row] for row in rows])
    assert (passable == chart.ground.walkable).all()


def test_same_seed_draws_same_map_and_folk_and_another_seed_does_not() -> None:
    one, same, other = draw(3, 80), draw(3, 80), draw(4, 80)
    assert one.ground.text == same.ground.text != other.ground.text
    assert settle(one, npcs=40, seed=3) == settle(same, npcs=40, seed=3) != settle(one, npcs=40, seed=4)


@pytest.mark.parametrize("npcs", [30, 200])
def test_folk_fit_together(npcs: int) -> None:
    chart = draw(5, side_for(npcs))
    folk = settle(chart, npcs=npcs, seed=5)
    places = {place.id: place for place in folk.locations}
    ids = {entity.id for entity in folk.entities()}
    assert len(folk.npcs) == len(folk.seats) == npcs
    assert len(ids) == len(folk.entities())
    assert len({npc.name for npc in folk.npcs if npc.archetype in PERSONS}) == sum(
        npc.archetype in PERSONS for npc in folk.npcs
    )
    for npc, seat in zip(folk.npcs, folk.seats, strict=True):
        assert {npc.home, npc.work, npc.location} <= places.keys()
        assert npc.faction in ids
        assert (npc.id, npc.archetype) == (seat.npc, seat.role)
        for x, y in (seat.home, seat.work, seat.food):
            assert chart.ground.walkable[y, x]
    assert {item.holder for item in folk.items} <= ids
    assert {fact.subject for fact in folk.facts} <= ids | {"world"}
    assert all(place in places[near].connects for place in places for near in places[place].connects)
    if npcs == 200:
        assert 25 <= len(folk.items) <= 40


def test_locations_connect_into_one_web() -> None:
    folk = settle(draw(9, 128), npcs=60, seed=9)
    connects = {place.id: place.connects for place in folk.locations}
    seen, queue = {"square"}, ["square"]
    while queue:
        for near in connects[queue.pop()]:
            if near not in seen:
                seen.add(near)
                queue.append(near)
    assert seen == connects.keys()


def test_newcomer_takes_over_house_and_work() -> None:
    old = settle(draw(5, 80), npcs=30, seed=5).npcs[0]
    fresh = newcomer(old, 1, 5)
    assert (fresh.home, fresh.work, fresh.alive) == (old.home, old.work, True)
    assert fresh.id != old.id


def test_any_map_gets_a_village_on_its_largest_region() -> None:
    rows = [["." if 1 < x < 38 and 1 < y < 28 and x != 12 else "@" for x in range(40)] for y in range(30)]
    chart = survey(write(rows), seed=1)
    assert len({place.cell for place in chart.places}) == len(chart.places)
    assert all(place.cell[0] > 12 for place in chart.places)
    assert len(settle(chart, npcs=20, seed=1).npcs) == 20


def test_a_map_without_room_is_refused() -> None:
    with pytest.raises(Invalid, match="walkable cells"):
        survey(write(["....", "....", "...."]), seed=1)


def test_a_text_that_is_no_map_is_refused() -> None:
    with pytest.raises(Invalid, match="Moving AI"):
        read("hello")


def test_zones_that_touch_are_neighbors() -> None:
    ground = read(write(["......", ".@@@@.", "......"]))
    zones = ground.zones([(0, 0), (5, 2)])
    assert zones[0, 0] == 0
    assert zones[2, 5] == 1
    assert zones[1, 2] == -1
    assert neighbors(zones, 2) == [{1}, {0}]


def overlap(start: tuple[float, float], end: tuple[float, float], cell: tuple[int, int], margin: float) -> bool:
    """Whether a segment runs through a cell grown by `margin` on each side (Liang and Barsky 1984)."""
    first, last = 0.0, 1.0
    for axis in (0, 1):
        step = end[axis] - start[axis]
        low, high = cell[axis] - margin - start[axis], cell[axis] + 1 + margin - start[axis]
        if abs(step) < 1e-12:
            if low >= 0.0 or high <= 0.0:
                return False
            continue
        enter, leave = sorted((low / step, high / step))
        first, last = max(first, enter), min(last, leave)
    return first < last


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_clear_line_is_one_that_runs_through_no_wall(data: st.DataObject) -> None:
    walls = data.draw(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12))
    walkable = np.ones((8, 8), np.bool_)
    for x, y in walls:
        walkable[y, x] = False
    points = st.tuples(st.floats(0.05, 7.95), st.floats(0.05, 7.95))
    start, end = data.draw(points), data.draw(points)
    if clear(walkable, start, end):
        assert not any(overlap(start, end, wall, -1e-6) for wall in walls)
    else:
        assert any(overlap(start, end, wall, 1e-6) for wall in walls)
