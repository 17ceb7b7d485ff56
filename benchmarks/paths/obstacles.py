"""From an obstacle's change to the next answer: a 3 x 3 crate on AR0011SR that comes, moves on and goes.

It drives what the module drives for a world's map, without the event log: the change is noted, the next query brings
the tables up to date and answers one path. The peer does what there is without mending: it prepares the map anew.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
import report

from app.core.clock import Deadline, SystemClock
from app.modules.pathfinding.grids import subgoals
from app.modules.pathfinding.grounds import Wish
from app.modules.pathfinding.live import Live
from app.modules.pathfinding.options import Options
from app.modules.pathfinding.prepared import prepare
from app.modules.pathfinding.settings import Settings
from app.world.entities import Box, Obstacle, StoredMap
from paths import published

MAP = "AR0011SR"


class Standing:
    """The obstacles of a world, in a dict."""

    def __init__(self) -> None:
        self.known: dict[str, Obstacle] = {}
        self.count = 0

    def changes(self) -> int:
        return self.count

    def ids(self) -> list[str]:
        return list(self.known)

    def get(self, id: str) -> Obstacle | None:
        return self.known.get(id)

    def put(self, obstacle: Obstacle | None) -> None:
        self.count += 1
        self.known = {} if obstacle is None else {obstacle.id: obstacle}


def measure(told: report.Report, *, quick: bool) -> None:
    """Milliseconds from a change to the answer, and to a map prepared anew."""
    path = report.DATA / "maps" / f"{MAP}.map"
    if not path.is_file():
        told.add("obstacle_ms", None, "ms", "lower", goal=1, why="no maps in ../shared/data")
        return
    free = published.bordered(MAP)
    prepared = prepare(path.read_bytes(), "movingai", Options(), Settings(), lambda *_: None, lambda: None)
    standing = Standing()
    stored = StoredMap(name=MAP, version=1, format="movingai", sha256="", width=512, height=512, data=b"")
    live = Live(stored, prepared, standing, network=None, settings=Settings(), clock=SystemClock())
    random = np.random.default_rng(1)
    cells = np.argwhere(free[1:-1, 1:-1] > 0)[:, ::-1].astype(np.int16)
    wish = Wish(math.inf, True, math.inf, False, 10**6, 64)
    took = []
    for turn in range(200 if quick else 2_000):
        x, y = cells[random.integers(len(cells))].tolist()
        gone = turn % 3 == 2
        standing.put(None if gone else Obstacle(id="crate", shape=Box(width=3, height=3), x=x - 1.0, y=y - 1.0))
        near = cells[random.integers(0, len(cells), 1)]
        began = time.perf_counter()
        live.touch(("crate",))
        live.ground("").find(near, cells[:1], wish, Deadline.after_ms(10_000, SystemClock()))
        took.append(1e3 * (time.perf_counter() - began))
    took = sorted(took[1:])  # the first copies the tables
    anew = statistics.median(report.seconds(lambda: subgoals.prepare(free)) for _ in range(5)) * 1e3
    median = statistics.median(took)
    told.add(
        "obstacle_ms", median, "ms", "lower", goal=1, peer="prepared anew ms", peer_value=anew, ratio=median / anew
    )
    told.add("obstacle_p99_ms", took[int(len(took) * 0.99)], "ms", "lower")
