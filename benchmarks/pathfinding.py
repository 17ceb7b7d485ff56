"""How fast and how short: the path kernels on published maps, beside tcod and python-pathfinding.

All three get the same problems under the same rules: eight neighbors, a diagonal costs sqrt 2 and
never cuts a corner. It measures inside the process; sockets and JSON are not in these figures.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import report
from numpy.typing import NDArray
from paths import crowds, dangers, fields, formats, meshes, obstacles, pictures, published, weighted, wires

from app.modules.pathfinding.grids import hubs, search, subgoals
from app.modules.pathfinding.grids.graph import Answers, Graph

GOALS_US = {"AR0011SR": 4, "brc202d": 20, "AcrosstheCape": 35, "32room_000": 12, "maze512-8-0": 25}
GOALS_PER_S = {"AR0011SR": 450_000, "brc202d": 80_000, "AcrosstheCape": 50_000}
LABEL_ENTRIES_MAX = 4_000_000
LABEL_READS_MAX = 50_000_000
SQUARE_512 = ("AR0011SR", "32room_000", "maze512-8-0")
PARTS = (weighted, fields, obstacles, crowds, meshes, wires, formats, pictures, dangers)
"""What each engine has of its own; they name the figures of the contract too."""

Cells = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Problems:
    """A map with its published problems: `starts`, `goals` (n, 2), `lengths` (n,), 0 for no path."""

    name: str
    free: NDArray[np.uint8]
    graph: Graph
    starts: Cells
    goals: Cells
    lengths: NDArray[np.float64]

    def some(self, count: int) -> Problems:
        """Problems spread evenly over all that have a path."""
        solvable = np.flatnonzero((self.lengths > 0) | (self.starts == self.goals).all(axis=1))
        chosen = solvable[np.linspace(0, len(solvable) - 1, count).astype(int)]
        return Problems(self.name, self.free, self.graph, self.starts[chosen], self.goals[chosen], self.lengths[chosen])

    def labeled(self) -> Problems:
        """The same problems, answered by hub labels."""
        graph = hubs.refine(self.graph, LABEL_ENTRIES_MAX, LABEL_READS_MAX)
        return Problems(self.name, self.free, graph, self.starts, self.goals, self.lengths)

    def solve(self) -> Answers:
        """All of them in one batch."""
        return search.answers(self.graph, self.starts, self.goals, math.inf, False, 10**9)

    def solved_optimally(self, answers: Answers) -> int:
        """How many answers have the published length, or are unreachable where there is none."""
        none = (self.lengths == 0) & (self.starts != self.goals).any(axis=1)
        close = np.abs(answers.cost - self.lengths) <= 0.02 + 1e-4 * self.lengths
        return int(np.where(none, answers.status == search.UNREACHABLE, close).sum())


def read(name: str) -> Problems:
    """A map and its scenario file."""
    folder = report.DATA / "maps"
    free = published.bordered(name)
    rows = [line.split() for line in (folder / f"{name}.map.scen").read_text().splitlines()[1:]]
    cells = np.array([[int(field) for field in row[4:8]] for row in rows], np.int16)
    starts, goals = np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2:])
    return Problems(name, free, subgoals.prepare(free), starts, goals, np.array([float(row[8]) for row in rows]))


def tcod_solver(problems: Problems) -> Callable[[], list[float]]:
    """A run of the problems through tcod, with edges only where a step is legal; returns the costs."""
    import tcod.path

    free = problems.free[1:-1, 1:-1].astype(bool)
    padded = problems.free.astype(bool)
    height, width = free.shape
    graph = tcod.path.CustomGraph((height, width), order="C")
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dx or dy:
                ahead = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
                beside = (
                    padded[1 : 1 + height, 1 + dx : 1 + dx + width] & padded[1 + dy : 1 + dy + height, 1 : 1 + width]
                )
                cost = subgoals.DIAGONAL if dx and dy else subgoals.STRAIGHT
                graph.add_edge(
                    (dy, dx), cost, cost=free.astype(np.int32), condition=(free & ahead & beside).astype(np.int32)
                )
    graph.set_heuristic(cardinal=subgoals.STRAIGHT, diagonal=subgoals.DIAGONAL)

    def solve() -> list[float]:
        costs = []
        for (sx, sy), (gx, gy) in zip(problems.starts.tolist(), problems.goals.tolist(), strict=True):
            finder = tcod.path.Pathfinder(graph)
            finder.add_root((sy, sx))
            steps = np.diff(finder.path_to((gy, gx)), axis=0)
            costs.append(float(np.sqrt((steps**2).sum(axis=1)).sum()))
        return costs

    return solve


def python_solver(problems: Problems) -> Callable[[], list[float]]:
    """The same through python-pathfinding."""
    from pathfinding.core.diagonal_movement import DiagonalMovement
    from pathfinding.core.grid import Grid
    from pathfinding.finder.a_star import AStarFinder

    grid = Grid(matrix=problems.free[1:-1, 1:-1].tolist())
    finder = AStarFinder(diagonal_movement=DiagonalMovement.only_when_no_obstacle)

    def solve() -> list[float]:
        costs = []
        for (sx, sy), (gx, gy) in zip(problems.starts.tolist(), problems.goals.tolist(), strict=True):
            grid.cleanup()
            path, _ = finder.find_path(grid.node(sx, sy), grid.node(gx, gy), grid)
            cells = np.array([(node.x, node.y) for node in path])
            costs.append(float(np.sqrt((np.diff(cells, axis=0) ** 2).sum(axis=1)).sum()))
        return costs

    return solve


def compare(
    told: report.Report, problems: Problems, peer: str, make: Callable[[Problems], Callable[[], list[float]]],
    *, id: str, count: int, rounds: int,
) -> None:  # fmt: skip
    """Ours and a peer on the same problems in turns; says how many of the peer's paths were optimal."""
    sample = problems.some(count)
    try:
        theirs = make(sample)
    except ImportError as error:
        told.add(id, None, "ratio", "lower", why=f"{peer} is not installed: {error}")
        return
    taken = report.interleaved({"ours": sample.solve, "theirs": theirs}, rounds=rounds)
    optimal = int((np.abs(np.array(theirs()) - sample.lengths) <= 0.02 + 1e-4 * sample.lengths).sum())
    ours_us, theirs_us = (taken[who] / count * 1e6 for who in ("ours", "theirs"))
    report.note(
        f"{problems.name}: {count} problems, ours {ours_us:.1f} us, {peer} {theirs_us:,.0f} us, {optimal} optimal"
    )
    ratio = taken["ours"] / taken["theirs"]
    told.add(id, ratio, "ratio", "lower", goal=1, peer=f"{peer} us", peer_value=theirs_us, ratio=ratio)


def time_paths(told: report.Report, problems: Problems, *, stage: str, rounds: int) -> None:
    """Microseconds a path on one thread, and paths a second on two; `stage` ends the figures' names."""
    many = max(1, 20_000 // len(problems.starts))

    def repeat(_: int) -> None:
        for _ in range(many):
            problems.solve()

    repeat(0)
    one = statistics.median(report.seconds(lambda: repeat(0)) for _ in range(rounds)) / many / len(problems.starts)
    goal = GOALS_US.get(problems.name)
    told.add(f"us_per_path.{problems.name}{stage}", one * 1e6, "us", "lower", goal=goal)
    if problems.name not in GOALS_PER_S:
        return

    with ThreadPoolExecutor(2) as threads:
        both = statistics.median(
            report.seconds(lambda: list(threads.map(repeat, range(2)))) for _ in range(max(3, rounds // 2))
        )
    per_s = 2 * many * len(problems.starts) / both
    goal = GOALS_PER_S[problems.name]
    told.add(f"paths_per_s_2_threads.{problems.name}{stage}", per_s, "paths/s", "higher", goal=goal)


def time_unreachable(told: report.Report, problems: Problems, *, rounds: int) -> None:
    """Goals in another region, in batches of 1,024."""
    grid = problems.graph.labels.reshape(-1, problems.graph.stride)[1:-1, 1:-1]
    sizes = np.bincount(grid[grid > 0])
    main = int(sizes.argmax())
    other = np.argwhere((grid > 0) & (grid != main))[:, ::-1].astype(np.int16)
    goals = np.ascontiguousarray(other[np.arange(1_024) % len(other)])
    starts = np.ascontiguousarray(problems.starts[np.arange(1_024) % len(problems.starts)])
    same = problems.graph.labels[(starts[:, 1].astype(int) + 1) * problems.graph.stride + starts[:, 0] + 1] == main
    starts[~same] = starts[same][0]

    def batch() -> Answers:
        return search.answers(problems.graph, starts, goals, math.inf, False, 10**9)

    assert (batch().status == search.UNREACHABLE).all()
    taken = statistics.median(report.seconds(batch) for _ in range(10 * rounds))
    told.add("unreachable_us", taken / 1_024 * 1e6, "us", "lower", goal=3)


def ready(free: NDArray[np.uint8]) -> Graph:
    """A bordered grid as the server prepares it before its first answer, hub labels included."""
    return hubs.refine(subgoals.prepare(free), LABEL_ENTRIES_MAX, LABEL_READS_MAX)


def held(graph: Graph) -> int:
    """What the tables of a map take in memory."""
    return sum(part.nbytes for part in (*graph, *graph.hubs) if isinstance(part, np.ndarray))


def time_preprocessing(told: report.Report, maps: dict[str, Problems]) -> None:
    """Bordered grid to what answers; the figure is the slowest of the 512 x 512 maps."""
    noise = np.pad((np.random.default_rng(1).random((512, 512)) > 0.25).astype(np.uint8), 1)
    grids = {name: problems.free for name, problems in maps.items()} | {"random_25_percent": noise}
    taken = {
        name: 1e3 * statistics.median(report.seconds(lambda free=free: ready(free)) for _ in range(3))
        for name, free in grids.items()
    }
    told.add("preprocess_ms", max(taken[name] for name in SQUARE_512), "ms", "lower", goal=50)
    for name, ms in taken.items():
        told.add(f"preprocess_ms.{name}", ms, "ms", "lower")
    for name, problems in maps.items():
        graph = ready(problems.free)
        told.add(f"bytes_per_cell.{name}", held(graph) / problems.free.size, "bytes", "lower")


def time_warming(told: report.Report) -> None:
    """What module.warm takes in a new process: with nothing on disk, and with everything there."""
    program = (
        "import time, numba; began = time.perf_counter();"
        "from app.modules.pathfinding.warming import warm; warm(); print(time.perf_counter() - began)"
    )
    with tempfile.TemporaryDirectory() as folder:
        for id in ("warm_cold_cache_s", "warm_from_disk_s"):
            ran = subprocess.run(
                [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=report.ROOT,
                env=os.environ | {"NUMBA_CACHE_DIR": folder},
            )  # fmt: skip
            told.add(id, float(ran.stdout), "s", "lower", goal=12 if "cold" in id else 1)


def main() -> None:
    """Take every figure, or say why it is not there."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != here]  # our name would hide the peer
    told = report.start("pathfinding")
    rounds = 5 if told.options.quick else 15
    if not (report.DATA / "maps").is_dir():
        ids = [*(f"us_per_path.{name}" for name in GOALS_US), "unreachable_us", "optimal_share", "preprocess_ms"]
        for id in ids:
            told.add(id, None, "", "lower", why="no maps in ../shared/data")
    else:
        maps = {name: read(name) for name in (*GOALS_US, "arena")}
        labeled = {name: problems.labeled() for name, problems in maps.items()}
        for name, problems in maps.items():
            time_paths(told, labeled[name], stage="", rounds=rounds)
            time_paths(told, problems, stage=".searched", rounds=rounds)
        both = [*maps.values(), *labeled.values()]
        right = sum(problems.solved_optimally(problems.solve()) for problems in both)
        total = sum(len(problems.starts) for problems in both)
        told.add("optimal_share", right / total, f"of {total} problems", "higher", goal=1)
        time_unreachable(told, maps["AcrosstheCape"], rounds=rounds)
        time_preprocessing(told, maps)
        for name in GOALS_US:
            count = 20 if told.options.quick else 100
            compare(told, maps[name], "tcod", tcod_solver, id=f"tcod_ratio.{name}", count=count, rounds=3)
        for name in GOALS_PER_S:
            id = f"python_pathfinding_ratio.{name}"
            count = 3 if told.options.quick else 12
            compare(told, maps[name], "python-pathfinding", python_solver, id=id, count=count, rounds=1)
    time_warming(told)
    for part in PARTS:
        part.measure(told, quick=told.options.quick)
    told.close()


if __name__ == "__main__":
    main()
