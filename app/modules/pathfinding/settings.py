"""The limits of the pathfinding module, each with its unit."""

from __future__ import annotations

from typing import Annotated

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read from `[modules.pathfinding]` of the profile."""

    deadline_ms: int = 250
    """For queries, where the client gives none."""

    upload_deadline_ms: int = 30_000
    """For uploads, where the client gives none."""

    reply_reserve_ms: float = 3.0
    """Kept free before the deadline for writing the reply; queries not started by then are over_budget."""

    threads_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    """Worker threads that search; one more prepares maps."""

    side_cells_max: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 4_096
    """Width and height of a map."""

    map_cells_max: Annotated[int, msgspec.Meta(ge=1, le=16_777_216)] = 4_194_304
    """Width times height of a map."""

    prepared_cells_max: int = 33_554_432
    """Cells of all maps that are kept ready, about 30 bytes each; the longest unused goes first."""

    maps_max: int = 256
    """Maps in one world."""

    pairs_max: int = 16_384
    """Queries, or cells, in one request that is packed both ways."""

    lists_pairs_max: int = 256
    """The same where the request or the reply has lists, which cost the event loop more than the search."""

    chunk_pairs: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Queries searched between two looks at the clock."""

    expansions_max: int = 1_000_000
    """Nodes that one query may expand before it is over_budget."""

    radius_cells_max: int = 256
    """Radius of path.random_point."""
