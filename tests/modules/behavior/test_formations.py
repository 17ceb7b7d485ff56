"""Formations: the shapes, who takes which place, and that ways do not cross."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.modules.behavior import formations
from app.world.entities import Formation, Squad

SHAPES: tuple[Formation, ...] = ("line", "wedge", "column", "circle", "box")
SHAPE = st.sampled_from(SHAPES)
POINT = st.tuples(st.floats(-50, 50), st.floats(-50, 50))


@given(SHAPE, st.integers(1, 64), st.floats(0.5, 8.0))
def test_places_are_apart_and_the_leader_s_is_first(shape: Formation, members: int, spacing: float) -> None:
    places = formations.offsets(shape, members, spacing)
    assert places.shape == (members, 2)
    assert places[0].tolist() == [0.0, 0.0]
    gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert (gaps + np.eye(members) * 1e9).min() > 0.6 * spacing


def test_shapes_are_what_they_are_called() -> None:
    shapes = {shape: formations.offsets(shape, 5, 2.0).tolist() for shape in SHAPES}
    assert shapes["line"] == [[0, 0], [0, 2], [0, -2], [0, 4], [0, -4]]
    assert shapes["wedge"] == [[0, 0], [-2, 2], [-2, -2], [-4, 4], [-4, -4]]
    assert shapes["column"] == [[0, 0], [-2, 0], [-4, 0], [-6, 0], [-8, 0]]
    assert shapes["box"] == [[0, 0], [0, 2], [0, -2], [-2, 0], [-2, 2]]
    assert np.hypot(*np.array(shapes["circle"])[1:].T) == pytest.approx([2.0] * 4)


def test_a_place_ahead_lies_where_the_leader_looks() -> None:
    ahead_and_left = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = formations.placed(ahead_and_left, 5.0, 5.0, np.pi / 2)
    assert found == pytest.approx(np.array([[5.0, 6.0], [4.0, 5.0]]))


@given(SHAPE, st.integers(1, 20), st.data())
def test_when_one_falls_one_moves_at_most(shape: Formation, members: int, data: st.DataObject) -> None:
    ids = tuple(f"m{number}" for number in range(members))
    roles = data.draw(st.dictionaries(st.sampled_from(ids), st.sampled_from(["tank", "flank", "support", "bard"])))
    squad = Squad(id="s", members=ids, leader=data.draw(st.sampled_from(["", *ids])), formation=shape, roles=roles)
    fallen = data.draw(st.sets(st.sampled_from(ids), max_size=members - 1))
    before = formations.seats(squad, fallen)
    assert sorted(before.values()) == list(range(members - len(fallen)))
    if len(before) > 1:
        falls = data.draw(st.sampled_from(sorted(before)))
        after = formations.seats(squad, {*fallen, falls})
        assert sum(after[member] != before[member] for member in after) <= len(fallen) + 1
        if not fallen:
            assert sum(after[member] != before[member] for member in after) <= 1


def test_tanks_go_ahead_and_support_behind() -> None:
    ids = tuple(f"m{number}" for number in range(9))
    roles = {"m7": "tank", "m8": "tank", "m1": "support"}
    squad = Squad(id="s", members=ids, leader="m0", formation="box", roles=roles)
    seats = formations.seats(squad, ())
    rank = formations.offsets("box", 9, 1.0)[:, 0]
    assert [rank[seats[member]] for member in ("m7", "m8", "m1")] == [0.0, 0.0, -2.0]


@given(st.lists(POINT, min_size=1, max_size=6), st.randoms())
def test_few_take_the_shortest_ways_there_are(points: list[tuple[float, float]], chance: object) -> None:
    stand = np.array(points)
    goals = formations.offsets("box", len(points), 3.0)
    chosen = formations.by_way(stand, goals)
    assert sorted(chosen) == list(range(len(points)))

    def length(order: tuple[int, ...] | list[int]) -> float:
        return float(np.hypot(*(stand - goals[list(order)]).T).sum())

    assert length(chosen) == pytest.approx(min(map(length, itertools.permutations(range(len(points))))))


@given(st.lists(POINT, min_size=9, max_size=30, unique=True), SHAPE)
def test_the_ways_of_many_do_not_cross(points: list[tuple[float, float]], shape: Formation) -> None:
    stand = np.array(points)
    goals = formations.placed(formations.offsets(shape, len(points), 3.0), 70.0, 0.0, 0.0)
    chosen = formations.by_way(stand, goals)
    assert sorted(chosen) == list(range(len(points)))
    for (a, b), (c, d) in itertools.combinations(zip(stand, goals[chosen], strict=True), 2):
        sides = [_side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)]
        assume(min(map(abs, sides)) > 1e-3)  # ends that all but touch another way cross it or not by rounding
        assert not (sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0)


def _side(a: np.ndarray, b: np.ndarray, p: np.ndarray) -> float:
    return float((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]))
