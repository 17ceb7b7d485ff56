"""How long a crowd's step takes, beside RVO2 in the same run, and what smoothing takes and saves.

The crowd: 10,000 agents of radius 0.3 on a lattice 1.2 cells apart, jittered by 0.2, who walk at 1.3 cells a
second (1.5 at most) to random places of the same square. It is measured after 30 steps of 0.1 s, when all
are mixed; each minds its 10 nearest within 3 cells, which nearly all of them have.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import numpy as np
import report

from app.modules.pathfinding.crowds import orca
from app.modules.pathfinding.crowds.crowd import Crowd, Outlook, Walls
from app.modules.pathfinding.grids import search, sight, subgoals
from paths import published

SIDE = 100
SPACING = 1.2
CELLS = 124
MAP = "AR0011SR"


def measure(told: report.Report, *, quick: bool) -> None:
    """Add every figure of this part, or say why it is not there."""
    rounds = 15 if quick else 51
    outlook = Outlook()
    crowd = mixed(None, outlook)
    ours = lambda: orca.steer(crowd, None, outlook)  # noqa: E731  # a name for one line, used at once
    try:
        taken = report.interleaved({"ours": ours, "theirs": rvo2(crowd, outlook)}, rounds=rounds)
        peer, theirs = "RVO2 ms", taken["theirs"] * 1e3
    except ImportError:
        taken = report.interleaved({"ours": ours}, rounds=rounds)
        peer, theirs = "RVO2, not in this run, ms", 9.1
    told.add("orca_10k_ms", taken["ours"] * 1e3, "ms", "lower", goal=9, peer=peer, peer_value=theirs)
    blocked = np.random.default_rng(2).random((CELLS, CELLS)) < 0.05
    walls = Walls(np.pad((~blocked).astype(np.uint8), 1).ravel(), CELLS + 2)
    crowd = mixed(walls, outlook)
    among = statistics.median(report.seconds(lambda: orca.steer(crowd, walls, outlook)) for _ in range(rounds))
    told.add("orca_walls_10k_ms", among * 1e3, "ms", "lower")
    _measure_smoothing(told, rounds)


def mixed(walls: Walls | None, outlook: Outlook) -> Crowd:
    """The crowd after 30 steps; with walls, those who would start in one are left where they are."""
    random = np.random.default_rng(1)
    lattice = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).reshape(-1, 2) * SPACING + 1
    spots = (lattice + random.uniform(-0.2, 0.2, lattice.shape)).astype(np.float32)
    goals = random.uniform(1, SIDE * SPACING, spots.shape)
    still = np.zeros_like(spots)
    count = len(spots)
    crowd = Crowd(spots, still, still, np.full(count, 0.3, np.float32), np.full(count, 1.5, np.float32))
    for _ in range(30):
        ways = goals - crowd.positions
        far = np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1.0)
        crowd = crowd._replace(preferred=(ways / far * 1.3).astype(np.float32))
        safe = orca.steer(crowd, walls, outlook)
        spots = np.clip(crowd.positions + safe * np.float32(outlook.dt_s), 0.001, CELLS - 0.001)
        crowd = crowd._replace(positions=spots.astype(np.float32), velocities=safe)
    return crowd


def rvo2(crowd: Crowd, outlook: Outlook) -> Callable[[], object]:
    """One step of RVO2 from the same moment; raises ImportError where it is not installed."""
    import pyrvo

    simulator = pyrvo.RVOSimulator()
    simulator.set_time_step(outlook.dt_s)
    simulator.set_agent_defaults(
        outlook.neighbor_radius, outlook.neighbors_max, outlook.horizon_s, outlook.obstacle_horizon_s, 0.3, 1.5
    )
    for spot in crowd.positions.tolist():
        simulator.add_agent(spot)
    for agent in range(len(crowd.positions)):
        simulator.set_agent_velocity(agent, crowd.velocities[agent].tolist())
        simulator.set_agent_pref_velocity(agent, crowd.preferred[agent].tolist())
    return simulator.do_step


def _measure_smoothing(told: report.Report, rounds: int) -> None:
    """All published problems of one map in one batch."""
    folder = report.DATA / "maps"
    if not folder.is_dir():
        for id, unit in ((f"smooth_us.{MAP}", "us"), ("smooth_over_octile", "ratio")):
            told.add(id, None, unit, "lower", why="no maps in ../shared/data")
        return
    free = published.bordered(MAP)
    rows = [line.split() for line in (folder / f"{MAP}.map.scen").read_text().splitlines()[1:]]
    cells = np.array([[int(field) for field in row[4:8]] for row in rows], np.int16)
    starts, goals = np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2:])
    graph, flat = subgoals.prepare(free), free.ravel()
    answers = search.answers(graph, starts, goals, math.inf, False, 10**9)
    smooth = lambda: sight.smooth(flat, None, graph.stride, answers.offsets, answers.waypoints)  # noqa: E731  # a name for one line, used at once
    find = lambda: search.answers(graph, starts, goals, math.inf, False, 10**9)  # noqa: E731  # a name for one line, used at once
    smoothed = smooth()
    taken = report.interleaved({"smooth": smooth, "find": find}, rounds=rounds)
    told.add(
        f"smooth_us.{MAP}", taken["smooth"] / len(starts) * 1e6, "us", "lower", goal=10,
        peer="finding the path, us", peer_value=taken["find"] / len(starts) * 1e6,
    )  # fmt: skip
    walked = answers.cost > 0
    ratio = float((smoothed.cost[walked] / answers.cost[walked]).mean())
    told.add("smooth_over_octile", ratio, "ratio", "lower")
