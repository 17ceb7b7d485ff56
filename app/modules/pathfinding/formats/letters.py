"""Grids drawn with one letter a cell: the letters, and rows of them as a Surface.

It knows lines and columns; it does not know headers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.formats.limits import BLOCKED_TERRAIN, GROUND, Limits, check_size
from app.modules.pathfinding.surfaces import Surface, Terrain

TERRAINS = (
    BLOCKED_TERRAIN,
    GROUND,
    Terrain("swamp", 1.0),
    Terrain("water", math.inf),
    Terrain("trees", math.inf),
)
"""Water and trees are walked on only by agent classes that give them a cost; swamp costs what ground costs."""


class Alphabet(NamedTuple):
    """The letters of a format, and the number of the terrain that each stands for."""

    letters: str
    terrains: tuple[Terrain, ...]
    numbers: NDArray[np.uint8]
    """(256,): UNKNOWN for bytes that are no letter."""


UNKNOWN = 255


def alphabet(kinds: dict[str, int], terrains: tuple[Terrain, ...]) -> Alphabet:
    """An alphabet from letters and the places of their terrains."""
    numbers = np.full(256, UNKNOWN, np.uint8)
    numbers[[ord(letter) for letter in kinds]] = list(kinds.values())
    return Alphabet("".join(kinds), terrains, numbers)


MOVINGAI = {".": 1, "G": 1, "S": 2, "W": 3, "T": 4, "@": 0, "O": 0}


def lines_of(data: bytes, limits: Limits, *, above: int) -> list[bytes]:
    """The lines of a file without their ends; raises Invalid when there are more than a map and `above` may have."""
    count = data.count(b"\n")
    if count > limits.side_cells_max + above + 1:
        raise Invalid(f"the map has {count!r} lines", hint=f"expected at most {limits.side_cells_max} rows")
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def surface(rows: list[bytes], above: int, size: tuple[int, int], known: Alphabet, limits: Limits) -> Surface:
    """The grid that rows draw; `above` lines precede them and `size` is the height and width expected.

    Raises Invalid naming the line and column, both from 1, and what was expected there.
    """
    height, width = size
    check_size(height, width, limits)
    if len(rows) != height:
        line = above + min(len(rows), height) + 1
        raise misplaced(line, 1, f"the end after {height} rows" if len(rows) > height else f"row {len(rows) + 1}")
    for index, row in enumerate(rows):
        if len(row) != width:
            expected = "the end of the line" if len(row) > width else "another cell"
            raise misplaced(above + index + 1, min(len(row), width) + 1, f"{expected}, rows being {width} cells wide")
    body = known.numbers[np.frombuffer(b"".join(rows), np.uint8)].reshape(height, width)
    if body.max() == UNKNOWN:
        y, x = divmod(int(body.argmax()), width)
        found = rows[y][x]
        shown = repr(chr(found)) if found < 128 else f"byte {found:#x}, which is not ASCII"
        raise misplaced(above + y + 1, x + 1, f"one of {known.letters!r}, found {shown}")
    return Surface(terrain=body, terrains=known.terrains, scale=None)


def misplaced(line: int, column: int, expected: str) -> Invalid:
    """The refusal of a text, by line and column from 1."""
    return Invalid(f"the map is wrong at line {line}, column {column}", hint=f"expected {expected}")
