"""Joins the requests that already wait into one run, in worker threads, and sheds those that would be late.

Nothing waits for company, unless a window is set for a device: when a worker is free, what is there runs, a large
run in chunks on every free worker. Small requests run at once on the loop. It knows rows, deadlines and costs,
not what is computed.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Error, Overloaded
from app.core.ports import After, Arrays
from app.engines.costs import Cost

INLINE_US = 120.0
"""A run below this is done on the loop: a hop to a worker and back costs as much where the cores are busy."""
SPLIT_US = 300.0
"""Work for each worker from which sharing a run gains more than the second one's waking costs."""
CHUNK_US = 1_000.0
"""A chunk takes about this long at most, so that workers end together and nobody waits long for one."""
CHUNKS = 4
"""Chunks of a shared run for each worker, where they stay large enough."""
HOP_US = 200.0
"""To a worker and back, on a busy machine."""
MARGIN = 0.8
"""The share of the time left that a promise counts on."""
HUNG_US, HUNG_TIMES = 20_000.0, 4.0
"""A run that takes this much more, and this many times as long, as it should: nothing is promised behind it."""
Outputs = dict[str, NDArray[Any]]
Compute = Callable[[Arrays], Outputs]


@dataclass(slots=True, eq=False)
class Model:
    """What requests run on: a network, what its runs cost, and how many requests hold it."""

    compute: Compute
    cost: Cost
    inline: bool = False
    """Whether small runs may be done on the loop: a device may hang, a CPU does not."""
    held: int = 0
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    def let_go(self) -> None:
        """One request less; for the loop's thread."""
        self.held -= 1
        if not self.held:
            self.drained.set()


@dataclass(slots=True, eq=False)
class _Waiting:
    model: Model
    inputs: Arrays
    rows: int
    deadline: Deadline
    after: After | None
    answer: asyncio.Future[Arrays]
    came_s: float

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """What one row is, of each array: texts of other lengths are no company."""
        return [array.shape[1:] for array in self.inputs.values()]


class _Run:
    """Requests that run together, and the chunks of them that nobody has taken yet."""

    def __init__(self, group: list[_Waiting], rows: int, size: int, workers: int) -> None:
        self.group, self.rows, self.model = group, rows, group[0].model
        self.outputs: Outputs = {}
        self.error: BaseException | None = None
        self.over = False
        """Every chunk is done, or given up after an error; set before the last worker's job is."""
        self.busy = workers
        """Workers whose job has not come back; for the loop's thread."""
        self.took: tuple[int, float] = (0, 0.0)
        self.expected_us = self.model.cost.us(rows) / workers
        self.began_s = time.perf_counter()
        self._starts, self._size = deque(range(0, rows, size)), size
        self._lock, self._inside = threading.Lock(), 0

    def work_off(self) -> None:
        """Take chunks until none is left; several workers may. The first error is kept, for the one who ends last."""
        with self._lock:
            if self.over:
                return
            self._inside += 1
        work = self._joined if len(self.group) > 1 else self._chunks
        try:
            work()
        finally:
            error = sys.exception()
            with self._lock:
                self.error = self.error or error
                self._starts.clear()  # After a fault nobody need go on.
                self._inside -= 1
                self.over = not self._inside

    def _chunks(self) -> None:
        """One request, in chunks."""
        (item,) = self.group
        while True:
            try:
                first = self._starts.popleft()
            except IndexError:
                return
            if item.answer.done():  # Its caller gave up.
                return
            last = min(first + self._size, self.rows)
            began_s = time.perf_counter()
            if last - first == self.rows:
                self.outputs = item.model.compute(item.inputs)
            else:
                found = item.model.compute({name: array[first:last] for name, array in item.inputs.items()})
                for name, part in found.items():
                    self._room(name, part)[first:last] = part
            if item.after is not None:
                item.after(first, last, self.outputs)
            self.took = (last - first, (time.perf_counter() - began_s) * 1e6)

    def _joined(self) -> None:
        """Several small requests, as one."""
        began_s = time.perf_counter()
        names: Mapping[str, Any] = self.group[0].inputs
        self.outputs = self.model.compute(
            {name: np.concatenate([item.inputs[name] for item in self.group]) for name in names}
        )
        for item, outputs in self.answers():
            if item.after is not None:
                item.after(0, item.rows, outputs)
        self.took = (self.rows, (time.perf_counter() - began_s) * 1e6)

    def answers(self) -> Iterator[tuple[_Waiting, Outputs]]:
        """Each request with its own rows."""
        if len(self.group) == 1:
            yield self.group[0], self.outputs
            return
        first = 0
        for item in self.group:
            yield item, {name: array[first : first + item.rows] for name, array in self.outputs.items()}
            first += item.rows

    def left_us(self, now_s: float) -> float:
        """Microseconds of work that it has to go; infinite when it hangs."""
        gone_us = (now_s - self.began_s) * 1e6
        if gone_us > HUNG_TIMES * self.expected_us + HUNG_US:
            return math.inf
        return max(0.0, self.expected_us - gone_us) * self.busy

    def _room(self, name: str, part: NDArray[Any]) -> NDArray[Any]:
        with self._lock:
            found = self.outputs.get(name)
            if found is None:
                found = self.outputs[name] = np.empty((self.rows, *part.shape[1:]), part.dtype)
        return found


class Batcher:
    """`workers` threads over a model, which takes at most `rows_max` rows a call; owned by one event loop.

    `queue_rows_max` bounds what waits, and so what is held of requests. With a `window_us`, few rows wait that long
    for others to come.
    """

    def __init__(
        self, model: Model, *, name: str, rows_max: int, queue_rows_max: int, workers: int = 1, window_us: float = 0.0
    ) -> None:
        self._model, self._name = model, name
        self._rows_max, self._queue_rows_max, self._window_s = rows_max, queue_rows_max, window_us / 1e6
        self._waiting: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._workers = self._free = workers
        self._runs: list[_Run] = []
        self._closed = False

    @property
    def hung_s(self) -> float:
        """For how long the oldest run hangs; 0 when none does."""
        now_s = time.perf_counter()
        return max((now_s - run.began_s for run in self._runs if math.isinf(run.left_us(now_s))), default=0.0)

    def use(self, model: Model) -> Model:
        """Answer what comes from now on with `model`; returns the one before, whose `drained` tells when it is free."""
        before, self._model = self._model, model
        before.drained.clear()
        if not before.held:
            before.drained.set()
        return before

    def rows_by(self, deadline: Deadline) -> int:
        """The rows of a request that comes now which would be done by then."""
        cost = self._model.cost
        us = deadline.left_s() * 1e6 * MARGIN - HOP_US - self._backlog_us()
        if us <= 0.0:
            return 0
        chunk = self._limit(self._model)
        shared = int(us * self._workers * chunk / cost.us(chunk))
        rows = shared if shared >= self._split(self._model) * self._workers else cost.rows_within(us)
        if not rows:
            cost.forgive()
        return rows

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        """The outputs for all rows, see app.core.ports.Network.

        Raises Overloaded, DeadlineExceeded when it would be late, EngineDown when the run fails.
        """
        if self._closed:
            raise self._gone()
        deadline.check(f"engine {self._name!r}")
        rows, model = len(next(iter(inputs.values()))), self._model
        if model.inline and not self._runs and rows <= model.cost.rows_at_rest(INLINE_US):
            return _at_once(model, inputs, rows, after)
        if self._waiting_rows + rows > self._queue_rows_max and self._waiting:
            raise Overloaded(f"engine {self._name!r} has {self._waiting_rows} rows waiting", retry_after_s=0.1)
        loop = asyncio.get_running_loop()
        item = _Waiting(model, inputs, rows, deadline, after, loop.create_future(), time.perf_counter())
        self._waiting.append(item)
        self._waiting_rows += rows
        model.held += 1
        try:
            self._start(loop)
            return await item.answer
        except asyncio.CancelledError:
            if item in self._waiting:
                self._waiting.remove(item)
                self._waiting_rows -= rows
            raise
        finally:
            model.let_go()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give what waits to the workers that are free."""
        while self._waiting and self._free and not self._closed:
            wait_s = self._company_s()
            if wait_s > 0.0:
                loop.call_later(wait_s, self._start, loop)
                return
            group = self._take()
            if group:
                self._launch(loop, group)

    def _company_s(self) -> float:
        """How much longer the oldest request should wait for others; 0 without a window or with enough rows."""
        if not self._window_s or self._waiting_rows >= self._rows_max:
            return 0.0
        return self._waiting[0].came_s + self._window_s - time.perf_counter()

    def _take(self) -> list[_Waiting]:
        """The next whole requests of one model, as many rows as a chunk holds; late ones are shed here."""
        group: list[_Waiting] = []
        rows = 0
        while self._waiting and (not group or self._joins(group, rows)):
            item = self._waiting.popleft()
            self._waiting_rows -= item.rows
            if item.answer.done():
                continue
            if item.deadline.left_s() * 1e6 <= item.model.cost.us(item.rows) / self._workers:
                item.model.cost.forgive()
                _fail(item, DeadlineExceeded(f"engine {self._name!r} shed a late request", hint="allow more time"))
                continue
            group.append(item)
            rows += item.rows
        return group

    def _joins(self, group: list[_Waiting], rows: int) -> bool:
        following, model = self._waiting[0], group[0].model
        fits = following.model is model and rows + following.rows <= self._limit(model)
        return fits and following.shapes == group[0].shapes

    def _launch(self, loop: asyncio.AbstractEventLoop, group: list[_Waiting]) -> None:
        rows, model = sum(item.rows for item in group), group[0].model
        size = self._limit(model)
        workers = 1 if len(group) > 1 else min(self._free, max(1, rows // self._split(model)))
        if workers > 1:  # Several chunks for each worker, because another thread may be late to wake.
            size = min(size, max(self._split(model) // CHUNKS, -(-rows // (CHUNKS * workers))))
        run = _Run(group, rows, max(1, size), workers)
        model.held += 1
        self._free -= workers
        self._runs.append(run)
        for _ in range(workers):
            self._threads.submit(run.work_off).add_done_callback(partial(self._come_back, loop, run))

    def _come_back(self, loop: asyncio.AbstractEventLoop, run: _Run, job: Future[None]) -> None:
        """Called in the worker's thread."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._welcome, loop, run, job)

    def _welcome(self, loop: asyncio.AbstractEventLoop, run: _Run, job: Future[None]) -> None:
        """A worker is free again; the last one brings the answers."""
        self._free += 1
        run.busy -= 1
        if run.over and run in self._runs:
            self._runs.remove(run)
            self._settle(run)
        if not run.busy:
            run.model.let_go()
            if run in self._runs:  # Cancelled before any worker began.
                self._runs.remove(run)
        self._start(loop)

    def _settle(self, run: _Run) -> None:
        if run.error is not None:
            for item in run.group:
                _fail(item, _named(run.error))
            return
        run.model.cost.note(*run.took)
        for item, outputs in run.answers():
            if not item.answer.done():
                item.answer.set_result(outputs)

    def _limit(self, model: Model) -> int:
        """Rows of a chunk."""
        return max(1, min(self._rows_max, model.cost.rows_at_rest(CHUNK_US)))

    def _split(self, model: Model) -> int:
        """Rows that are worth a worker of their own."""
        return max(1, model.cost.rows_at_rest(SPLIT_US))

    def _backlog_us(self) -> float:
        """Microseconds until what has come before is done; infinite behind a run that hangs."""
        now_s = time.perf_counter()
        running_us = sum(run.left_us(now_s) for run in self._runs)
        waiting_us = sum(item.model.cost.us(item.rows) for item in self._waiting)
        return (running_us + waiting_us) / self._workers

    def _gone(self) -> EngineDown:
        return EngineDown(f"engine {self._name!r} is closed", hint="the server is stopping")

    async def close(self) -> None:
        """Fail what waits and what runs, and let go of the workers; a hung run is left behind, not waited for."""
        self._closed = True
        for item in (*self._waiting, *(item for run in self._runs for item in run.group)):
            _fail(item, self._gone())
        self._waiting.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _at_once(model: Model, inputs: Arrays, rows: int, after: After | None) -> Outputs:
    """A small run in this thread, which is the loop's."""
    began_s = time.perf_counter()
    outputs = model.compute(inputs)
    if after is not None:
        after(0, rows, outputs)
    model.cost.note(rows, (time.perf_counter() - began_s) * 1e6)
    return outputs


def _named(error: BaseException) -> Error:
    return error if isinstance(error, Error) else EngineDown(f"a run failed: {error!r}", hint="see the engine's status")


def _fail(item: _Waiting, error: Error) -> None:
    if not item.answer.done():
        item.answer.set_exception(error)
