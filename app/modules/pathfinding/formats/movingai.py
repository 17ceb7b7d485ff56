"""Moving AI's `.map`: four lines of header, then a row of letters a line.

It knows that header; letters.py knows the letters. The layout is that of the benchmark sets of
Sturtevant (2012), https://movingai.com/benchmarks/formats.html.
"""

from __future__ import annotations

import re

from app.modules.pathfinding.formats.letters import MOVINGAI, TERRAINS, alphabet, lines_of, misplaced, surface
from app.modules.pathfinding.formats.limits import Limits
from app.modules.pathfinding.surfaces import Surface

HEADER = ((rb"type octile", "'type octile'"), (rb"height (\d{1,9})", "'height' and a number"),
          (rb"width (\d{1,9})", "'width' and a number"), (rb"map", "'map'"))  # fmt: skip
LETTERS = alphabet(MOVINGAI, TERRAINS)


def read(data: bytes, limits: Limits) -> Surface:
    """The map as a grid of ground, swamp, water, trees and blocked cells.

    Raises Invalid naming the line and column, both from 1, and what was expected there.
    """
    lines = lines_of(data, limits, above=len(HEADER))
    sizes = []
    for index, (pattern, expected) in enumerate(HEADER):
        match = re.fullmatch(pattern, lines[index]) if index < len(lines) else None
        if match is None:
            raise misplaced(index + 1, 1, expected)
        sizes += [int(group) for group in match.groups()]
    return surface(lines[len(HEADER) :], len(HEADER), (sizes[0], sizes[1]), LETTERS, limits)
