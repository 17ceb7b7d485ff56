"""Published problems with known optimal lengths; explicitly skipped where the shared data folder is not there."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from app.modules.pathfinding.grids import search, subgoals
from tests.modules.pathfinding.bench import bordered

MAPS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "maps"
NAMES = ("arena", "AR0011SR", "brc202d", "AcrosstheCape", "32room_000", "maze512-8-0")

pytestmark = pytest.mark.skipif(not MAPS.is_dir(), reason="the shared data folder is not beside this repository")


@pytest.mark.parametrize("name", NAMES)
def test_published_problems_are_solved_optimally(name: str) -> None:
    free = bordered((MAPS / f"{name}.map").read_bytes())
    problems = [line.split() for line in (MAPS / f"{name}.map.scen").read_text().splitlines()[1:]][::10]
    cells = np.array([[int(field) for field in problem[4:8]] for problem in problems], np.int16)
    lengths = [float(problem[8]) for problem in problems]
    starts, goals = np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2:])
    answers = search.answers(subgoals.prepare(free), starts, goals, math.inf, False, 10**6)
    for length, start, goal, code, cost in zip(
        lengths, starts.tolist(), goals.tolist(), answers.status, answers.cost, strict=True
    ):
        if length == 0 and start != goal:
            assert code == search.UNREACHABLE
        else:
            assert code == search.FOUND
            assert cost == pytest.approx(length, abs=0.02 + 1e-4 * length)
