"""Welding, winding and convexity over random meshes, against slow looks at every pair and corner."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding.formats import seams
from app.modules.pathfinding.formats.polygons import Draft, Places, mesh
from app.modules.pathfinding.formats.weld import WELD_UNITS, weld
from app.modules.pathfinding.surfaces import Mesh, Terrain
from tests.modules.pathfinding.formats.cases import Limits, neighbors, polygons

LIMITS = Limits(vertices_max=4_096, polygons_max=1_024)
TERRAINS = (Terrain("blocked", math.inf), Terrain("ground", 1.0))
PLACES = Places(
    vertex=lambda vertex: f"vertex {vertex}",
    polygon=lambda polygon: f"polygon {polygon}",
    corner=lambda polygon, corner: f"corner {corner} of polygon {polygon}",
)


def join(vertices: list[tuple[float, float, float]], rings: list[list[int]], up: int = 1) -> Mesh:
    draft = Draft(
        np.array(vertices, np.float64).reshape(-1, 3),
        np.array([len(ring) for ring in rings], np.int64),
        np.array([corner for ring in rings for corner in ring], np.int64),
        np.ones(len(rings), np.int32),
        up,
    )
    return mesh(draft, PLACES, TERRAINS, (), LIMITS)


def on_plane(points: list[tuple[float, float]]) -> list[tuple[float, float, float]]:
    return [(x, 0.0, z) for x, z in points]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40), spread=st.sampled_from([0.5, 0.9, 1.5, 8.0]))
def test_vertices_are_welded_with_all_that_are_near_and_never_with_far_ones(
    seed: int, count: int, spread: float
) -> None:
    random = np.random.default_rng(seed)
    centers = random.integers(-3, 3, (6, 3)) * random.choice([1.0, 0.1, 1_000.0])
    points = centers[random.integers(0, 6, count)] + random.uniform(-1, 1, (count, 3)) * spread * WELD_UNITS
    first = weld(points)
    assert (first <= np.arange(count)).all()
    assert (first[first] == first).all()
    apart = np.abs(points[:, None] - points[None]).max(axis=2)
    assert (first[:, None] == first[None])[apart <= 0.999 * WELD_UNITS].all()
    for group in np.unique(first):  # members hang together by steps of less than an interval
        members = np.flatnonzero(first == group)
        near = apart[np.ix_(members, members)] < 2.0 * WELD_UNITS
        reached = {0}
        while len(more := {int(b) for a in reached for b in np.flatnonzero(near[a])} | reached) > len(reached):
            reached = more
        assert len(reached) == len(members)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), wide=st.integers(1, 6), tall=st.integers(1, 6), up=st.sampled_from([1, 2]))
def test_squares_that_bring_their_own_vertices_join_at_all_edges_and_wind_one_way(
    seed: int, wide: int, tall: int, up: int
) -> None:
    random = np.random.default_rng(seed)
    vertices, rings = [], []
    for y in range(tall):
        for x in range(wide):
            corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)][:: random.choice([1, -1])]
            rings.append([len(vertices) + place for place in range(4)])
            for a, b in corners:
                a, b, height = (float(value) for value in np.array([a, b, 0.0]) + random.uniform(-4e-4, 4e-4, 3))
                vertices.append((a, height, b) if up == 1 else (a, b, height))
    read = join(vertices, rings, up)
    assert len(read.vertices) == (wide + 1) * (tall + 1)
    assert len(neighbors(read)) == tall * (wide - 1) + wide * (tall - 1)
    flat = np.delete(read.vertices.astype(np.float64), up, axis=1)
    for ring in polygons(read):
        a, b = flat[ring].T
        assert (a * np.roll(b, -1) - np.roll(a, -1) * b).sum() > 0


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), corners=st.integers(3, 9), dented=st.booleans())
def test_a_polygon_is_refused_where_a_corner_turns_the_other_way(seed: int, corners: int, dented: bool) -> None:
    random = np.random.default_rng(seed)
    angles = np.arange(corners) * 2.0 * np.pi / corners + random.uniform(-0.1, 0.1, corners)
    radii = np.full(corners, 5.0)
    if dented and corners > 3:
        radii[random.integers(corners)] = -2.0
    points = [(float(x), float(z)) for x, z in zip(radii * np.cos(angles), radii * np.sin(angles), strict=True)]
    ring = list(range(corners))[:: random.choice([1, -1])]
    if dented and corners > 3:
        with pytest.raises(Invalid, match="polygon 0: a polygon that is not convex"):
            join(on_plane(points), [ring])
    else:
        assert len(polygons(join(on_plane(points), [ring]))) == 1


def test_a_star_is_refused_though_all_its_corners_turn_one_way() -> None:
    star = [(math.cos(2.0 * math.pi * 2 * place / 5), math.sin(2.0 * math.pi * 2 * place / 5)) for place in range(5)]
    with pytest.raises(Invalid, match="not convex"):
        join(on_plane(star), [[0, 1, 2, 3, 4]])


def test_corners_on_a_straight_edge_are_kept() -> None:
    points = on_plane([(0, 0), (1, 0), (2, 0), (2, 1), (0, 1)])
    assert [len(ring) for ring in polygons(join(points, [[0, 1, 2, 3, 4]]))] == [5]


def test_polygons_without_an_area_from_above_are_dropped_with_their_vertices() -> None:
    points = [*on_plane([(0, 0), (1, 0), (1, 1), (5, 5), (6, 6)]), (0.0, 3.0, 0.0), (0.0002, 0.0, 0.0)]
    read = join(points, [[0, 3, 4], [0, 1, 2], [0, 5, 1], [0, 6, 1]])
    assert (polygons(read), len(read.vertices), len(read.areas)) == ([[0, 1, 2]], 3, 1)


def test_an_edge_of_three_polygons_is_refused_with_their_names() -> None:
    points = on_plane([(0, 0), (1, 0), (0.5, 1), (0.5, -1), (0.5, 2)])
    with pytest.raises(Invalid, match="polygon 0: an edge that it shares with polygon 1 and polygon 2"):
        join(points, [[0, 1, 2], [1, 0, 3], [0, 1, 4]])


def test_floors_above_each_other_stay_apart() -> None:
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    points = [(float(x), float(y), float(z)) for y in (0, 3) for x, z in square]
    read = join(points, [[0, 1, 2, 3], [4, 5, 6, 7]])
    assert (len(read.vertices), neighbors(read)) == (8, set())


def test_edges_of_neighboring_tiles_are_split_where_they_overlap_and_joined() -> None:
    """Two tiles whose squares are offset along the border x = 2, at slightly different heights."""
    left = [(0.0, 0.0, float(z)) for z in (0, 2, 4)] + [(2.0, 0.1, float(z)) for z in (0, 2, 4)]
    right = [(2.0, 0.0, float(z)) for z in (-1, 1, 3)] + [(4.0, 0.0, float(z)) for z in (-1, 1, 3)]
    read = join([*left, *right], [[0, 3, 4, 1], [1, 4, 5, 2], [6, 9, 10, 7], [7, 10, 11, 8]])
    assert neighbors(read) == {(0, 1), (2, 3), (0, 2), (0, 3), (1, 3)}
    assert [len(ring) for ring in polygons(read)] == [5, 5, 5, 5]
    read = join([*left, *((x, y + 1.0, z) for x, y, z in right)], [[0, 3, 4, 1], [6, 9, 10, 7]])
    assert (neighbors(read), [len(ring) for ring in polygons(read)]) == (set(), [4, 4])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), turn=st.sampled_from([0.0, 0.3, math.pi / 2]))
def test_strips_cut_at_random_places_join_wherever_they_overlap(seed: int, turn: float) -> None:
    random = np.random.default_rng(seed)
    cuts = [[0, *sorted(random.choice(np.arange(1, 40), random.integers(0, 8), replace=False)), 40] for _ in range(3)]
    vertices, rings, spans = [], [], []
    for row, places in enumerate(cuts):
        for low, high in itertools.pairwise(places):
            rings.append([len(vertices) + place for place in range(4)])
            spans.append((row, low, high))
            for x, z in ((low, row), (high, row), (high, row + 1), (low, row + 1)):
                vertices.append((x * math.cos(turn) - z * math.sin(turn), 0.0, x * math.sin(turn) + z * math.cos(turn)))
    expected = {
        (a, b)
        for a, (row, low, high) in enumerate(spans)
        for b, (other, start, end) in enumerate(spans)
        if (row == other and high == start) or (other == row + 1 and low < end and start < high)
    }
    assert neighbors(join(vertices, rings)) == expected


def test_a_map_with_more_overlaps_than_can_be_looked_at_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seams, "PAIRS_MAX", 3)
    with pytest.raises(Invalid, match="too many long edges"):
        join(on_plane([(0, 0), (1, 0), (0.5, 1)]), [[0, 1, 2]])


def test_a_polygon_that_would_share_an_edge_with_two_others_stays_as_it_was() -> None:
    """A long edge passes over two short ones that are one edge already."""
    points = on_plane([(0, 0), (9, 0), (4, 5), (3, 0), (6, 0), (4, -5), (5, 4)])
    read = join(points, [[0, 1, 2], [3, 4, 5], [4, 3, 6]])
    assert neighbors(read) == {(1, 2)}
    assert [len(ring) for ring in polygons(read)] == [3, 3, 3]
    assert [len(ring) for ring in polygons(join(points, [[0, 1, 2], [3, 4, 5]]))] == [5, 3]


def test_a_sliver_is_not_split_by_its_own_corner() -> None:
    points = on_plane([(0, 0), (10, 0), (5, 0.001), (5, -3)])
    assert sorted(len(ring) for ring in polygons(join(points, [[0, 1, 2]]))) == [3]
