"""The limits of learned costs, each with its unit."""

from __future__ import annotations

from typing import Annotated

import msgspec


class OverlaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast ground is forgotten, what its danger costs and how much of it is kept."""

    half_life_s: Annotated[float, msgspec.Meta(gt=0)] = 1_800.0
    """Game seconds after which an event counts half."""

    refresh_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """Game seconds from one refresh to the next, at least."""

    multiplier_max: Annotated[float, msgspec.Meta(ge=1, le=64)] = 8.0
    """The most that learned danger multiplies the cost of a cell with."""

    death_cells: Annotated[float, msgspec.Meta(ge=0)] = 400.0
    """The detour, in straight steps, that an agent of caution 1 takes to be spared one death."""

    stuck_cells: Annotated[float, msgspec.Meta(ge=0)] = 40.0
    """The detour, in straight steps, that any agent takes to be spared getting stuck once."""

    tallies_max: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Pairs of a map and an agent class that are remembered in one world."""

    tiles_max: Annotated[int, msgspec.Meta(ge=1)] = 1_048_576
    """Tiles of all of these together, about 40 bytes each."""

    rows_max: Annotated[int, msgspec.Meta(ge=1)] = 65_536
    """Tiles that the network is asked about in one refresh; maps beyond them wait for the next."""

    rectangles_max: Annotated[int, msgspec.Meta(ge=1)] = 32
    """Rectangles that tell where an overlay changed."""

    network_ms: Annotated[float, msgspec.Meta(gt=0)] = 5_000.0
    """What the network may take; later the counts alone answer."""
