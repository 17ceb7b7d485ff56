"""Prepared maps and maps as they stand in worlds, and the threads that prepare and search them.

It knows deadlines and memory; it does not know messages or the event log. What runs kernels is imported in
the threads only, because that import is slow.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import DeadlineExceeded
from app.modules.pathfinding.messages import Stage
from app.modules.pathfinding.options import Options
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.warming import Warmth, all_kept, warm, warm_all
from app.world.entities import Obstacle, StoredMap
from app.world.state import World, pair

if TYPE_CHECKING:
    from app.modules.pathfinding.formats import Format
    from app.modules.pathfinding.grids.batch_fields import FieldEngine
    from app.modules.pathfinding.live import Live
    from app.modules.pathfinding.prepared import Prepared

T = TypeVar("T")


class Taken(NamedTuple):
    """An uploaded map, prepared: `stored` has version 0 until it gets a place in its world."""

    stored: StoredMap
    prepared: Prepared
    preprocess_ms: float


class Standing:
    """What stands on one map of a world."""

    def __init__(self, world: World, map: str) -> None:
        self._world, self._map = world, map

    def changes(self) -> int:
        return self._world.state.obstacle_changes.get(self._map, 0)

    def ids(self) -> list[str]:
        prefix = pair(self._map, "")
        return [known[len(prefix) :] for known in list(self._world.state.obstacles) if known.startswith(prefix)]

    def get(self, id: str) -> Obstacle | None:
        return self._world.state.obstacles.get(pair(self._map, id))


class Progress:
    """How far an upload is; written by the thread that prepares, read by the loop."""

    def __init__(self) -> None:
        self.now: tuple[Stage, str, float] = ("reading", "", 0.0)

    def tell(self, stage: Stage, agent_class: str, share: float) -> None:
        self.now = (stage, agent_class, share)


class Planner:
    """Maps by their content, so that equal maps of any world are prepared and kept once."""

    def __init__(self, settings: Settings, clock: Clock, fields: FieldEngine | None = None) -> None:
        self._fields = fields
        self.warmth = Warmth()
        self._settings = settings
        self._clock = clock
        self._searching = ThreadPoolExecutor(settings.threads_max, thread_name_prefix="path-search")
        # A thread of its own: a big upload must not keep queries waiting.
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="path-prepare")
        # Another for what nobody waits for: learned costs, and the rest of the kernels.
        self._refining = ThreadPoolExecutor(1, thread_name_prefix="path-refine")
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()
        self._pending: dict[str, asyncio.Future[Prepared]] = {}
        self._lives: OrderedDict[tuple[str, str, str], tuple[World, Live]] = OrderedDict()

    async def run(self, work: Callable[[], T], deadline: Deadline) -> T:
        """What `work` returns, from a thread; raises DeadlineExceeded. Work not begun by then never is."""
        return await _within(asyncio.get_running_loop().run_in_executor(self._searching, work), deadline)

    async def prepare(self, work: Callable[[], T]) -> T:
        """What `work` returns, from a thread that nobody's query waits for."""
        return await asyncio.get_running_loop().run_in_executor(self._refining, work)

    def start(self, work: Callable[[], object]) -> None:
        """Let `work` run in a thread; nobody waits for it."""
        self._searching.submit(work)

    async def take(
        self, name: str, format: Format, data: bytes, options: bytes, progress: Progress, deadline: Deadline
    ) -> Taken:
        """Read, prepare and keep an uploaded map; raises Invalid, DeadlineExceeded."""
        work = functools.partial(self._take, name, format, data, options, progress)
        taken = await _within(asyncio.get_running_loop().run_in_executor(self._preparing, work), deadline)
        self._keep(taken.stored.sha256, taken.prepared)
        return taken

    def _take(self, name: str, format: Format, data: bytes, options: bytes, progress: Progress) -> Taken:
        began_s = self._clock.monotonic_s()
        prepared = self._prepare(data, format, options, progress)
        took_ms = (self._clock.monotonic_s() - began_s) * 1000.0
        rows, columns = prepared.size
        stored = StoredMap(
            name=name,
            version=0,
            format=format,
            sha256=hashlib.sha256(b"\n".join([format.encode(), options, data])).hexdigest(),
            width=columns,
            height=rows,
            data=zlib.compress(data),
            options=options,
        )
        progress.tell("storing", "", 0.0)
        return Taken(stored, prepared, took_ms)

    def _prepare(self, data: bytes, format: Format, options: bytes, progress: Progress) -> Prepared:
        from app.modules.pathfinding import prepared

        asked = msgspec.msgpack.decode(options, type=Options) if options else Options()
        return prepared.prepare(data, format, asked, self._settings, progress.tell, self.warmth.wait)

    async def live(self, world: World, stored: StoredMap, deadline: Deadline) -> Live:
        """A world's map as it stands. One stored before this process started is prepared once, for all who ask.

        That work goes on when a deadline passes, so that a later request finds it done.
        """
        key = (world.tenant, world.id, stored.name)
        known = self._lives.get(key)
        if known is not None and known[0] is world and known[1].version == stored.version:
            self._lives.move_to_end(key)
            return known[1]
        prepared = await self._ready(stored, deadline)
        known = self._lives.get(key)
        if known is not None and known[0] is world and known[1].version == stored.version:
            return known[1]
        return self._enliven(key, world, stored, prepared, known[1] if known and known[0] is world else None)

    def _enliven(
        self, key: tuple[str, str, str], world: World, stored: StoredMap, prepared: Prepared, former: Live | None
    ) -> Live:
        from app.modules.pathfinding.live import Live

        live = Live(
            stored,
            prepared,
            Standing(world, stored.name),
            network=self._fields,
            settings=self._settings,
            clock=self._clock,
        )
        if former is not None:
            live.walkers = former.walkers
        self._lives[key] = (world, live)
        self._lives.move_to_end(key)
        held = sum(kept.bytes for _, kept in self._lives.values())
        while len(self._lives) > self._settings.lives_max or (
            held > self._settings.lives_bytes_max and len(self._lives) > 1
        ):
            _, (_, dropped) = self._lives.popitem(last=False)
            held -= dropped.bytes
        return live

    async def _ready(self, stored: StoredMap, deadline: Deadline) -> Prepared:
        key = stored.sha256
        if key in self._prepared:
            self._prepared.move_to_end(key)
            return self._prepared[key]
        if key not in self._pending:
            restore = functools.partial(self._restore, stored)
            self._pending[key] = asyncio.get_running_loop().run_in_executor(self._preparing, restore)
            self._pending[key].add_done_callback(functools.partial(self._restored, key))
        return await _within(asyncio.shield(self._pending[key]), deadline)

    def _restored(self, key: str, done: asyncio.Future[Prepared]) -> None:
        del self._pending[key]
        if not done.cancelled() and done.exception() is None:
            self._keep(key, done.result())

    def _restore(self, stored: StoredMap) -> Prepared:
        return self._prepare(zlib.decompress(stored.data), cast("Format", stored.format), stored.options, Progress())

    def _keep(self, sha256: str, prepared: Prepared) -> None:
        self._prepared[sha256] = prepared
        self._prepared.move_to_end(sha256)
        held = sum(kept.bytes for kept in self._prepared.values())
        while held > self._settings.prepared_bytes_max and len(self._prepared) > 1:
            _, dropped = self._prepared.popitem(last=False)
            held -= dropped.bytes

    def warm(self) -> None:
        """Load everything; where that must be compiled, what is asked most, and the rest in a thread of its own."""
        if all_kept():
            warm_all()
            return
        self.warmth.begin()
        self._refining.submit(self.warmth.finish)
        warm()

    async def close(self) -> None:
        """Drop work that has not begun and let the threads end."""
        self.warmth.close()
        self._searching.shutdown(wait=False, cancel_futures=True)
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._refining.shutdown(wait=False, cancel_futures=True)


async def _within(work: Awaitable[T], deadline: Deadline) -> T:
    try:
        async with asyncio.timeout(deadline.left_s()):
            return await work
    except TimeoutError as error:
        raise DeadlineExceeded("the path threads were late", hint="give a longer deadline_ms") from error
