"""Packed layouts and lists are read strictly, and written both ways."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.errors import Invalid, TooLarge
from app.modules.pathfinding import logic, messages
from app.modules.pathfinding.grounds import Kind
from app.modules.pathfinding.settings import Settings

LIMITS = Settings(side_cells_max=64, map_cells_max=256, pairs_max=8, lists_pairs_max=4)


def test_places_are_read_packed_or_listed() -> None:
    cells = np.array([[1, -2], [300, 4]], "<i2").tobytes()
    assert logic.read_places("starts", cells, "cells").tolist() == [[1, -2], [300, 4]]
    assert logic.read_places("starts", ((1, -2), (300, 4)), "cells").tolist() == [[1, -2], [300, 4]]
    assert logic.read_places("starts", (), "cells").shape == (0, 2)
    points = np.array([[1.5, -2, 0.25]], "<f4").tobytes()
    assert logic.read_places("starts", points, "points").tolist() == [[1.5, -2, 0.25]]
    assert logic.read_places("starts", ((1.5, -2, 0.25),), "points").tolist() == [[1.5, -2, 0.25]]


@pytest.mark.parametrize(
    ("places", "kind", "named"),
    [
        (bytes(6), "cells", "starts has 6 bytes"),
        (bytes(8), "points", "starts has 8 bytes"),
        (((0, 0), (1.5, 2)), "cells", r"starts\[1\] is \[1.5, 2\]"),
        (((0, 0, 0),), "cells", r"starts\[0\]"),
        (((40_000, 0),), "cells", r"starts\[0\]"),
        (((0, 0),), "points", r"starts\[0\]"),
        (np.array([[0, np.nan, 0]], "<f4").tobytes(), "points", r"starts\[0\]"),
    ],
)
def test_what_is_no_place_is_refused_by_its_index(places: messages.Places, kind: Kind, named: str) -> None:
    with pytest.raises(Invalid, match=named) as caught:
        logic.read_places("starts", places, kind)
    assert caught.value.hint


def test_queries_are_counted() -> None:
    with pytest.raises(Invalid, match="1 starts and 2 goals"):
        logic.check_pairs(np.zeros((1, 2)), np.zeros((2, 2)))
    logic.check_count(8, False, LIMITS)
    with pytest.raises(TooLarge, match="9 queries"):
        logic.check_count(9, False, LIMITS)
    with pytest.raises(TooLarge) as caught:
        logic.check_count(5, True, LIMITS)
    assert "at most 4" in caught.value.hint


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0])
def test_a_cost_that_is_no_cost_is_refused(cost: float) -> None:
    with pytest.raises(Invalid, match="max_cost"):
        logic.read_cost(cost)
