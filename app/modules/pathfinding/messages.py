"""The messages of the pathfinding module.

On a grid a place is a cell (x, y): the column and the row, counted from 0 at the top left; the layers
of a grid lie below each other with one blocked row between them. On a navmesh it is a point (x, y, z)
in the units and axes of the engine that exported it. Places travel as lists of numbers or packed: a
cell as two little-endian int16, a point as three little-endian float32; `bin` in msgpack and base64
in JSON. Costs are in straight steps on a grid and in units on a navmesh, times the terrain's cost.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Chunk, Push, Reply, Request
from app.modules.pathfinding.surfaces import AgentClass
from app.world.entities import Id, Obstacle

Coordinate = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Place = Annotated[tuple[Coordinate, ...], msgspec.Meta(min_length=2, max_length=3)]
PlaceList = Annotated[tuple[Place, ...], msgspec.Meta(max_length=65_536)]
Packed = Annotated[bytes, msgspec.Meta(max_length=12 * 65_536)]
Places = PlaceList | Packed
PackedVectors = Annotated[bytes, msgspec.Meta(max_length=8 * 65_536)]
Shape = Literal["packed", "lists"]
Format = Literal["movingai", "rows", "tiled", "npz", "unity", "godot", "recast"]
Overlay = Literal["none", "danger"]
Status = Literal["found", "partial", "unreachable", "invalid", "over_budget"]
Rung = Literal["exact", "bounded", "hierarchical"]
Stage = Literal["reading", "preparing", "storing"]

STATUSES: tuple[Status, ...] = ("found", "partial", "unreachable", "invalid", "over_budget")
"""The status of a query by its packed code."""
RUNGS: tuple[Rung, ...] = ("exact", "bounded", "hierarchical")
"""How a query was answered, by its packed code."""


class MapRequest(Request, frozen=True, kw_only=True):
    """What every question about a map names: the map, and as what class of agents; none means size 1."""

    op: ClassVar[str] = ""

    map: Id
    agent_class: Annotated[str, msgspec.Meta(max_length=128)] = ""
    format: Shape = "packed"
    """How the reply is written."""


class MapReply(Reply, frozen=True, kw_only=True):
    """What every answer about a map names: the version that answered."""

    map: str
    version: int


class Upload(Request, frozen=True, kw_only=True):
    """Store a map as its next version; the version before answers until this one is ready.

    `agent_classes` are the kinds of agents that will walk on it, by name; each gets tables of its own.
    `key` makes a retry harmless. Where the client takes chunks, they tell how far the preparing is.
    """

    op: ClassVar[str] = "path.upload"

    map: Id
    format: Format = "movingai"
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=33_554_432)]
    agent_classes: Annotated[dict[Id, AgentClass], msgspec.Meta(max_length=16)] = {}
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class UploadProgress(Chunk, frozen=True, kw_only=True):
    """What is being done to an uploaded map, and how much of it is done, from 0 to 1."""

    stage: Stage
    agent_class: str = ""
    share: float


class Uploaded(MapReply, frozen=True, kw_only=True):
    """The map is committed and answers; `components` are regions with no way between them.

    `width` and `height` are columns and rows, all layers included; for a navmesh `polygons` says its
    size and they are 0. `prepared_bytes` is what it takes in memory now.
    """

    width: int
    height: int
    layers: int
    polygons: int
    links: int
    passable_cells: int
    components: int
    terrains: tuple[str, ...]
    prepared_bytes: int
    preprocess_ms: float


class Find(MapRequest, frozen=True, kw_only=True):
    """Find the shortest way from each start to the goal at the same place in the list.

    Moves on a grid go to the eight neighbors; a diagonal costs sqrt 2 and needs both cells beside it free.
    A way longer than `max_cost` is over_budget. With `partial`, a goal out of reach is replaced by
    the reachable place nearest to it in a straight line. A start on a blocked cell and a cell
    outside the map are invalid; a blocked goal is unreachable. `overlay` adds what was learned of
    dangers, as far as that is ready. `weight` is how many times as dear as the cheapest a way may be, 1 for the
    cheapest; without it the quickest search answers and says what it is worth. With `smooth` the
    way on a grid is pulled straight past the corners and its cost is its length. `walkers` name who walks,
    one for each start: they are told (`path.blocked`) when an obstacle comes into their newest way.
    """

    op: ClassVar[str] = "path.find"

    starts: Places
    goals: Places
    overlay: Overlay = "none"
    max_cost: float | None = None
    weight: Annotated[float, msgspec.Meta(ge=1.0, le=3.0)] | None = None
    partial: bool = False
    smooth: bool = False
    walkers: Annotated[tuple[Id, ...], msgspec.Meta(max_length=16_384)] = ()


class Found(MapReply, frozen=True, kw_only=True):
    """One answer for each query, in order.

    `packed`: `status` is n uint8 (codes in the order found, partial, unreachable, invalid,
    over_budget), `cost` n float64 (NaN without a way), `expansions` n int32, `rung` n uint8 (exact, bounded,
    hierarchical), `bound` n float32, `offsets` n + 1 int32, `waypoints` places; those of query i are
    offsets[i] .. offsets[i + 1]. All are little-endian. `lists`: the same as lists, with null for no
    cost and no bound; `offsets` is then empty and `waypoints` has one list for each query. Between two
    waypoints the way is straight or diagonal, or any straight line where it was smoothed.

    `bound` is how many times the cheapest way's cost the cost is at most, NaN where nothing is promised.
    `overlay_version` numbers the learned dangers that were taken into account, 0 for none.
    """

    queries: int
    overlay_version: int
    status: bytes | tuple[Status, ...]
    cost: bytes | tuple[float | None, ...]
    expansions: bytes | tuple[int, ...]
    rung: bytes | tuple[Rung, ...]
    bound: bytes | tuple[float | None, ...]
    offsets: bytes
    waypoints: bytes | tuple[tuple[tuple[float, ...], ...], ...]


class Distance(MapRequest, frozen=True, kw_only=True):
    """As path.find, for who needs the cost and not the way."""

    op: ClassVar[str] = "path.distance"

    starts: Places
    goals: Places
    overlay: Overlay = "none"
    max_cost: float | None = None
    weight: Annotated[float, msgspec.Meta(ge=1.0, le=3.0)] | None = None


class DistanceAnswer(MapReply, frozen=True, kw_only=True):
    """`status` and `cost` as in the reply to path.find."""

    status: bytes | tuple[Status, ...]
    cost: bytes | tuple[float | None, ...]


class Reachable(MapRequest, frozen=True, kw_only=True):
    """Ask whether a way exists from each start to the goal at the same place; nothing is searched."""

    op: ClassVar[str] = "path.reachable"

    starts: Places
    goals: Places


class ReachableAnswer(MapReply, frozen=True, kw_only=True):
    """`reachable` is n uint8 of 0 or 1, or a list of booleans."""

    reachable: bytes | tuple[bool, ...]


class Nearest(MapRequest, frozen=True, kw_only=True):
    """Ask for the passable place nearest to each in a straight line.

    With `reach_from`, only places that can be walked to from there count.
    """

    op: ClassVar[str] = "path.nearest"

    cells: Places
    reach_from: Place | None = None


class Raycast(MapRequest, frozen=True, kw_only=True):
    """Ask how far one sees, or can walk in a straight line, from each start towards its end."""

    op: ClassVar[str] = "path.raycast"

    starts: Places
    ends: Places


class RaycastAnswer(MapReply, frozen=True, kw_only=True):
    """`clear` says whether the end is seen (n uint8, or booleans), `last` is the last free place on the way there."""

    clear: bytes | tuple[bool, ...]
    last: bytes | tuple[tuple[float, ...], ...]


class RandomPoint(MapRequest, frozen=True, kw_only=True):
    """Ask for `count` passable places drawn by `seed`; the same request gets the same places.

    With `reach_from`, only places that can be walked to from there are drawn; with `around`, only
    those at most `radius_cells` away from it in a straight line.
    """

    op: ClassVar[str] = "path.random_point"

    count: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 1
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    reach_from: Place | None = None
    around: Place | None = None
    radius_cells: Annotated[float, msgspec.Meta(ge=0, le=32_767)] = 16.0


class PlacesAnswer(MapReply, frozen=True, kw_only=True):
    """Places in the order of the request; (-1, -1), on a navmesh three NaN or nulls, where none qualifies."""

    cells: bytes | tuple[tuple[float | None, ...], ...]


class Flee(MapRequest, frozen=True, kw_only=True):
    """Ask where each agent best runs to: at most `radius_cells` of walking away, as far from all threats as can be.

    Grids only. Nobody runs through a cell that a threat reaches first. Threats farther than `sight_cells` of
    walking count as that far; `steps` cells of each way are told.
    """

    op: ClassVar[str] = "path.flee"

    starts: Places
    threats: Places
    radius_cells: Annotated[float, msgspec.Meta(gt=0, le=64)] = 24.0
    sight_cells: Annotated[float, msgspec.Meta(gt=0, le=256)] = 64.0
    steps: Annotated[int, msgspec.Meta(ge=0, le=256)] = 16


class Fled(MapReply, frozen=True, kw_only=True):
    """For each agent a refuge, how far the nearest threat walks to it, how far the agent does, and the way's beginning.

    `refuge` n cells, (-1, -1) where an agent stands on no passable cell; `away` and `cost` n float32, NaN (null) there;
    `offsets` and `waypoints` as in the reply to path.find, cell by cell.
    """

    refuge: bytes | tuple[tuple[float | None, ...], ...]
    away: bytes | tuple[float | None, ...]
    cost: bytes | tuple[float | None, ...]
    offsets: bytes
    waypoints: bytes | tuple[tuple[tuple[float, ...], ...], ...]


class Field(MapRequest, frozen=True, kw_only=True):
    """Prepare the ways of many to the nearest of some goals; it pays from about 40 agents with the same goals on.

    Grids only. `goals` are sets of cells, and each set gets a field, which is kept and follows the obstacles until
    it was not asked for a while. The same goals are the same field.
    """

    op: ClassVar[str] = "path.field"

    goals: Annotated[tuple[Places, ...], msgspec.Meta(min_length=1, max_length=64)]
    overlay: Overlay = "none"


class FieldReady(MapReply, frozen=True, kw_only=True):
    """The fields' names for path.sample, how many cells reach a goal in each, and how long one is kept unused."""

    fields: tuple[str, ...]
    reached_cells: tuple[int, ...]
    kept_s: float


class Sample(Request, frozen=True, kw_only=True):
    """Ask where to go on from each point, in a field that path.field has named.

    `points` are pairs of float32 in cells, packed or listed; the middle of cell (x, y) is (x + 0.5, y + 0.5).
    """

    op: ClassVar[str] = "path.sample"

    map: Id
    field: Id
    points: PlaceList | PackedVectors
    format: Shape = "packed"


class Sampled(MapReply, frozen=True, kw_only=True):
    """`direction`: n unit vectors, pairs of float32, zero at goals and out of reach; `cost` to the goal: n float32."""

    direction: bytes | tuple[tuple[float, ...], ...]
    cost: bytes | tuple[float | None, ...]


class Preview(Request, frozen=True, kw_only=True):
    """Draw a map with its regions, costs, obstacles, learned dangers, and ways over it.

    `path` asks for ways as "x1,y1;x2,y2", several separated by "|". `show` lists what to draw, of components, costs,
    overlay, obstacles and path; `crop` is "x,y,width,height". `scale_px` are pixels of a cell or unit.
    """

    op: ClassVar[str] = "path.preview"

    map: Id
    agent_class: Annotated[str, msgspec.Meta(max_length=128)] = ""
    picture: Literal["png", "svg"] = "png"
    path: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    show: Annotated[str, msgspec.Meta(max_length=200)] = ""
    crop: Annotated[str, msgspec.Meta(max_length=100)] = ""
    scale_px: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    edge_px_max: Annotated[int, msgspec.Meta(ge=64, le=4_096)] = 2_048


class Previewed(MapReply, frozen=True, kw_only=True):
    """The file of the picture."""

    picture: Literal["png", "svg"]
    data: bytes


class Steer(Request, frozen=True, kw_only=True):
    """One tick of a crowd: the velocity nearest to the preferred one that runs into nobody for `horizon_s`.

    All arrays are packed little-endian float32: `positions`, `velocities`, `preferred` n pairs, `radii` and
    `speeds_max` n values or one for all. In cells and cells a second. With a `map`, nobody is steered into a wall.
    """

    op: ClassVar[str] = "path.steer"

    map: Annotated[str, msgspec.Meta(max_length=128)] = ""
    agent_class: Annotated[str, msgspec.Meta(max_length=128)] = ""
    positions: PackedVectors
    velocities: PackedVectors
    preferred: PackedVectors
    radii: PackedVectors
    speeds_max: PackedVectors
    dt_s: Annotated[float, msgspec.Meta(gt=0, le=1.0)] = 0.1
    horizon_s: Annotated[float, msgspec.Meta(gt=0, le=10.0)] = 2.0
    wall_horizon_s: Annotated[float, msgspec.Meta(gt=0, le=10.0)] = 0.5
    neighbors_max: Annotated[int, msgspec.Meta(ge=1, le=32)] = 10
    neighbor_radius: Annotated[float, msgspec.Meta(gt=0, le=100.0)] = 5.0


class Steered(Reply, frozen=True, kw_only=True):
    """`velocities`: n pairs of float32, in the order of the request."""

    velocities: bytes


class AddObstacles(Request, frozen=True, kw_only=True):
    """Let obstacles stand on a map, from the next query on; one of the same id is replaced."""

    op: ClassVar[str] = "obstacle.add"

    map: Id
    obstacles: Annotated[tuple[Obstacle, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class ObstacleMove(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an obstacle stands now, and whether it is closed; what is left out stays as it is."""

    id: Id
    x: Coordinate | None = None
    y: Coordinate | None = None
    z: Coordinate | None = None
    closed: bool | None = None


class MoveObstacles(Request, frozen=True, kw_only=True):
    """Move obstacles, open doors and close them, from the next query on."""

    op: ClassVar[str] = "obstacle.move"

    map: Id
    moves: Annotated[tuple[ObstacleMove, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class RemoveObstacles(Request, frozen=True, kw_only=True):
    """Take obstacles away, from the next query on."""

    op: ClassVar[str] = "obstacle.remove"

    map: Id
    ids: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class ObstaclesAccepted(Reply, frozen=True, kw_only=True):
    """Committed; `hit` are the walkers whose newest way is blocked now, `obstacles` how many stand on the map."""

    map: str
    obstacles: int
    hit: tuple[str, ...]


class PathBlocked(Push, frozen=True, kw_only=True):
    """An obstacle came into the ways of these walkers; ask path.find for new ones."""

    op: ClassVar[str] = "path.blocked"

    map: str
    walkers: tuple[str, ...]
