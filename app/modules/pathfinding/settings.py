"""The limits of the pathfinding module, each with its unit."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.modules.pathfinding.overlays.settings import OverlaySettings


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read from `[modules.pathfinding]` of the profile."""

    deadline_ms: int = 250
    """For queries, where the client gives none."""

    upload_deadline_ms: int = 30_000
    """For uploads, where the client gives none."""

    preview_deadline_ms: int = 10_000
    """For pictures, where the client gives none."""

    reply_reserve_ms: float = 3.0
    """Kept free before the deadline for writing the reply; queries not started by then are over_budget."""

    threads_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    """Worker threads that search; one more prepares maps."""

    side_cells_max: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 4_096
    """Width and height of a map."""

    map_cells_max: Annotated[int, msgspec.Meta(ge=1, le=16_777_216)] = 4_194_304
    """Width times height of a map."""

    layers_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16
    """Layers of a grid."""

    links_max: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 4_096
    """Stairs, teleports and drops of a map."""

    vertices_max: Annotated[int, msgspec.Meta(ge=3, le=4_194_304)] = 1_048_576
    """Vertices of a navmesh, as its file lists them."""

    polygons_max: Annotated[int, msgspec.Meta(ge=1, le=2_097_152)] = 524_288
    """Polygons of a navmesh."""

    prepared_bytes_max: int = 1_073_741_824
    """Memory of all maps that are kept ready, some 30 bytes a cell and class; the longest unused goes first."""

    lives_max: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Maps as they stand in worlds that are kept ready; the longest unused is made anew when asked."""

    lives_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 1_073_741_824
    """Memory of their own tables, which obstacles and learned dangers make; the longest unused map goes first."""

    walkers_max: Annotated[int, msgspec.Meta(ge=1)] = 16_384
    """Walkers on one map whose newest way is remembered; the oldest way goes first."""

    obstacles_max: Annotated[int, msgspec.Meta(ge=1)] = 16_384
    """Obstacles on one map."""

    fields_max: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Fields of one map that are kept, 17 bytes a cell each; the longest unused goes first."""

    fields_together_min: Annotated[int, msgspec.Meta(ge=1)] = 8
    """So many fields asked for at once are filled together, where the profile has a network for that on a GPU."""

    fields_together_cells_max: Annotated[int, msgspec.Meta(ge=1)] = 67_108_864
    """Cells of all fields that are filled together, about 20 bytes each; more are filled in turn."""

    field_idle_s: float = 30.0
    """A field that nobody asks is kept so long."""

    snap_units: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How far from a navmesh a place may lie and still be taken for the nearest one on it."""

    obstacle_reach_units: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """An obstacle blocks ground of a navmesh at most so far above and below its z."""

    label_entries_max: Annotated[int, msgspec.Meta(ge=0)] = 4_000_000
    """Hub labels of one map and class, 16 bytes each; a map that would need more is searched instead."""

    label_reads_max: Annotated[int, msgspec.Meta(ge=0)] = 50_000_000
    """Work spent on hub labels of one map and class, some 8 to 30 nanoseconds each."""

    flee_agents_max: Annotated[int, msgspec.Meta(ge=1)] = 1_024
    """Agents of one path.flee; each floods its own surroundings."""

    walks_counted_max: Annotated[int, msgspec.Meta(ge=0)] = 16
    """Ways of one answer whose visits count where dangers are learned."""

    history_events_max: Annotated[int, msgspec.Meta(ge=0)] = 20_000
    """Events of the log that dangers are learned from when they are first asked for."""

    dangers: OverlaySettings = OverlaySettings()

    repair_cells_max: Annotated[int, msgspec.Meta(ge=1)] = 16_384
    """Changed areas that touch are mended as one up to so many cells."""

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
