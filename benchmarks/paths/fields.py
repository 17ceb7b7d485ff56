"""Flow fields on a published map: cells a second, repairs, agents, and the field network on the CPU.

A figure in cells counts the passable cells that are reached, blocked ones are not counted. tcod gets the same
ground and the same rules: no diagonal cuts a corner.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import report
from numpy.typing import NDArray

from app.modules.pathfinding.grids import batch_fields, fields, flee, flow, repair
from app.modules.pathfinding.grids.subgoals import DIAGONAL, STRAIGHT
from paths import published

NAME = "AR0011SR"
IN_A_ROW = 5
"""Fields of ours timed together: one takes less than the caches need to warm after the peer's run."""
IDS = {
    "field_cells_per_s": ("cells/s", 60e6), "field_all_cells_per_s": ("cells/s", None),
    "field_weighted_cells_per_s": ("cells/s", None), "field_repair_ms": ("ms", 1),
    "field_repair_worst_ms": ("ms", None), "field_sample_us": ("us", None), "field_flee_us": ("us", None),
    "field_onnx_ms": ("ms", None),
}  # fmt: skip


class Map(NamedTuple):
    """A bordered grid, flat; `grid` is the same memory in rows. `goals` are cells of the biggest region."""

    free: NDArray[np.uint8]
    grid: NDArray[np.uint8]
    stride: int
    goals: NDArray[np.int32]


def measure(told: report.Report, *, quick: bool) -> None:
    """Every figure of IDS."""
    path = report.DATA / "maps" / f"{NAME}.map"
    if not path.is_file():
        for id, (unit, goal) in IDS.items():
            told.add(id, None, unit, _better(unit), goal=goal, why="no maps in ../shared/data")
        return
    place = read(path.stem)
    _time_fields(told, place, rounds=3 if quick else 9)
    _time_repairs(told, place, count=50 if quick else 400)
    _time_agents(told, place, rounds=3 if quick else 15)
    _time_network(told, place, rounds=1 if quick else 3)


def read(name: str) -> Map:
    """The map with eight goals spread over its biggest region."""
    grid = published.bordered(name)
    free, stride = grid.ravel(), grid.shape[1]
    everywhere = fields.build(free, fields.UNIFORM, stride, np.array([np.flatnonzero(free)[free.sum() // 2]], np.int32))
    region = np.flatnonzero((everywhere.reach >= 0.0) & (everywhere.reach < math.inf))
    return Map(free, grid, stride, region[np.linspace(0, len(region) - 1, 8).astype(int)].astype(np.int32))


def smooth_terrain(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Costs from 1 to 9 without steep steps, (cells,)."""
    height = np.random.default_rng(3).random(shape)
    for _ in range(6):
        for axis in (0, 1):
            height = (np.roll(height, 1, axis) + height + np.roll(height, -1, axis)) / 3
    height = (height - height.min()) / (height.max() - height.min())
    return (1 + 8 * height).astype(np.float32).ravel()


def tcod_field(place: Map, cost: NDArray[np.float32]) -> Callable[[int], NDArray[np.int32]]:
    """The distances of one goal through tcod, in the units of ours; costs are rounded to whole units."""
    import tcod.path

    grid = place.grid.astype(bool)
    weight = cost.reshape(grid.shape) if cost.size else np.ones(grid.shape)
    graph = tcod.path.CustomGraph(grid.shape, order="C")
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dx or dy:
                ahead, across, along = (np.roll(grid, move, (0, 1)) for move in ((-dy, -dx), (0, -dx), (-dy, 0)))
                # tcod reads costs where a step ends, conditions where it begins.
                step = 0.5 * (DIAGONAL if dx and dy else STRAIGHT) * (weight + np.roll(weight, (dy, dx), (0, 1)))
                legal = (grid & ahead & across & along).astype(np.int32)
                graph.add_edge((dy, dx), 1, cost=np.rint(step).astype(np.int32), condition=legal)

    def solve(goal: int) -> NDArray[np.int32]:
        finder = tcod.path.Pathfinder(graph)
        finder.add_root(divmod(goal, place.stride))
        finder.resolve()
        return finder.distance

    return solve


def _time_fields(told: report.Report, place: Map, *, rounds: int) -> None:
    """Whole fields, one goal each, in turns with tcod's: the median of each goal's rounds, the mean over goals."""
    for id, cost in (
        ("field_cells_per_s", fields.UNIFORM),
        ("field_weighted_cells_per_s", smooth_terrain(place.grid.shape)),
    ):
        reach = fields.build(place.free, cost, place.stride, place.goals[:1]).reach
        there = (reach >= 0.0) & (reach < math.inf)
        try:
            theirs = tcod_field(place, cost)
            distances = theirs(int(place.goals[0])).ravel()
            np.testing.assert_allclose(distances[there], reach[there], rtol=1e-3, err_msg="tcod's distances")
        except ImportError as error:
            report.note(f"tcod is not installed: {error}")
            theirs = None
        taken = [_time_goal(place, cost, goal, theirs, rounds=rounds) for goal in place.goals.tolist()]
        rate, peer = (
            int(there.sum()) / statistics.mean(seconds) if None not in seconds else None
            for seconds in zip(*taken, strict=True)
        )
        ratio = rate / peer if peer is not None else None
        told.add(id, rate, "cells/s", "higher", goal=IDS[id][1], peer="tcod", peer_value=peer, ratio=ratio)
        if not cost.size:
            everything = rate * (place.stride - 2) * (len(place.grid) - 2) / int(there.sum())
            told.add("field_all_cells_per_s", everything, "cells/s", "higher")


def _time_goal(
    place: Map, cost: NDArray[np.float32], goal: int, theirs: Callable[[int], object] | None, *, rounds: int
) -> tuple[float, float | None]:
    """Median seconds a field of ours, of IN_A_ROW, and of theirs, of one; None without a peer."""
    cells = np.array([goal], np.int32)

    def ours() -> None:
        for _ in range(IN_A_ROW):
            fields.build(place.free, cost, place.stride, cells)

    works: dict[str, Callable[[], object]] = {"ours": ours}
    if theirs is not None:
        works["theirs"] = lambda: theirs(goal)
    taken = report.interleaved(works, rounds=rounds)
    return taken["ours"] / IN_A_ROW, taken.get("theirs")


def _time_repairs(told: report.Report, place: Map, *, count: int) -> None:
    """Three by three cells closed and opened again, anywhere in the region; the mean and the worst of all."""
    grid = place.grid.copy()
    free = grid.ravel()
    field = fields.build(free, fields.UNIFORM, place.stride, place.goals[:1])
    random = np.random.default_rng(1)
    region = np.flatnonzero((field.reach > 3 * DIAGONAL) & (field.reach < math.inf))
    taken = []
    for cell in random.choice(region, count).tolist():
        row, column = divmod(cell, place.stride)
        left, top = max(column - 1, 1), max(row - 1, 1)
        right, bottom = min(column + 2, place.stride - 1), min(row + 2, len(grid) - 1)
        part = grid[top:bottom, left:right]
        before = part.copy()
        for now in (np.zeros_like(before), before):
            part[:] = now
            box = (left, top, right, bottom)
            taken.append(report.seconds(lambda box=box: repair.repair(field, free, fields.UNIFORM, box)))
    np.testing.assert_array_equal(field.flow, fields.build(free, fields.UNIFORM, place.stride, place.goals[:1]).flow)
    taken = taken[2:]  # the first loads the kernels
    told.add("field_repair_ms", statistics.mean(taken) * 1e3, "ms", "lower", goal=IDS["field_repair_ms"][1])
    told.add("field_repair_worst_ms", max(taken) * 1e3, "ms", "lower")


def _time_agents(told: report.Report, place: Map, *, rounds: int) -> None:
    """Microseconds for one of 10,000 agents to read a field, and for one of 256 to find where to flee."""
    field = fields.build(place.free, fields.UNIFORM, place.stride, place.goals[:1])
    random = np.random.default_rng(2)
    region = np.flatnonzero((field.reach >= 0.0) & (field.reach < math.inf)).astype(np.int32)
    cells = random.choice(region, 10_000)
    points = np.stack([cells % place.stride - 1, cells // place.stride - 1], axis=1) + random.random((10_000, 2))
    points = points.astype(np.float32)
    agents, threats = random.choice(region, 256), random.choice(region, 16)

    def run_away() -> flee.Flights:
        return flee.flee(place.free, fields.UNIFORM, place.stride, threats, agents, radius=16.0, sight=48.0, steps=8)

    flow.sample(field, points)
    run_away()
    taken = report.interleaved({"sample": lambda: flow.sample(field, points), "flee": run_away}, rounds=rounds)
    told.add("field_sample_us", taken["sample"] / len(points) * 1e6, "us", "lower")
    told.add("field_flee_us", taken["flee"] / len(agents) * 1e6, "us", "lower")


def _time_network(told: report.Report, place: Map, *, rounds: int) -> None:
    """Milliseconds a field of the network on one thread of the CPU, two fields at once, beside the kernel."""
    from app.engines import catalog
    from app.engines.onnx import open_onnx

    folder = report.ROOT / "models"
    try:
        entry = catalog.load(folder / "catalog.toml").entry("field")
        engine = open_onnx(name="field", entry=entry, folder=folder, batch_rows_max=8)
    except ModuleNotFoundError as error:
        told.add("field_onnx_ms", None, "ms", "lower", why=f"ONNX Runtime is not installed: {error}")
        return
    sets = [place.goals[:1], place.goals[4:5]]

    def network() -> object:
        return batch_fields.solve(engine, place.free, fields.UNIFORM, place.stride, sets, cells_max=2 * place.free.size)

    def kernel() -> object:
        return [fields.build(place.free, fields.UNIFORM, place.stride, goals) for goals in sets]

    taken = report.interleaved({"network": network, "kernel": kernel}, rounds=rounds)
    told.add(
        "field_onnx_ms", taken["network"] / len(sets) * 1e3, "ms", "lower", peer="kernel ms",
        peer_value=taken["kernel"] / len(sets) * 1e3, ratio=taken["network"] / taken["kernel"],
    )  # fmt: skip


def _better(unit: str) -> Literal["higher", "lower"]:
    return "higher" if unit.endswith("/s") else "lower"
