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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import numpy as np

from app.core.clock import Clock, Deadline
from app.core.errors import DeadlineExceeded
from app.modules.pathfinding import logic
from app.modules.pathfinding.graph import I16, U8, Answers, Graph
from app.modules.pathfinding.settings import Settings
from app.world.entities import StoredMap

T = TypeVar("T")
Format = Literal["movingai", "rows"]


class Planner:
    """Maps by their content, so that equal maps of any world are prepared and kept once."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._threads = ThreadPoolExecutor(settings.threads_max, thread_name_prefix="pathfinding")
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self._cells = 0

    async def run(self, work: Callable[[], T], deadline: Deadline) -> T:
        """What `work` returns, from a thread; raises DeadlineExceeded. Work not begun by then never is."""
        try:
            async with asyncio.timeout(deadline.left_s()):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise DeadlineExceeded("the path threads were late", hint="give a longer deadline_ms") from error

    async def store(self, name: str, format: Format, data: bytes, deadline: Deadline) -> tuple[StoredMap, Graph, float]:
        """An uploaded map as version 0, prepared and kept, and how many ms that took; raises Invalid."""
        stored, graph, took_ms = await self.run(functools.partial(self._take, name, format, data), deadline)
        self._keep(stored.sha256, graph)
        return stored, graph, took_ms

    def _take(self, name: str, format: Format, data: bytes) -> tuple[StoredMap, Graph, float]:
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
        return stored, graph, took_ms

    async def graph(self, stored: StoredMap, deadline: Deadline) -> Graph:
        """The prepared map; prepares one that was stored before this process started."""
        known = self._graphs.get(stored.sha256)
        if known is None:
            known = await self.run(functools.partial(self._restore, stored), deadline)
            self._keep(stored.sha256, known)
        self._graphs.move_to_end(stored.sha256)
        return known

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

    async def find(
        self, graph: Graph, starts: I16, goals: I16, *, max_cost: float, partial: bool, deadline: Deadline
    ) -> Answers:
        """Answers to all queries; those not begun before the deadline less its reserve are over budget."""
        stop = deadline.less_ms(self._settings.reply_reserve_ms)
        search = functools.partial(self._search, graph, starts, goals, max_cost=max_cost, partial=partial, stop=stop)
        return await self.run(search, deadline)

    def _search(
        self, graph: Graph, starts: I16, goals: I16, *, max_cost: float, partial: bool, stop: Deadline
    ) -> Answers:
        from app.modules.pathfinding import kernels

        parts: list[Answers] = []
        step = self._settings.chunk_pairs
        for first in range(0, len(starts), step):
            if stop.left_s() <= 0.0:
                break
            chunk = slice(first, first + step)
            parts.append(
                kernels.answers(graph, starts[chunk], goals[chunk], max_cost, partial, self._settings.expansions_max)
            )
        return parts[0] if len(parts) == 1 and len(starts) <= step else logic.join(parts, len(starts))

    async def nearest(self, graph: Graph, cells: I16, region: int, deadline: Deadline) -> I16:
        """The cell of `region` (0: of any) nearest to each of `cells`, (n, 2) int16."""

        def work() -> I16:
            from app.modules.pathfinding import kernels

            return kernels.nearest_cells(graph.labels, graph.stride, cells, region)

        return await self.run(work, deadline)

    async def close(self) -> None:
        """Drop work that has not begun and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def warm() -> None:
    """Import the kernels and load each from disk, or compile it: seconds on a machine's first start."""
    from app.modules.pathfinding import kernels

    free = np.pad(np.ones((3, 3), np.uint8), 1)
    free[2, 2] = 0
    graph = kernels.prepare(free)
    corners = np.array([[0, 0]], np.int16), np.array([[2, 2]], np.int16)
    kernels.answers(graph, *corners, np.inf, True, 10)
    kernels.nearest_cells(graph.labels, graph.stride, corners[0], 0)


def _prepare(free: U8) -> Graph:
    from app.modules.pathfinding import kernels

    return kernels.prepare(free)
