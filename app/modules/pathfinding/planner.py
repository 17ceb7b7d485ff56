"""Prepared maps, and the threads that prepare and search them.

It knows deadlines and memory; it does not know messages, worlds or the event log. The kernels are
imported in the threads only, because that import is slow.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from app.core.clock import Clock, Deadline
from app.core.errors import DeadlineExceeded
from app.modules.pathfinding import logic
from app.modules.pathfinding.grids.graph import I16, U8, Answers, Graph
from app.modules.pathfinding.settings import Settings
from app.world.entities import StoredMap

T = TypeVar("T")
Format = Literal["movingai", "rows"]


class Taken(NamedTuple):
    """An uploaded map, prepared: `stored` has version 0 until it gets a place in its world."""

    stored: StoredMap
    graph: Graph
    passable_cells: int
    preprocess_ms: float


class Planner:
    """Maps by their content, so that equal maps of any world are prepared and kept once."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._searching = ThreadPoolExecutor(settings.threads_max, thread_name_prefix="path-search")
        # A thread of its own: a big upload must not keep queries waiting.
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="path-prepare")
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self._pending: dict[str, asyncio.Future[Graph]] = {}
        self._cells = 0

    async def run(self, work: Callable[[], T], deadline: Deadline) -> T:
        """What `work` returns, from a thread; raises DeadlineExceeded. Work not begun by then never is."""
        return await _within(asyncio.get_running_loop().run_in_executor(self._searching, work), deadline)

    async def take(self, name: str, format: Format, data: bytes, deadline: Deadline) -> Taken:
        """Read, prepare and keep an uploaded map; raises Invalid, DeadlineExceeded."""
        work = functools.partial(self._take, name, format, data)
        taken = await _within(asyncio.get_running_loop().run_in_executor(self._preparing, work), deadline)
        self._keep(taken.stored.sha256, taken.graph)
        return taken

    def _take(self, name: str, format: Format, data: bytes) -> Taken:
        began_s = self._clock.monotonic_s()
        graph = _prepare(logic.parse_map(data, format, self._settings))
        took_ms = (self._clock.monotonic_s() - began_s) * 1000.0
        stored = StoredMap(
            name=name,
            version=0,
            format=format,
            sha256=hashlib.sha256(format.encode() + b"\n" + data).hexdigest(),
            width=graph.width,
            height=graph.height,
            data=zlib.compress(data),
        )
        return Taken(stored, graph, int(np.count_nonzero(graph.labels)), took_ms)

    async def graph(self, stored: StoredMap, deadline: Deadline) -> Graph:
        """The prepared map. One stored before this process started is prepared once, for all who ask meanwhile.

        That work goes on when a deadline passes, so that a later request finds it done.
        """
        key = stored.sha256
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        if key not in self._pending:
            restore = functools.partial(self._restore, stored)
            self._pending[key] = asyncio.get_running_loop().run_in_executor(self._preparing, restore)
            self._pending[key].add_done_callback(functools.partial(self._restored, key))
        return await _within(asyncio.shield(self._pending[key]), deadline)

    def _restored(self, key: str, done: asyncio.Future[Graph]) -> None:
        del self._pending[key]
        if not done.cancelled() and done.exception() is None:
            self._keep(key, done.result())

    def _restore(self, stored: StoredMap) -> Graph:
        format: Format = "rows" if stored.format == "rows" else "movingai"
        return _prepare(logic.parse_map(zlib.decompress(stored.data), format, self._settings))

    def _keep(self, sha256: str, graph: Graph) -> None:
        if sha256 not in self._graphs:
            self._graphs[sha256] = graph
            self._cells += graph.labels.size
        while self._cells > self._settings.prepared_cells_max and len(self._graphs) > 1:
            _, dropped = self._graphs.popitem(last=False)
            self._cells -= dropped.labels.size

    def search(
        self, graph: Graph, starts: I16, goals: I16, *, max_cost: float, partial: bool, deadline: Deadline
    ) -> Answers:
        """Answers to all queries, for use in a thread; those not begun before the deadline are over budget."""
        from app.modules.pathfinding.grids import search

        parts: list[Answers] = []
        step = self._settings.chunk_pairs
        for first in range(0, len(starts), step):
            if deadline.left_s() <= 0.0:
                break
            chunk = slice(first, first + step)
            parts.append(
                search.answers(graph, starts[chunk], goals[chunk], max_cost, partial, self._settings.expansions_max)
            )
        return parts[0] if len(parts) == 1 and len(starts) <= step else logic.join(parts, len(starts))

    def nearest(self, graph: Graph, cells: I16, region: int) -> I16:
        """The cell of `region` (0: of any) nearest to each of `cells`, (n, 2) int16; for use in a thread."""
        from app.modules.pathfinding.grids import labels

        return labels.nearest_cells(graph.labels, graph.stride, cells, region)

    async def close(self) -> None:
        """Drop work that has not begun and let the threads end."""
        self._searching.shutdown(wait=False, cancel_futures=True)
        self._preparing.shutdown(wait=False, cancel_futures=True)


def warm() -> None:
    """Import the kernels and load each from disk, or compile it: seconds on a machine's first start."""
    from app.modules.pathfinding.grids import labels, search, subgoals

    free = np.pad(np.ones((3, 3), np.uint8), 1)
    free[2, 2] = 0
    graph = subgoals.prepare(free)
    corners = np.array([[0, 0]], np.int16), np.array([[2, 2]], np.int16)
    search.answers(graph, *corners, np.inf, True, 10)
    labels.nearest_cells(graph.labels, graph.stride, corners[0], 0)


async def _within(work: Awaitable[T], deadline: Deadline) -> T:
    try:
        async with asyncio.timeout(deadline.left_s()):
            return await work
    except TimeoutError as error:
        raise DeadlineExceeded("the path threads were late", hint="give a longer deadline_ms") from error


def _prepare(free: U8) -> Graph:
    from app.modules.pathfinding.grids import subgoals

    return subgoals.prepare(free)
