"""The ground as one class of agents sees it: where it fits, and what each cell costs it.

It knows sizes, cost tables and forbidden terrain; it does not search, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.modules.pathfinding.formats.limits import COST_MAX, COST_MIN, unfit
from app.modules.pathfinding.surfaces import BLOCKED, F32, U8, AgentClass, Surface

N = TypeVar("N", np.uint8, np.float32)


class Ground(NamedTuple):
    """A grid with a border of one blocked cell: cell = row * stride + column."""

    free: U8
    """(cells,): 1 where the agent's cell may be, all cells that it covers being passable."""
    cost: F32 | None
    """(cells,): the greatest cost that it covers, 0 where it may not be; None where all are `uniform`."""
    stride: int
    uniform: float
    """What each free cell costs where `cost` is None; else the least cost of a free cell."""


def ground(surface: Surface, agent: AgentClass) -> Ground:
    """What a class of agents may walk on, flat and bordered, and at which costs.

    An agent of size n at cell (x, y) covers x - (n - 1) // 2 .. x + n // 2, and the same in y.
    Raises Invalid for a terrain that the map does not have, or costs that are out of range together.
    """
    costs = _costs(surface, agent)
    passable = np.isfinite(costs)[surface.terrain]  # (rows, columns)
    free = _windows(passable.astype(np.uint8), agent.size, np.minimum)
    bordered, stride = np.pad(free, 1).reshape(-1), surface.width + 2
    walked = np.flatnonzero(np.isfinite(costs))
    if surface.scale is None and len(np.unique(costs[walked])) > 1:
        walked = np.flatnonzero(np.bincount(surface.terrain[passable], minlength=len(costs)))
    if not free.any() or (surface.scale is None and len(np.unique(costs[walked])) == 1):
        return Ground(bordered, None, stride, float(costs[walked[0]]) if len(walked) else 1.0)
    cost = _windows(_cell_costs(surface, costs, passable), agent.size, np.maximum) * free
    least, most = float(cost[free > 0].min()), float(cost.max())
    if least == most:
        return Ground(bordered, None, stride, least)
    return Ground(bordered, np.pad(cost, 1).reshape(-1), stride, least)


def _costs(surface: Surface, agent: AgentClass) -> F32:
    """What one straight step over each terrain costs this class, (terrains,); inf where it does not walk."""
    names = [terrain.name for terrain in surface.terrains]
    for name in (*agent.costs, *agent.forbidden):
        if name not in names:
            raise Invalid(f"the map has no terrain {name!r}", hint=nearest(name, names))
    if names[BLOCKED] in agent.costs:
        raise Invalid(f"terrain {names[BLOCKED]!r} has a cost", hint="nobody walks on it: give another terrain a cost")
    costs = np.array([agent.costs.get(terrain.name, terrain.cost) for terrain in surface.terrains], np.float32)
    costs[[names.index(name) for name in agent.forbidden]] = np.inf
    costs[BLOCKED] = np.inf
    odd = np.isfinite(costs) & unfit(costs)
    if odd.any():
        name = names[int(odd.argmax())]
        raise Invalid(f"terrain {name!r} costs {agent.costs[name]!r}", hint=f"expected {COST_MIN} to {COST_MAX:g}")
    return costs


def _cell_costs(surface: Surface, costs: F32, passable: NDArray[np.bool_]) -> F32:
    """What one straight step over each cell costs, (rows, columns); 0 where this class does not walk."""
    cost = np.where(np.isfinite(costs), costs, np.float32(0.0))[surface.terrain]
    if surface.scale is not None:
        cost *= surface.scale
        odd = passable & unfit(cost)
        if odd.any():
            y, x = divmod(int(odd.argmax()), surface.width)
            name, found = surface.terrains[surface.terrain[y, x]].name, float(cost[y, x])
            raise Invalid(
                f"terrain {name!r} costs {found!r} at cell {(x, y)!r}, which has a multiplier of its own",
                hint=f"give it a cost that leaves every cell between {COST_MIN} and {COST_MAX:g}",
            )
    return cost


def _windows(cells: NDArray[N], size: int, take: Callable[[NDArray[N], NDArray[N]], NDArray[N]]) -> NDArray[N]:
    """The least or greatest of the cells that an agent covers, (rows, columns); outside is 0.

    Doubling the window takes log2(size) passes an axis.
    """
    for axis in (0, 1):
        around = [(0, 0), (0, 0)]
        around[axis] = ((size - 1) // 2, size // 2)
        cells, width = np.moveaxis(np.pad(cells, around), axis, 0), 1
        while width < size:
            step = min(width, size - width)
            cells, width = take(cells[:-step], cells[step:]), width + step
        cells = np.moveaxis(cells, 0, axis)
    return cells
