"""Bare rows: a row of letters a line and nothing else, for maps that a program or a person writes.

It knows what it has beyond Moving AI's letters: `#` for blocked, and digits that are costs.
"""

from __future__ import annotations

from app.modules.pathfinding.formats.letters import MOVINGAI, TERRAINS, alphabet, lines_of, surface
from app.modules.pathfinding.formats.limits import Limits
from app.modules.pathfinding.surfaces import Surface, Terrain

DIGITS = "123456789"
LETTERS = alphabet(
    MOVINGAI | {"#": 0} | {digit: len(TERRAINS) + place for place, digit in enumerate(DIGITS)},
    TERRAINS + tuple(Terrain(digit, float(digit)) for digit in DIGITS),
)


def read(data: bytes, limits: Limits) -> Surface:
    """The map as a grid; a digit is a terrain of that name and cost.

    Raises Invalid naming the line and column, both from 1, and what was expected there.
    """
    lines = lines_of(data, limits, above=0)
    return surface(lines, 0, (len(lines), len(lines[0]) if lines else 0), LETTERS, limits)
