"""Weighted ground on published maps: speed and quality of paths, beside tcod, scikit-image and networkit.

The terrain is made here: whole numbers 1 .. 9 drawn evenly with a fixed seed, blurred twice by a box of 9 x 9
cells that wraps around, and stretched to 1 .. 9 again. tcod has the same edges, as integers; scikit-image
weighs steps as we do but cuts corners; networkit searches the same graph with plain Dijkstra. Problems are
the published ones of each map; peers get some of them, spread evenly.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import report
from numpy.typing import NDArray

from app.modules.pathfinding.grids import costs, weighted
from app.modules.pathfinding.grids.graph import F32, I16, U8, Answers
from app.modules.pathfinding.grids.overlay import Weighted
from paths import published

GOALS_US = {"AR0011SR": 150, "AcrosstheCape": 500}
OVER_OPTIMAL = 1.05
SEED = 1
SCALE = 10_000
"""tcod's edges are integers: so many to a unit of cost."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A map with terrain and its published problems: `starts` and `goals` (n, 2)."""

    name: str
    free: U8
    cost: F32
    stride: int
    starts: I16
    goals: I16

    def some(self, count: int) -> Ground:
        """Problems spread evenly over all."""
        chosen = np.linspace(0, len(self.starts) - 1, count).astype(int)
        return Ground(self.name, self.free, self.cost, self.stride, self.starts[chosen], self.goals[chosen])

    def solver(self, prepared: Weighted, *, exact: bool) -> Callable[[], tuple[Answers, U8, F32]]:
        """All problems in one batch, in one thread."""
        scratch = weighted.scratch_for(prepared)
        return lambda: weighted.find_paths(
            prepared, self.starts, self.goals, max_cost=math.inf, partial=False, weight=math.inf,
            expansions_max=10**9, exact=exact, scratch=scratch,
        )  # fmt: skip


def terrain(shape: tuple[int, int], *, seed: int = SEED, radius: int = 4) -> F32:
    """Smoothed terrain 1 .. 9, (height, width) float32."""
    field = np.random.default_rng(seed).integers(1, 10, shape).astype(np.float64)
    for _ in range(2):
        for axis in range(2):
            field = np.mean([np.roll(field, by, axis) for by in range(-radius, radius + 1)], axis=0)
    return (1.0 + 8.0 * (field - field.min()) / (field.max() - field.min())).astype(np.float32)


def read(name: str) -> Ground:
    """A published map, with terrain."""
    folder = report.DATA / "maps"
    grid = published.bordered(name)
    rows = [line.split() for line in (folder / f"{name}.map.scen").read_text().splitlines()[1:]]
    cells = np.array([[int(field) for field in row[4:8]] for row in rows], np.int16)
    height, width = grid.shape[0] - 2, grid.shape[1] - 2
    cost = np.pad(terrain((height, width)), 1, constant_values=1.0)
    starts, goals = np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2:])
    return Ground(name, np.ascontiguousarray(grid).ravel(), cost.ravel(), grid.shape[1], starts, goals)


def measure(told: report.Report, *, quick: bool) -> None:
    """Every figure of weighted ground."""
    if not (report.DATA / "maps").is_dir():
        for name, goal in GOALS_US.items():
            told.add(f"weighted_us.{name}", None, "us", "lower", goal=goal, why="no maps in ../shared/data")
        told.add("weighted_over_optimal", None, "ratio", "lower", goal=OVER_OPTIMAL, why="no maps in ../shared/data")
        return
    worst = 0.0
    for name in GOALS_US:
        ground = read(name)
        prepared = costs.prepare(ground.free, ground.cost, ground.stride)
        worst = max(worst, _time_paths(told, ground, prepared, rounds=3 if quick else 9))
        _time_changes(told, ground, prepared, rounds=1 if quick else 3, repairs=20 if quick else 200)
        if name == "AR0011SR":
            _compare(told, ground.some(4 if quick else 20), prepared)
    told.add("weighted_over_optimal", worst, "ratio", "lower", goal=OVER_OPTIMAL)


def _time_paths(told: report.Report, ground: Ground, prepared: Weighted, *, rounds: int) -> float:
    """Microseconds a path and their mean cost over the least; returns that ratio."""
    quick, exact = ground.solver(prepared, exact=False), ground.solver(prepared, exact=True)
    least, found = exact()[0], quick()
    taken = statistics.median(report.seconds(quick) for _ in range(rounds)) / len(ground.starts) * 1e6
    proved = min(report.seconds(exact) for _ in range(2)) / len(ground.starts) * 1e6
    over = np.where(least.cost > 0.0, found[0].cost / np.maximum(least.cost, 1e-9), 1.0)
    bound = float(found[2].astype(np.float64).mean())
    report.note(f"{ground.name}: {over.max():.4f} x the least cost at most, {bound:.3f} proved in the mean")
    told.add(f"weighted_us.{ground.name}", taken, "us", "lower", goal=GOALS_US[ground.name],
             peer="exact us", peer_value=proved)  # fmt: skip
    told.add(f"weighted_over_optimal.{ground.name}", float(over.mean()), "ratio", "lower", goal=OVER_OPTIMAL)
    return float(over.mean())


def _time_changes(told: report.Report, ground: Ground, prepared: Weighted, *, rounds: int, repairs: int) -> None:
    """Preparation, its memory, and the repair of 3 x 3 cells that are blocked and opened in turns."""
    spent = [report.seconds(lambda: costs.prepare(ground.free, ground.cost, ground.stride)) for _ in range(rounds)]
    told.add(f"weighted_prepare_ms.{ground.name}", 1e3 * statistics.median(spent), "ms", "lower")
    told.add(f"weighted_bytes_per_cell.{ground.name}", prepared.bytes / ground.free.size, "bytes", "lower", goal=64)
    took = []
    for x, y in ground.goals[:: max(1, len(ground.goals) // repairs)].tolist():
        x, y = max(x - 1, 0), max(y - 1, 0)
        free = ground.free.copy()
        free.reshape(-1, ground.stride)[y + 1 : y + 4, x + 1 : x + 4] = 0
        rect = (x, y, min(3, ground.stride - 2 - x), min(3, ground.free.size // ground.stride - 2 - y))
        took += [
            report.seconds(lambda grid=grid, rect=rect: costs.repair(prepared, rect, grid, ground.cost))
            for grid in (free, ground.free)
        ]
    told.add(f"weighted_repair_ms.{ground.name}", 1e3 * statistics.median(took), "ms", "lower", goal=1)


def _compare(told: report.Report, ground: Ground, prepared: Weighted) -> None:
    """Ours and each peer on the same problems, in turns."""
    ours = ground.solver(prepared, exact=False)
    for peer, make in (("tcod", _tcod), ("scikit-image", _skimage), ("networkit", _networkit)):
        id = f"weighted_{peer.replace('-', '_')}_ratio"
        try:
            theirs = make(ground)
        except ImportError as error:
            told.add(id, None, "ratio", "lower", why=f"{peer} is not installed: {error}")
            continue
        taken = report.interleaved({"ours": ours, "theirs": theirs}, rounds=3)
        least = ground.solver(prepared, exact=True)()[0].cost
        over = float(np.sum(theirs()) / np.sum(least))
        theirs_us = taken["theirs"] / len(ground.starts) * 1e6
        report.note(f"{ground.name}: {peer} {theirs_us:,.0f} us at {over:.4f} x the least cost")
        told.add(id, taken["ours"] / taken["theirs"], "ratio", "lower", goal=1, peer=f"{peer} us",
                 peer_value=theirs_us, ratio=taken["ours"] / taken["theirs"])  # fmt: skip


def _steps(ground: Ground) -> list[tuple[int, int, NDArray[np.bool_], F32]]:
    """dx, dy, where that step is legal, and what it costs, both (height, width)."""
    free = ground.free.reshape(-1, ground.stride).astype(bool)
    cost = ground.cost.reshape(-1, ground.stride)
    height, width = free.shape[0] - 2, free.shape[1] - 2
    found = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            rows, columns = slice(1 + dy, 1 + dy + height), slice(1 + dx, 1 + dx + width)
            here = free[1:-1, 1:-1] & free[rows, columns] & free[1:-1, columns] & free[rows, 1:-1]
            length = np.float32(math.hypot(dx, dy) / 2.0)
            if dx or dy:
                found.append((dx, dy, here, length * (cost[1:-1, 1:-1] + cost[rows, columns])))
    return found


def _tcod(ground: Ground) -> Callable[[], list[float]]:
    """A* over the same edges. tcod puts a price on the entered cell, so each direction has a map of its own."""
    import tcod.path

    steps = _steps(ground)
    graph = tcod.path.CustomGraph(steps[0][2].shape, order="C")
    for dx, dy, legal, cost in steps:
        ahead = np.zeros(legal.shape, np.int32)
        ys, xs = np.nonzero(legal)
        ahead[ys + dy, xs + dx] = np.rint(SCALE * cost[ys, xs])
        graph.add_edge((dy, dx), 1, cost=ahead)
    least = int(SCALE * ground.cost[ground.free != 0].min())
    graph.set_heuristic(cardinal=least, diagonal=int(least * math.sqrt(2.0)))

    def solve() -> list[float]:
        found = []
        for (sx, sy), (gx, gy) in zip(ground.starts.tolist(), ground.goals.tolist(), strict=True):
            finder = tcod.path.Pathfinder(graph)
            finder.add_root((sy, sx))
            finder.resolve((gy, gx))
            found.append(float(finder.distance[gy, gx]) / SCALE)
            finder.path_to((gy, gx))
        return found

    return solve


def _skimage(ground: Ground) -> Callable[[], list[float]]:
    """MCP_Geometric: steps cost what ours do, but diagonals cut corners."""
    from skimage.graph import MCP_Geometric

    free = ground.free.reshape(-1, ground.stride)[1:-1, 1:-1]
    costs_there = np.where(free != 0, ground.cost.reshape(-1, ground.stride)[1:-1, 1:-1], -1.0)

    def solve() -> list[float]:
        found = []
        for (sx, sy), (gx, gy) in zip(ground.starts.tolist(), ground.goals.tolist(), strict=True):
            search = MCP_Geometric(costs_there, fully_connected=True)
            spent, _ = search.find_costs([(sy, sx)], [(gy, gx)])
            search.traceback((gy, gx))
            found.append(float(spent[gy, gx]))
        return found

    return solve


def _networkit(ground: Ground) -> Callable[[], list[float]]:
    """Dijkstra with a target over the same graph."""
    import networkit

    width = ground.stride - 2
    graph = networkit.Graph(ground.free.size, weighted=True)
    for dx, dy, legal, cost in _steps(ground):
        if (dy, dx) > (0, 0):
            ys, xs = np.nonzero(legal)
            ends = ys * width + xs, (ys + dy) * width + xs + dx
            graph.addEdges((cost[ys, xs].astype(np.float64), ends))

    def solve() -> list[float]:
        found = []
        for (sx, sy), (gx, gy) in zip(ground.starts.tolist(), ground.goals.tolist(), strict=True):
            start, goal = sy * width + sx, gy * width + gx
            search = networkit.distance.Dijkstra(graph, start, True, False, goal)
            search.run()
            found.append(float(search.distance(goal)))
        return found

    return solve
