"""The messages of the pathfinding module.

Cells are (x, y): the column and the row, counted from 0 at the top left. A list of cells travels as
[[x, y], ...] or packed: n pairs of little-endian int16, `bin` in msgpack and base64 in JSON.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Reply, Request
from app.world.entities import Id

Coordinate = Annotated[int, msgspec.Meta(ge=-32_768, le=32_767)]
Cell = tuple[Coordinate, Coordinate]
CellList = Annotated[tuple[Cell, ...], msgspec.Meta(max_length=65_536)]
PackedCells = Annotated[bytes, msgspec.Meta(max_length=4 * 65_536)]
Cells = CellList | PackedCells
Shape = Literal["packed", "lists"]
Status = Literal["found", "partial", "unreachable", "invalid", "over_budget"]

STATUSES: tuple[Status, ...] = ("found", "partial", "unreachable", "invalid", "over_budget")
"""The status of a query by its packed code."""


class Upload(Request, frozen=True, kw_only=True):
    """Store a map as its next version; the version before answers until this one is ready.

    `movingai` is a Moving AI `.map` file; `rows` is the same without its header: equally long lines
    of passable `.` `G` `S` and blocked `@` `O` `T` `W` `#`. `key` makes a retry harmless.
    """

    op: ClassVar[str] = "path.upload"

    map: Id
    format: Literal["movingai", "rows"] = "movingai"
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=33_554_432)]
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Uploaded(Reply, frozen=True, kw_only=True):
    """The map is committed and answers; `components` are regions with no way between them."""

    map: str
    version: int
    width: int
    height: int
    passable_cells: int
    components: int
    preprocess_ms: float


class Find(Request, frozen=True, kw_only=True):
    """Find the shortest way from each start to the goal at the same place in the list.

    Moves go to the eight neighbors, a diagonal costs sqrt 2 and needs both cells beside it free.
    A way longer than `max_cost` is over_budget. With `partial`, a goal out of reach is replaced by
    the reachable cell nearest to it in a straight line. A start on a blocked cell and a cell
    outside the map are invalid; a blocked goal is unreachable.
    """

    op: ClassVar[str] = "path.find"

    map: Id
    starts: Cells
    goals: Cells
    max_cost: float | None = None
    partial: bool = False
    format: Shape = "packed"


class Found(Reply, frozen=True, kw_only=True):
    """One answer for each query, in order. Every way found is a shortest one.

    `packed`: `status` is n uint8 (codes in the order found, partial, unreachable, invalid,
    over_budget), `cost` n float64 (NaN without a way), `expansions` n int32, `offsets` n + 1 int32, `waypoints` pairs
    of int16; those of query i are offsets[i] .. offsets[i + 1]. All are little-endian.
    `lists`: the same as lists, with null for no cost; `offsets` is then empty and `waypoints` has
    one list of [x, y] for each query. Between two waypoints the way is straight or diagonal.
    """

    map: str
    version: int
    queries: int
    status: bytes | tuple[Status, ...]
    cost: bytes | tuple[float | None, ...]
    expansions: bytes | tuple[int, ...]
    offsets: bytes
    waypoints: bytes | tuple[tuple[Cell, ...], ...]


class Reachable(Request, frozen=True, kw_only=True):
    """Ask whether a way exists from each start to the goal at the same place; nothing is searched."""

    op: ClassVar[str] = "path.reachable"

    map: Id
    starts: Cells
    goals: Cells
    format: Shape = "packed"


class ReachableAnswer(Reply, frozen=True, kw_only=True):
    """`reachable` is n uint8 of 0 or 1, or a list of booleans."""

    map: str
    version: int
    reachable: bytes | tuple[bool, ...]


class Nearest(Request, frozen=True, kw_only=True):
    """Ask for the passable cell nearest to each cell in a straight line.

    With `reach_from`, only cells that can be walked to from there count.
    """

    op: ClassVar[str] = "path.nearest"

    map: Id
    cells: Cells
    reach_from: Cell | None = None
    format: Shape = "packed"


class RandomPoint(Request, frozen=True, kw_only=True):
    """Ask for `count` passable cells drawn by `seed`; the same request gets the same cells.

    With `reach_from`, only cells that can be walked to from there are drawn; with `around`, only
    those at most `radius_cells` away from it in a straight line.
    """

    op: ClassVar[str] = "path.random_point"

    map: Id
    count: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 1
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    reach_from: Cell | None = None
    around: Cell | None = None
    radius_cells: Annotated[int, msgspec.Meta(ge=0, le=32_767)] = 16
    format: Shape = "packed"


class CellsAnswer(Reply, frozen=True, kw_only=True):
    """Cells in the order of the request; (-1, -1) where no cell qualifies."""

    map: str
    version: int
    cells: bytes | tuple[Cell, ...]
