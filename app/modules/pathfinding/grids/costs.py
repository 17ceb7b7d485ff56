"""Weighted ground, prepared and changed: what overlay.Weighted holds and how it comes to be.

All of it is local by box but regions and landmarks. It knows cells, costs and links; it does not know
terrains, agents or how anything is searched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.grids import landmarks, overlay
from app.modules.pathfinding.grids.graph import F32, F64, I32, I64, U8, U16
from app.modules.pathfinding.grids.heap import NODE_MASK
from app.modules.pathfinding.grids.labels import label_components
from app.modules.pathfinding.grids.landmarks import Landmarks, Progress
from app.modules.pathfinding.grids.overlay import OCTILE, SIDE, STALE, UNIT, UNKNOWN, Weighted
from app.modules.pathfinding.grids.regions import keep_regions, lead_on

T = TypeVar("T", F32, I32, I64)
Array = TypeVar("Array", F32, U8)

COST_MIN, COST_MAX = 0.05, 1_000.0
"""Cost of one straight step on a cell."""
LINK_COST_MAX = 1_000_000.0
LINKS_MAX = 1_024
BOXES_A_TURN = 256
"""Boxes prepared between two calls of `progress`."""
SPARE = 0.25
"""Room that a box gets beyond its edges when it is first written, or has outgrown its place."""
MARGIN = 8
"""A change that splits and joins nothing within so many cells around it leaves the regions as they are."""
WINDOW_MAX = 4_096
"""Cells of the greatest change, margin included, that is looked at in this way."""


class Links(NamedTuple):
    """Ways that are not walked step by step, as arrays (links,): cells (border included) and costs."""

    starts: I32
    ends: I32
    costs: F64
    one_way: U8


NO_LINKS = Links(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float64), np.empty(0, np.uint8))


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


def prepare(free: U8, cost: F32, stride: int, *, links: Links = NO_LINKS, progress: Progress = _silent) -> Weighted:
    """A weighted grid over flat bordered `free` (cells,) uint8 and `cost` (cells,) float32, both copied.

    `progress(done, total)` is called between groups of boxes and between landmarks. Raises Invalid.
    """
    _check_grid(free, cost, stride)
    _check_links(free, stride, links)
    free, cost = free.copy(), cost.copy()
    labels, regions = label_components(free, stride)
    ends = np.concatenate([links.starts, links.ends]).astype(np.int32)
    node_of, cells, gates, joins, term_first, terms = overlay.lay_out(free, stride, ends)
    link_first, targets, link_costs = _join_links(links, node_of, cells.size)
    boxes = term_first.size - 1
    room = max(int(gates.size * 8), 1_024)
    weighted = Weighted(
        stride=stride, free=free, cost=cost, floor=np.empty(0, np.float32), labels=labels,
        port_of=np.full(regions + 1, -1, np.int32), reach=np.zeros((1, 1), np.uint8),
        away=np.empty((0, overlay.LANDMARKS), np.uint16), node_of=node_of, cells=cells, gates=gates, joins=joins,
        term_first=term_first, terms=terms, spans=np.zeros((terms.size, 2), np.int32),
        rooms=np.zeros((boxes, 2), np.int32), edges=np.empty(room, np.int32), lengths=np.empty(room, np.float32),
        steps=np.empty(room, np.int64), link_first=link_first, links=targets, link_costs=link_costs,
        state=np.zeros(4),
    )  # fmt: skip
    total = boxes + overlay.LANDMARKS * max(boxes // 16, 1)
    weighted = _join_regions(weighted)
    weighted.state[OCTILE] = _cheapest(weighted, cost[free != 0])
    everything = np.arange(boxes, dtype=np.int32)
    overlay.choose_gates(weighted, everything, 0, boxes, np.zeros(boxes, np.uint8))
    weighted = _fill(weighted, everything, lambda done: progress(done, total))
    measured = measure_landmarks(weighted, lambda done, _: progress(boxes + done * max(boxes // 16, 1), total))
    return adopt(weighted, measured)


def repair(weighted: Weighted, rect: tuple[int, int, int, int], free: U8, cost: F32) -> Weighted:
    """The grid after cells of `rect` (x, y, width, height; without border) became as in `free` and `cost`.

    Both are whole flat grids, read inside the rectangle only. Arrays are written in place where they have
    room, so no search may run meanwhile; go on with what is returned. Raises Invalid and changes nothing.
    """
    stride = weighted.stride
    rows = weighted.free.size // stride
    x, y, width, height = rect
    if min(x, y) < 0 or min(width, height) < 1 or x + width > stride - 2 or y + height > rows - 2:
        raise Invalid(f"the rectangle {rect!r} does not lie on the map", hint=f"the map is {stride - 2} x {rows - 2}")
    if free.shape != weighted.free.shape or cost.shape != weighted.cost.shape:
        raise Invalid(
            f"the grid has {weighted.free.size} cells, not {free.size} and {cost.size}", hint="give all of it"
        )
    part = np.s_[y + 1 : y + 1 + height, x + 1 : x + 1 + width]
    old_free = _square(weighted.free, stride)[part]
    old_cost, floor = _square(weighted.cost, stride)[part], _square(weighted.floor, stride)[part]
    new_free = _square(free, stride)[part] != 0
    new_cost = _square(cost, stride)[part]
    _check_costs(new_cost[new_free])
    if ((old_free != 0) == new_free).all() and (old_cost == new_cost)[new_free].all():
        return weighted
    weighted.state[STALE] += int((new_free & (new_cost < floor)).sum()) - int(
        ((old_free != 0) & (old_cost < floor)).sum()
    )
    old_free[...] = new_free
    old_cost[...] = new_cost
    weighted.state[OCTILE] = min(weighted.state[OCTILE], new_cost[new_free].min(initial=np.inf))
    _guess_landmarks(weighted.away, new_free, stride, x + 1, y + 1)
    across, _ = overlay.boxes_of(stride, rows)
    wide = np.arange(x // SIDE, min((x + width) // SIDE, across - 1) + 1)
    tall = np.arange(y // SIDE, min((y + height) // SIDE, weighted.rooms.shape[0] // across - 1) + 1)
    touched = (tall[:, None] * across + wide).astype(np.int32).ravel()
    changed = np.zeros(weighted.rooms.shape[0], np.uint8)
    overlay.choose_gates(weighted, touched, 0, touched.size, changed)
    changed[touched] = 1
    if not (
        _fits(width, height)
        and keep_regions(weighted.labels, weighted.free, stride, x + 1, y + 1, width, height, MARGIN)
    ):
        labels, regions = label_components(weighted.free, stride)
        weighted = weighted._replace(labels=labels, port_of=np.full(regions + 1, -1, np.int32))
    return _fill(_join_regions(weighted), np.flatnonzero(changed).astype(np.int32), lambda done: None)


def measure_landmarks(weighted: Weighted, progress: Progress = _silent) -> Landmarks:
    """Landmark distances over the ground as it is now, from copies: searches and repairs may go on meanwhile."""
    return landmarks.measure(weighted, _groups(weighted), progress)


def adopt(weighted: Weighted, measured: Landmarks) -> Weighted:
    """The grid with newly measured landmarks; a change since then that makes them untrue is counted as such."""
    state = weighted.state.copy()
    state[UNIT] = measured.unit
    state[STALE] = int(((weighted.free != 0) & (weighted.cost < measured.floor)).sum())
    state[OCTILE] = _cheapest(weighted, weighted.cost[weighted.free != 0])
    return weighted._replace(away=measured.away, floor=measured.floor, state=state)


def refresh(weighted: Weighted, progress: Progress = _silent) -> Weighted:
    """The grid with landmark distances that are true lower bounds again."""
    return adopt(weighted, measure_landmarks(weighted, progress))


def _fill(weighted: Weighted, boxes: I32, told: Callable[[int], None]) -> Weighted:
    """Write the edges of boxes, with room for more where they outgrow the arrays."""
    done = 0
    while done < boxes.size:
        end = min(done + BOXES_A_TURN, boxes.size)
        reached = overlay.fill_boxes(weighted, boxes, done, end, SPARE)
        if reached < end:
            room = weighted.edges.size * 3 // 2
            weighted = weighted._replace(
                edges=_grown(weighted.edges, room),
                lengths=_grown(weighted.lengths, room),
                steps=_grown(weighted.steps, room),
            )
        done = reached
        told(done)
    return weighted


def _grown(array: T, room: int) -> T:
    """The array with room for more behind it."""
    return np.concatenate([array, np.empty(room - array.size, array.dtype)])


def _square(array: Array, stride: int) -> Array:
    """A view of flat cells as rows."""
    return array.reshape(-1, stride)


def _fits(width: int, height: int) -> bool:
    return (width + 2 * MARGIN) * (height + 2 * MARGIN) <= WINDOW_MAX


def _origins(weighted: Weighted) -> I32:
    """The cell that each link leads from, (links,)."""
    return np.repeat(weighted.cells, np.diff(weighted.link_first))


def _join_regions(weighted: Weighted) -> Weighted:
    """The grid with what its links make of its regions."""
    if weighted.links.size == 0:
        return weighted
    targets = weighted.cells[weighted.links]
    port_of, reach = lead_on(weighted.labels, weighted.port_of.size - 1, _origins(weighted), targets)
    return weighted._replace(port_of=port_of, reach=reach)


def _groups(weighted: Weighted) -> I32:
    """Regions that links join, in whatever direction, by one number: (regions + 1,)."""
    group_of = np.arange(weighted.port_of.size, dtype=np.int32)
    labels = weighted.labels
    for start, end in zip(_origins(weighted).tolist(), weighted.cells[weighted.links].tolist(), strict=True):
        one, other = int(group_of[labels[start]]), int(group_of[labels[end]])
        if one != other and labels[start] and labels[end]:
            group_of[group_of == other] = one
    return group_of


def _cheapest(weighted: Weighted, costs: F32) -> float:
    """What a straight step costs at least, or a link for each such step that it saves."""
    least = float(costs.min(initial=COST_MAX))
    if weighted.links.size:
        starts, ends = _origins(weighted).astype(np.int64), weighted.cells[weighted.links].astype(np.int64)
        wide = np.abs(starts % weighted.stride - ends % weighted.stride)
        tall = np.abs(starts // weighted.stride - ends // weighted.stride)
        octile = np.maximum(wide, tall) + (2.0**0.5 - 1.0) * np.minimum(wide, tall)
        least = min(least, float((weighted.link_costs / octile).min()))
    return least * (1.0 - 1e-12)


def _join_links(links: Links, node_of: I32, nodes: int) -> tuple[I32, I32, F64]:
    """Weighted.link_first, links and link_costs."""
    back = links.one_way == 0
    sources = node_of[np.concatenate([links.starts, links.ends[back]])]
    targets = node_of[np.concatenate([links.ends, links.starts[back]])]
    costs = np.concatenate([links.costs, links.costs[back]])
    order = np.argsort(sources, kind="stable")
    link_first = np.zeros(nodes + 1, np.int32)
    np.cumsum(np.bincount(sources, minlength=nodes), out=link_first[1:])
    return link_first, targets[order].astype(np.int32), costs[order].astype(np.float64)


def _guess_landmarks(away: U16, free: NDArray[np.bool_], stride: int, x: int, y: int) -> None:
    """Give newly opened cells the landmark distances of a neighbor, as a guide; they are no bounds then."""
    for row, column in np.argwhere(free).tolist():
        cell = (y + row) * stride + x + column
        for other in (cell - stride, cell - 1, cell + 1, cell + stride):
            if away[cell, 0] == UNKNOWN:
                away[cell] = away[other]


def _check_grid(free: U8, cost: F32, stride: int) -> None:
    if free.dtype != np.uint8 or cost.dtype != np.float32 or free.ndim != 1 or free.shape != cost.shape:
        raise Invalid(
            f"free is {free.dtype} {free.shape} and cost {cost.dtype} {cost.shape}",
            hint="give flat uint8 and float32 of one length",
        )
    if not 3 <= stride <= 32_767 or free.size % stride or free.size < 3 * stride or free.size > NODE_MASK:
        raise Invalid(f"{free.size} cells are no bordered grid with rows of {stride!r}", hint="count the border in")
    grid = _square(free, stride)
    if grid[[0, -1]].any() or grid[:, [0, -1]].any() or (free > 1).any():
        raise Invalid("free is not 0 all around, or neither 0 nor 1 somewhere", hint="put a blocked border around it")
    _check_costs(cost[free != 0])


def _check_costs(costs: F32) -> None:
    bad = costs[~((costs >= np.float32(COST_MIN)) & (costs <= COST_MAX))]
    if bad.size:
        raise Invalid(f"a free cell costs {float(bad[0])!r}", hint=f"keep costs within {COST_MIN} .. {COST_MAX:g}")


def _check_links(free: U8, stride: int, links: Links) -> None:
    count = links.starts.size
    if count > LINKS_MAX or any(array.shape != (count,) for array in links):
        raise Invalid(
            f"{count} links in arrays of {[a.shape for a in links]!r}", hint=f"at most {LINKS_MAX}, equally long"
        )
    for place, (start, end, cost) in enumerate(
        zip(links.starts.tolist(), links.ends.tolist(), links.costs.tolist(), strict=True)
    ):
        inside = all(0 < c % stride < stride - 1 and stride <= c < free.size - stride for c in (start, end))
        if not inside or start == end:
            raise Invalid(f"link {place} leads from cell {start!r} to {end!r}", hint="join two cells of the map")
        if not COST_MIN <= cost <= LINK_COST_MAX:
            raise Invalid(
                f"link {place} costs {cost!r}", hint=f"keep link costs within {COST_MIN} .. {LINK_COST_MAX:g}"
            )
