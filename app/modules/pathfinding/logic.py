"""Maps and cells as clients write them, and answers as clients read them. Pure.

It knows file formats, packed layouts and their limits; it does not search and keeps nothing.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, TooLarge
from app.modules.pathfinding.grids.graph import U8, Answers, Graph
from app.modules.pathfinding.messages import STATUSES, Cell, Cells, Found, Shape
from app.modules.pathfinding.settings import Settings

Packed = NDArray[np.int16]

HEADER = ((rb"type octile", "'type octile'"), (rb"height (\d{1,9})", "'height' and a number"),
          (rb"width (\d{1,9})", "'width' and a number"), (rb"map", "'map'"))  # fmt: skip
PASSABLE = b".GS"
BLOCKED = {"movingai": b"@OTW", "rows": b"@OTW#"}


def parse_map(data: bytes, format: Literal["movingai", "rows"], limits: Settings) -> U8:
    """The map as a grid with a blocked border, (height + 2, width + 2) uint8 of 1 passable, 0 blocked.

    Raises Invalid naming the line and column, both from 1, and what was expected there.
    """
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines]
    header = _header(lines, limits) if format == "movingai" else None
    rows = lines[len(HEADER) :] if header else lines
    above = len(lines) - len(rows)
    height, width = header or (len(rows), len(rows[0]) if rows else 0)
    _check_size(height, width, limits)
    if len(rows) != height:
        line = above + min(len(rows), height) + 1
        raise _wrong(line, 1, f"the end after {height} rows" if len(rows) > height else f"row {len(rows) + 1}")
    for index, row in enumerate(rows):
        if len(row) != width:
            expected = "the end of the line" if len(row) > width else "another cell"
            raise _wrong(above + index + 1, min(len(row), width) + 1, f"{expected}, rows being {width} cells wide")
    return _grid(rows, above, width, format)


def _header(lines: list[bytes], limits: Settings) -> tuple[int, int]:
    """Height and width, as the first four lines claim them."""
    sizes = []
    for index, (pattern, expected) in enumerate(HEADER):
        match = re.fullmatch(pattern, lines[index]) if index < len(lines) else None
        if match is None:
            raise _wrong(index + 1, 1, expected)
        sizes += [int(group) for group in match.groups()]
    return sizes[0], sizes[1]


def _check_size(height: int, width: int, limits: Settings) -> None:
    for name, side in (("height", height), ("width", width)):
        if not 1 <= side <= limits.side_cells_max:
            raise Invalid(f"the map's {name} is {side!r}", hint=f"expected 1 to {limits.side_cells_max} cells")
    if height * width > limits.map_cells_max:
        raise Invalid(
            f"the map has {width!r} x {height!r} cells", hint=f"expected at most {limits.map_cells_max} in all"
        )


def _grid(rows: list[bytes], above: int, width: int, format: str) -> U8:
    kinds = np.full(256, 2, np.uint8)
    kinds[list(PASSABLE)] = 1
    kinds[list(BLOCKED[format])] = 0
    body = kinds[np.frombuffer(b"".join(rows), np.uint8)].reshape(-1, width)  # (height, width)
    if body.max() > 1:
        row, column = divmod(int(body.argmax()), width)
        letters = (PASSABLE + BLOCKED[format]).decode()
        found = rows[row][column]
        shown = repr(chr(found)) if found < 128 else f"byte {found:#x}, which is not ASCII"
        raise _wrong(above + row + 1, column + 1, f"one of {letters!r}, found {shown}")
    return np.pad(body, 1)


def _wrong(line: int, column: int, expected: str) -> Invalid:
    return Invalid(f"the map is wrong at line {line}, column {column}", hint=f"expected {expected}")


def read_cells(name: str, cells: Cells) -> Packed:
    """The cells of a request as (n, 2) int16; raises Invalid when packed bytes do not divide into cells."""
    if isinstance(cells, bytes):
        if len(cells) % 4:
            raise Invalid(
                f"{name} has {len(cells)!r} bytes", hint="send 4 bytes a cell: x and y as little-endian int16"
            )
        return np.frombuffer(cells, "<i2").reshape(-1, 2).astype(np.int16)
    return np.array(cells, np.int16).reshape(-1, 2)


def read_pairs(starts: Cells, goals: Cells, format: Shape, limits: Settings) -> tuple[Packed, Packed]:
    """Starts and goals as (n, 2) int16 each; raises Invalid or TooLarge."""
    pairs = read_cells("starts", starts), read_cells("goals", goals)
    if len(pairs[0]) != len(pairs[1]):
        raise Invalid(f"{len(pairs[0])} starts and {len(pairs[1])} goals", hint="send one goal for each start")
    listed = format == "lists" or not (isinstance(starts, bytes) and isinstance(goals, bytes))
    check_count(len(pairs[0]), listed, limits)
    return pairs


def check_count(count: int, listed: bool, limits: Settings) -> None:
    """Raise TooLarge when a request has more queries than one request may."""
    most = limits.lists_pairs_max if listed else limits.pairs_max
    if count > most:
        raise TooLarge(
            f"{count!r} queries in one request",
            hint=f"send at most {most}" + (f", or {limits.pairs_max} packed both ways" if listed else ""),
        )


def read_cost(max_cost: float | None) -> float:
    """The greatest cost asked for, infinite where none is; raises Invalid."""
    if max_cost is None:
        return math.inf
    if not math.isfinite(max_cost) or max_cost < 0:
        raise Invalid(f"max_cost is {max_cost!r}", hint="send a finite number of steps from 0 on, or leave it out")
    return max_cost


def region_of(graph: Graph, name: str, cell: Cell | None) -> int:
    """The region that a cell lies in, 0 without a cell; raises Invalid when one cannot stand there."""
    if cell is None:
        return 0
    x, y = cell
    if not (0 <= x < graph.width and 0 <= y < graph.height):
        raise Invalid(f"{name} {cell!r} is outside the map", hint=f"the map has {graph.width} x {graph.height} cells")
    region = int(graph.labels[(y + 1) * graph.stride + x + 1])
    if region == 0:
        raise Invalid(f"{name} {cell!r} is blocked", hint="ask path.nearest for a passable cell")
    return region


def reachable(graph: Graph, starts: Packed, goals: Packed) -> NDArray[np.bool_]:
    """Whether a way exists from each start to its goal, (n,); cells outside the map are never reachable."""
    here, there = _labels_at(graph, starts), _labels_at(graph, goals)
    flags: NDArray[np.bool_] = (here == there) & (here > 0)
    return flags


def _labels_at(graph: Graph, cells: Packed) -> NDArray[np.int32]:
    x, y = cells[:, 0].astype(np.int64), cells[:, 1].astype(np.int64)
    inside = (x >= 0) & (x < graph.width) & (y >= 0) & (y < graph.height)
    return np.where(inside, graph.labels[np.where(inside, (y + 1) * graph.stride + x + 1, 0)], 0)


def candidates(graph: Graph, region: int, around: Cell | None, radius: int) -> Packed:
    """The cells of a region (0: of any), or those of them within `radius` of `around`; (n, 2) in row order."""
    grid = graph.labels.reshape(-1, graph.stride)[1:-1, 1:-1]  # (height, width)
    left = top = 0
    if around is not None:
        left, top = max(around[0] - radius, 0), max(around[1] - radius, 0)
        grid = grid[top : max(around[1] + radius + 1, 0), left : max(around[0] + radius + 1, 0)]
    y, x = np.nonzero(grid == region if region else grid)
    x, y = x + left, y + top
    if around is not None:
        near = (x - around[0]) ** 2 + (y - around[1]) ** 2 <= radius * radius
        x, y = x[near], y[near]
    return np.stack([x, y], axis=1).astype(np.int16)


def draw(cells: Packed, count: int, seed: int) -> Packed:
    """`count` of the cells, with repetition, the same for the same seed; (-1, -1) when there are none."""
    if len(cells) == 0:
        return np.full((count, 2), -1, np.int16)
    return cells[np.random.default_rng(seed).integers(0, len(cells), count)]


def pack_cells(cells: Packed, format: Shape) -> bytes | tuple[Cell, ...]:
    """Cells (n, 2) as the client asked for them."""
    return cells.astype("<i2", copy=False).tobytes() if format == "packed" else _listed(cells)


def _listed(cells: Packed) -> tuple[Cell, ...]:
    return tuple(zip(cells[:, 0].tolist(), cells[:, 1].tolist(), strict=True))


def pack_flags(flags: NDArray[np.bool_], format: Shape) -> bytes | tuple[bool, ...]:
    """Truths (n,) as the client asked for them."""
    return flags.astype(np.uint8).tobytes() if format == "packed" else tuple(flags.tolist())


def join(parts: list[Answers], pairs: int) -> Answers:
    """Answers of chunks as those of one batch; queries that no chunk reached are over budget."""
    done = sum(len(part.status) for part in parts)
    late = pairs - done
    starts = np.cumsum([0] + [len(part.waypoints) for part in parts])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
    return Answers(
        np.concatenate([*(part.status for part in parts), np.full(late, STATUSES.index("over_budget"), np.uint8)]),
        np.concatenate([*(part.cost for part in parts), np.full(late, np.nan)]),
        np.concatenate([*(part.expansions for part in parts), np.zeros(late, np.int32)]),
        np.concatenate([*offsets, np.full(late + 1, starts[-1])]).astype(np.int32),
        np.concatenate([*(part.waypoints for part in parts), np.empty((0, 2), np.int16)]),
    )


def found(answers: Answers, format: Shape, *, map: str, version: int) -> Found:
    """The reply to path.find."""
    status, cost, expansions, offsets, waypoints = answers
    if format == "packed":
        return Found(
            map=map,
            version=version,
            queries=len(status),
            status=status.tobytes(),
            cost=cost.astype("<f8", copy=False).tobytes(),
            expansions=expansions.astype("<i4", copy=False).tobytes(),
            offsets=offsets.astype("<i4", copy=False).tobytes(),
            waypoints=waypoints.astype("<i2", copy=False).tobytes(),
        )
    cells, ends = _listed(waypoints), offsets.tolist()
    return Found(
        map=map,
        version=version,
        queries=len(status),
        status=tuple(STATUSES[code] for code in status.tolist()),
        cost=tuple(None if math.isnan(value) else value for value in cost.tolist()),
        expansions=tuple(expansions.tolist()),
        offsets=b"",
        waypoints=tuple(cells[ends[query] : ends[query + 1]] for query in range(len(status))),
    )
