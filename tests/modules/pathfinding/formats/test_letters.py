"""Moving AI maps and bare rows are read strictly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.modules.pathfinding.formats import Format
from app.modules.pathfinding.formats.agents import ground
from app.modules.pathfinding.surfaces import AgentClass
from tests.modules.pathfinding.formats.cases import grid, refusal

GOOD = b"type octile\nheight 2\nwidth 3\nmap\n.@G\nTSW\n"


def test_letters_are_terrains_of_their_own() -> None:
    for data in (GOOD, GOOD.removesuffix(b"\n"), GOOD.replace(b"\n", b"\r\n")):
        surface = grid(data, "movingai")
        names = [[surface.terrains[number].name for number in row] for row in surface.terrain.tolist()]
        assert names == [["ground", "blocked", "ground"], ["trees", "swamp", "water"]]
        assert (surface.terrain.dtype, surface.scale, surface.layers) == (np.uint8, None, 1)
        assert (surface.height, surface.width) == (2, 3)


def test_only_ground_and_swamp_are_walked_on_at_first_and_at_one_cost() -> None:
    free, cost, stride, uniform = ground(grid(GOOD, "movingai"), AgentClass())
    assert free.reshape(-1, stride).tolist() == [[0] * 5, [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0] * 5]
    assert (cost, uniform) == (None, 1.0)


def test_a_class_that_gives_water_a_cost_swims() -> None:
    free, _, stride, _ = ground(grid(GOOD, "movingai"), AgentClass(costs={"water": 2.0}, forbidden=("swamp",)))
    assert free.reshape(-1, stride)[2].tolist() == [0, 0, 0, 1, 0]


def test_digits_of_bare_rows_are_costs() -> None:
    surface = grid(b".#5\n1S9", "rows")
    found = [[surface.terrains[number] for number in row] for row in surface.terrain.tolist()]
    assert [[(terrain.name, terrain.cost) for terrain in row] for row in found] == [
        [("ground", 1.0), ("blocked", math.inf), ("5", 5.0)],
        [("1", 1.0), ("swamp", 1.0), ("9", 9.0)],
    ]


@pytest.mark.parametrize(
    ("data", "place", "expected"),
    [
        (b"", "line 1, column 1", "type octile"),
        (b"type tile\nheight 2", "line 1, column 1", "type octile"),
        (b"type octile\nwidth 3\nheight 2\nmap\n", "line 2, column 1", "'height' and a number"),
        (b"type octile\nheight -2\nwidth 3\nmap\n", "line 2, column 1", "'height' and a number"),
        (b"type octile\nheight 2\nwidth 3\nmaps\n...\n...", "line 4, column 1", "'map'"),
        (b"type octile\nheight 2\nwidth 3\nmap", "line 5, column 1", "row 1"),
        (GOOD.replace(b"TSW\n", b""), "line 6, column 1", "row 2"),
        (GOOD.replace(b"TSW", b"TS"), "line 6, column 3", "another cell"),
        (GOOD.replace(b".@G", b".@GG"), "line 5, column 4", "the end of the line"),
        (GOOD + b"...\n", "line 7, column 1", "the end after 2 rows"),
        (GOOD + b"\n", "line 7, column 1", "the end after 2 rows"),
        (GOOD.replace(b"S", b"#"), "line 6, column 2", "found '#'"),
        (GOOD.replace(b"S", b"5"), "line 6, column 2", "found '5'"),
        (GOOD.replace(b"G", b"\xe9"), "line 5, column 3", "not ASCII"),
        (GOOD.replace(b"G", b"\x00"), "line 5, column 3", "'\\x00'"),
    ],
)
def test_a_malformed_map_is_refused_with_its_place_and_the_mend(data: bytes, place: str, expected: str) -> None:
    error = refusal(data, "movingai")
    assert place in error.message
    assert expected in error.hint


@pytest.mark.parametrize(
    ("height", "width", "named"), [(65, 1, "height"), (1, 65, "width"), (0, 3, "height"), (64, 33, "33 x 64")]
)
def test_a_claimed_size_beyond_the_cap_is_refused_before_the_rows_are_read(height: int, width: int, named: str) -> None:
    error = refusal(f"type octile\nheight {height}\nwidth {width}\nmap\n.".encode(), "movingai")
    assert named in error.message
    assert "expected" in error.hint


@pytest.mark.parametrize("format", ["movingai", "rows"])
def test_more_lines_than_a_map_may_have_are_refused_unsplit(format: Format) -> None:
    assert "lines" in refusal(b"\n" * 1_000, format).message


def test_ragged_rows_without_a_header_are_refused() -> None:
    assert "line 2, column 3" in refusal(b"...\n..\n...", "rows").message
    assert "line 2, column 2" in refusal(b"...\n.x.\n...", "rows").message
    assert "line 1, column 2" in refusal(b".0\n..", "rows").message
    assert "height is 0" in refusal(b"", "rows").message
