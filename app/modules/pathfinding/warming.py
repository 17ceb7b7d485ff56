"""Kernels are loaded from disk, or compiled, before a request needs one: what is asked most in the first seconds.

It knows which calls reach all kernels with the types that requests bring. The rest takes a minute on a machine's first
start: a process of its own compiles it meanwhile, so that the event loop is left in peace, and this one loads it then.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.core.clock import Deadline, SystemClock
from app.core.errors import Unavailable
from app.modules.pathfinding.board import Board, Rectangle
from app.modules.pathfinding.grounds import Ground, News, OwnGround, Wish
from app.modules.pathfinding.options import Options
from app.modules.pathfinding.settings import Settings
from app.world.entities import CellSet, Circle, Obstacle

if TYPE_CHECKING:
    from app.modules.pathfinding.cells import CellGround
    from app.modules.pathfinding.formats import Format

STARTS, GOALS = np.array([[0, 0]], np.int16), np.array([[2, 2]], np.int16)
ROWS = b"...\n.#.\n..."
WEIGHTED = b"121\n1#1\n111"
MESH = b'{"vertices":[[0,0,0],[2,0,0],[2,0,2],[0,0,2],[4,0,0],[4,0,2]],"polygons":[[0,1,2,3],[1,4,5,2]]}'
PROGRAM = "from app.modules.pathfinding.warming import warm_rest; warm_rest()"
RETRY_S = 5.0
WAIT_S = 600.0
POLL_S = 0.5


class Warmth:
    """Whether the rest is there. Before `begin` nobody waits: who never warms compiles on the way."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._done.set()
        self._compiling: subprocess.Popen[bytes] | None = None
        self._closed = False

    def begin(self) -> None:
        """From now on the rest is not there, until `finish` has ended."""
        self._done.clear()

    def finish(self) -> None:
        """Compile the rest elsewhere, where it is not on disk; then load it. For a thread of its own."""
        try:
            while not (all_kept() or getattr(sys, "frozen", False) or self._closed):
                with alone() as first:
                    if first:
                        self._compile()
                        break
                time.sleep(POLL_S)  # another server of this machine compiles
            if not self._closed:
                warm_rest()
        finally:
            self._done.set()

    def _compile(self) -> None:
        self._compiling = subprocess.Popen([sys.executable, "-c", PROGRAM])  # noqa: S603  # our own program
        self._compiling.wait()

    def require(self) -> None:
        """Raise Unavailable while the rest is not there."""
        if not self._done.is_set():
            raise Unavailable(
                "what answers this is still being compiled, as on every first start of a machine",
                hint="ask again in some seconds; path.find on grids answers already",
                retry_after_s=RETRY_S,
            )

    def wait(self) -> None:
        """Return when the rest is there, or after WAIT_S; not on the event loop."""
        self._done.wait(WAIT_S)

    def close(self) -> None:
        """End the compiling."""
        self._closed = True
        if self._compiling is not None:
            self._compiling.kill()


def all_kept() -> bool:
    """Whether everything is on disk and loads in a second; the kernel that is asked about is compiled last."""
    from app.kernels import is_kept
    from app.modules.pathfinding.crowds.orca import step

    return is_kept(step)


@contextmanager
def alone() -> Iterator[bool]:
    """Whether no other process of this user compiles now; a lock that ends with the process holds that."""
    try:
        import fcntl
    except ModuleNotFoundError:  # no such locks here: whoever starts first compiles, and so do the others
        yield True
        return
    from app.modules.pathfinding.compiled import HOUSE

    name = f"innkeeper-kernels-{HOUSE.stamp.hex()[:16]}-{os.getuid()}"
    with (Path(tempfile.gettempdir()) / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def warm_all() -> None:
    """Both parts, one after the other: for tests and benchmarks, which want nothing to compile on the way."""
    warm()
    warm_rest()


def warm() -> None:
    """What paths on plain grids and obstacles need."""
    ground = _prepared(ROWS, "rows")
    _find(ground, smooth=False)
    own = ground.own()
    own.nearest(STARTS, None)
    _stand(own)


def warm_rest() -> None:
    """All else: weighted ground, learned costs, straight lines, fields, crowds, navmeshes."""
    from app.modules.pathfinding.cells import cells_of

    _warm_mesh()  # first, as it shares no kernels with what `warm` compiles at the same time
    for rows in (ROWS, WEIGHTED):
        ground = cells_of(_prepared(rows, "rows"))
        _find(ground, smooth=True)
        ground.raycast(STARTS, GOALS)
        weighed = ground.weighable()
        _stand(weighed)
        weighed.weigh(np.full((3, 3), 2.0, np.float32), [Rectangle(0, 0, 3, 3)])
        _find(weighed, smooth=True)
        _warm_flows(weighed)
        _warm_flows(ground)


def _prepared(data: bytes, format: Format) -> Ground:
    from app.modules.pathfinding.prepared import prepare

    return prepare(data, format, Options(), Settings(), lambda *_: None, lambda: None).ground("")


def _find(ground: Ground, *, smooth: bool) -> None:
    soon = Deadline.after_ms(WAIT_S * 1000.0, SystemClock())
    for weight in (math.inf, 1.0):
        ground.find(STARTS, GOALS, Wish(math.inf, True, weight, smooth, 1_000, 64), soon)


def _stand(own: OwnGround) -> None:
    """Let obstacles come and go, and look again."""
    board, whole = Board(3, 3), [Rectangle(0, 0, 3, 3)]
    crate = Obstacle(id="crate", shape=CellSet(cells=((0, 0),)), x=2, y=1)
    bridge = Obstacle(id="bridge", shape=CellSet(cells=((0, 0),)), x=1, y=1, clears=True)
    for before, after in ((None, crate), (crate, None), (None, bridge)):
        board.change(before, after)
        own.follow(News(board, whole, {}))
        _find(own, smooth=False)


def _warm_flows(ground: CellGround) -> None:
    from app.modules.pathfinding.crowds.crowd import Crowd, Outlook
    from app.modules.pathfinding.crowds.orca import steer
    from app.modules.pathfinding.grids import fields, flow
    from app.modules.pathfinding.grids.repair import repair

    free, weights, stride = ground.open()
    field = fields.build(free, weights, stride, ground.cells(GOALS))
    repair(field, free, weights, (1, 1, 2, 2))
    flow.sample(field, np.array([[0.5, 0.5]], np.float32))
    ground.flee(STARTS, GOALS, radius=2.0, sight_steps=4.0, steps=2)
    pairs, ones = np.array([[0.5, 0.5], [2.5, 2.5]], np.float32), np.full(2, 0.4, np.float32)
    steer(Crowd(pairs, pairs, pairs, ones, ones), ground.walls(), Outlook())


def _warm_mesh() -> None:
    ground = _prepared(MESH, "godot")
    own = ground.own()
    barrel = Obstacle(id="barrel", shape=Circle(radius=0.2), x=2, y=1)
    starts, goals = np.array([[0.5, 0, 0.5]], np.float32), np.array([[3.5, 0, 1.5]], np.float32)
    soon = Deadline.after_ms(WAIT_S * 1000.0, SystemClock())
    own.follow(News(Board(0, 0), [], {"barrel": barrel}))
    for one in (ground, own):
        one.find(starts, goals, Wish(math.inf, True, 1.0, False, 1_000, 64), soon)
        one.nearest(starts, goals)
        one.draw(1, 0, None, starts, 1.0)
        one.reachable(starts, goals)
        one.raycast(starts, goals)
