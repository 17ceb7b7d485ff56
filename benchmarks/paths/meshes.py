"""Navmeshes made of published grid maps: microseconds a path and milliseconds to prepare.

A map becomes greedy maximal rectangles of passable cells. Vertices stand wherever rectangles meet,
so that edges match; corners may be touched, since this is geometry and not steps over cells.
"""

from __future__ import annotations

import statistics

import numpy as np
import report
from numpy.typing import NDArray

from app.modules.pathfinding.meshes import search
from app.modules.pathfinding.meshes.prepare import prepare
from app.modules.pathfinding.surfaces import AgentClass, Mesh, Terrain
from paths import published

DETOUR_US = {"AR0011SR": 25, "brc202d": 76, "AcrosstheCape": 126}
"""Detour's microseconds a path on these maps, taken on the same kind of machine."""

GROUND = (Terrain("blocked", float("inf")), Terrain("ground", 1.0))


def rectangles(free: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Greedy maximal rectangles that cover the passable cells, (n, 4): left, top, right, bottom."""
    rest = free.astype(bool).copy()
    height, width = rest.shape
    found = []
    for y in range(height):
        x = 0
        while x < width:
            if not rest[y, x]:
                x += 1
                continue
            best, right, most = (x, y, x + 1, y + 1), width, 0
            for bottom in range(y, height):
                row = rest[bottom, x:right]
                run = len(row) if row.all() else int(row.argmin())
                if run == 0:
                    break
                right = x + run
                if run * (bottom + 1 - y) > most:
                    most = run * (bottom + 1 - y)
                    best = (x, y, right, bottom + 1)
            left, top, right, bottom = best
            rest[top:bottom, left:right] = False
            found.append(best)
            x = right
    return np.array(found, np.int32).reshape(-1, 4)


def mesh_of(boxes: NDArray[np.int32]) -> Mesh:
    """Rectangles as a mesh, with a vertex on every edge where a corner of another one touches it."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    vertices = np.unique(corners, axis=0)
    width, height = (int(n) + 1 for n in boxes[:, 2:].max(axis=0))
    number = np.full((width, height), -1, np.int32)
    number[vertices[:, 0], vertices[:, 1]] = np.arange(len(vertices))
    first, around = [0], []
    for left, top, right, bottom in boxes.tolist():
        rim = np.concatenate(
            [
                number[left:right, top],
                number[right, top:bottom],
                number[right:left:-1, bottom],
                number[left, bottom:top:-1],
            ]
        )
        around.append(rim[rim >= 0])
        first.append(first[-1] + len(around[-1]))
    return Mesh(
        np.column_stack([vertices, np.zeros(len(vertices))]).astype(np.float32),
        np.array(first, np.int32),
        np.concatenate(around).astype(np.int32),
        np.ones(len(boxes), np.int32),
        GROUND,
        (),
        2,
    )


def read(name: str) -> tuple[Mesh, NDArray[np.float32], NDArray[np.float32]]:
    """A published map as a mesh, and its problems between the middles of cells."""
    folder = report.DATA / "maps"
    free = published.bordered(name)[1:-1, 1:-1]
    rows = [line.split() for line in (folder / f"{name}.map.scen").read_text().splitlines()[1:]]
    cells = np.array([[float(field) + 0.5 for field in row[4:8]] for row in rows], np.float32)
    starts, goals = np.zeros((2, len(cells), 3), np.float32)
    starts[:, :2], goals[:, :2] = cells[:, :2], cells[:, 2:]
    return mesh_of(rectangles(free)), starts, goals


def measure(told: report.Report, *, quick: bool) -> None:
    """Microseconds a path in one batch on one thread, all paths exact; Detour's are shorter searches, not shortest."""
    slowest = 0.0
    for name, detour_us in DETOUR_US.items():
        if not (report.DATA / "maps").is_dir():
            told.add(f"mesh_us.{name}", None, "us", "lower", goal=detour_us, why="no maps in ../shared/data")
            continue
        mesh, starts, goals = read(name)
        prepared = prepare(mesh, AgentClass())
        slowest = max(slowest, min(report.seconds(lambda mesh=mesh: prepare(mesh, AgentClass())) for _ in range(3)))

        def solve(prepared=prepared, starts=starts, goals=goals) -> object:
            return search.answers(prepared, starts, goals, np.inf, False, 10**9, 0.5)

        solve()
        us = statistics.median(report.seconds(solve) for _ in range(3 if quick else 9)) / len(starts) * 1e6
        told.add(
            f"mesh_us.{name}", us, "us", "lower", goal=detour_us, peer="Detour us (quoted)", peer_value=detour_us,
            ratio=us / detour_us,
        )  # fmt: skip
    if slowest:
        told.add("mesh_prepare_ms", slowest * 1e3, "ms", "lower")
