"""Maps are read strictly, and packed layouts both ways."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.errors import Invalid, TooLarge
from app.modules.pathfinding import logic
from app.modules.pathfinding.settings import Settings

LIMITS = Settings(side_cells_max=64, map_cells_max=256, pairs_max=8, lists_pairs_max=4)
GOOD = b"type octile\nheight 2\nwidth 3\nmap\n.@G\nTS.\n"


def refusal(data: bytes, format: str = "movingai") -> Invalid:
    with pytest.raises(Invalid) as caught:
        logic.parse_map(data, "rows" if format == "rows" else "movingai", LIMITS)
    return caught.value


def test_a_map_becomes_a_grid_with_a_blocked_border() -> None:
    expected = [[0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]
    for data in (GOOD, GOOD.removesuffix(b"\n"), GOOD.replace(b"\n", b"\r\n")):
        grid = logic.parse_map(data, "movingai", LIMITS)
        assert grid.tolist() == expected
        assert grid.dtype == np.uint8
    assert logic.parse_map(b".#G\nTS.", "rows", LIMITS).tolist() == expected


@pytest.mark.parametrize(
    ("data", "place", "expected"),
    [
        (b"", "line 1, column 1", "type octile"),
        (b"type tile\nheight 2", "line 1, column 1", "type octile"),
        (b"type octile\nwidth 3\nheight 2\nmap\n", "line 2, column 1", "'height' and a number"),
        (b"type octile\nheight -2\nwidth 3\nmap\n", "line 2, column 1", "'height' and a number"),
        (b"type octile\nheight 2\nwidth 3\nmaps\n...\n...", "line 4, column 1", "'map'"),
        (b"type octile\nheight 2\nwidth 3\nmap", "line 5, column 1", "row 1"),
        (GOOD.replace(b"TS.\n", b""), "line 6, column 1", "row 2"),
        (GOOD.replace(b"TS.", b"TS"), "line 6, column 3", "another cell"),
        (GOOD.replace(b".@G", b".@GG"), "line 5, column 4", "the end of the line"),
        (GOOD + b"...\n", "line 7, column 1", "the end after 2 rows"),
        (GOOD + b"\n", "line 7, column 1", "the end after 2 rows"),
        (GOOD.replace(b"S", b"#"), "line 6, column 2", "found '#'"),
        (GOOD.replace(b"G", b"\xe9"), "line 5, column 3", "not ASCII"),
        (GOOD.replace(b"G", b"\x00"), "line 5, column 3", "'\\x00'"),
    ],
)
def test_a_malformed_map_is_refused_with_its_place_and_the_mend(data: bytes, place: str, expected: str) -> None:
    error = refusal(data)
    assert place in error.message
    assert expected in error.hint


@pytest.mark.parametrize(
    ("height", "width", "named"), [(65, 1, "height"), (1, 65, "width"), (0, 3, "height"), (17, 16, "16 x 17")]
)
def test_a_claimed_size_beyond_the_cap_is_refused_before_the_rows_are_read(height: int, width: int, named: str) -> None:
    error = refusal(f"type octile\nheight {height}\nwidth {width}\nmap\n.".encode())
    assert named in error.message
    assert "expected" in error.hint


def test_ragged_rows_without_a_header_are_refused() -> None:
    assert "line 2, column 3" in refusal(b"...\n..\n...", "rows").message
    assert "height is 0" in refusal(b"", "rows").message


def test_cells_are_read_packed_or_listed() -> None:
    packed = np.array([[1, -2], [300, 4]], "<i2").tobytes()
    assert logic.read_cells("starts", packed).tolist() == [[1, -2], [300, 4]]
    assert logic.read_cells("starts", ((1, -2), (300, 4))).tolist() == [[1, -2], [300, 4]]
    assert logic.read_cells("starts", ()).shape == (0, 2)
    with pytest.raises(Invalid, match="starts has 6 bytes"):
        logic.read_cells("starts", bytes(6))


def test_pairs_are_counted() -> None:
    with pytest.raises(Invalid, match="1 starts and 2 goals"):
        logic.read_pairs(bytes(4), bytes(8), "packed", LIMITS)
    assert len(logic.read_pairs(bytes(32), bytes(32), "packed", LIMITS)[0]) == 8
    with pytest.raises(TooLarge, match="9 queries"):
        logic.read_pairs(bytes(36), bytes(36), "packed", LIMITS)
    with pytest.raises(TooLarge) as caught:
        logic.read_pairs(bytes(20), bytes(20), "lists", LIMITS)
    assert "at most 4" in caught.value.hint
    with pytest.raises(TooLarge):
        logic.read_pairs(((0, 0),) * 5, bytes(20), "packed", LIMITS)


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0])
def test_a_cost_that_is_no_cost_is_refused(cost: float) -> None:
    with pytest.raises(Invalid, match="max_cost"):
        logic.read_cost(cost)
