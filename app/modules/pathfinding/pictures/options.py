"""What a picture is asked to show, and how requests write that down. Pure.

It knows words, numbers and their bounds; it draws nothing and does not know how big any map is.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

import msgspec

from app.core.errors import Invalid, TooLarge, nearest

Shown = Literal["components", "costs", "overlay", "obstacles", "path", "field"]
SHOWN: tuple[Shown, ...] = get_args(Shown)
SHOWN_AT_FIRST = frozenset[Shown](("components", "overlay", "obstacles", "path", "field"))
"""Costs take the place of terrains and islands, so they are shown where asked for."""

SCALE_PX_MAX = 64
EDGE_PX_MAX = 4_096
PATHS_MAX = 16
"""Ways in one picture."""

Point = tuple[float, float]


class Crop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the map: whole cells of a grid (layers included), units of a navmesh."""

    x: float
    y: float
    width: Annotated[float, msgspec.Meta(gt=0)]
    height: Annotated[float, msgspec.Meta(gt=0)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a picture is drawn; layers that the caller has no data for are left out."""

    show: frozenset[Shown] = SHOWN_AT_FIRST
    scale_px: Annotated[int, msgspec.Meta(ge=1, le=SCALE_PX_MAX)] | None = None
    """Pixels of a cell (or of a unit of a navmesh); None for what fits: small maps are magnified, big ones shrunk."""
    crop: Crop | None = None
    """None for the whole map."""
    edge_px_max: Annotated[int, msgspec.Meta(ge=64, le=EDGE_PX_MAX)] = 2_048
    """The longer side of the drawn map; ruler and legend come on top."""
    field_every_cells: Annotated[int, msgspec.Meta(ge=1, le=1_024)] | None = None
    """Cells between two arrows of a flow field; None for what is readable."""


def read_options(
    *,
    show: str = "",
    scale_px: int | None = None,
    crop: str = "",
    edge_px_max: int = 2_048,
    field_every_cells: int | None = None,
) -> Options:
    """The options of a request, `show` and `crop` being lists with commas; raises Invalid.

    show="costs,path" shows only these; crop="x,y,width,height" a part of the map.
    """
    for name, value, least, most in (
        ("scale_px", scale_px, 1, SCALE_PX_MAX),
        ("edge_px_max", edge_px_max, 64, EDGE_PX_MAX),
        ("field_every_cells", field_every_cells, 1, 1_024),
    ):
        if value is not None and not least <= value <= most:
            raise Invalid(f"{name} is {value!r}", hint=f"expected {least} to {most}")
    return Options(
        show=_shown(show) if show else SHOWN_AT_FIRST,
        scale_px=scale_px,
        crop=_crop(crop) if crop else None,
        edge_px_max=edge_px_max,
        field_every_cells=field_every_cells,
    )


def _shown(text: str) -> frozenset[Shown]:
    known: dict[str, Shown] = {word: word for word in SHOWN}
    found = set()
    for word in text.split(","):
        name = word.strip()
        if name not in known:
            raise Invalid(f"show has {name[:40]!r}", hint=nearest(name[:40], SHOWN))
        found.add(known[name])
    return frozenset(found)


def _crop(text: str) -> Crop:
    numbers = _numbers(text, 4)
    if numbers is None or min(numbers[2:]) <= 0:
        raise Invalid(f"crop is {text[:60]!r}", hint="expected x,y,width,height with a width and height over 0")
    x, y, width, height = numbers
    return Crop(x=x, y=y, width=width, height=height)


def read_pairs(text: str) -> tuple[tuple[Point, Point], ...]:
    """Starts and goals of the ways to draw, from "x1,y1;x2,y2", several separated by "|"; raises Invalid, TooLarge."""
    parts = text.split("|", PATHS_MAX)
    if len(parts) > PATHS_MAX:
        raise TooLarge(f"path asks for more than {PATHS_MAX} ways", hint=f"ask for at most {PATHS_MAX} in one picture")
    pairs = []
    for part in parts:
        ends = [_numbers(end, 2) for end in part.split(";", 2)]
        if len(ends) != 2 or ends[0] is None or ends[1] is None:
            raise Invalid(
                f"path has {part[:60]!r}",
                hint="expected x1,y1;x2,y2 (start;goal), several separated by | as in 1,2;8,9",
            )
        pairs.append(((ends[0][0], ends[0][1]), (ends[1][0], ends[1][1])))
    return tuple(pairs)


def _numbers(text: str, count: int) -> list[float] | None:
    """`count` plain numbers between commas, or None."""
    words = [word.strip() for word in text.split(",", count)]
    if len(words) != count or not all(re.fullmatch(r"[+-]?\d{1,9}(\.\d{1,9})?", word, re.ASCII) for word in words):
        return None
    return [float(word) for word in words]
