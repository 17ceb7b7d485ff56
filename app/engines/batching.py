"""Joins the requests that already wait into one run, in worker threads, and sheds those that are late.

Nothing waits for company: when a worker is free, what is there runs, a large run on every free worker. Small
requests run at once on the loop. It knows rows and deadlines, not what is computed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Overloaded
from app.core.ports import Arrays

CHUNKS = 4
"""Chunks of a shared run for each worker, where they stay large enough."""
Outputs = dict[str, NDArray[Any]]
Compute = Callable[[Arrays], Outputs]


@dataclass(slots=True)
class _Waiting:
    inputs: Arrays
    rows: int
    deadline: Deadline
    answer: asyncio.Future[Arrays]


@dataclass(slots=True, eq=False)
class _Running:
    """Requests in one run, and how many workers were free for it."""

    group: list[_Waiting]
    workers: int


class _Heap:
    """The chunks of one run that nobody has taken yet, and room for what comes of them."""

    def __init__(self, rows: int, starts: deque[int], size: int) -> None:
        self.starts = starts
        self.outputs: Outputs = {}
        self._rows, self._size = rows, size
        self._making = Lock()

    def work_off(self, compute: Compute, inputs: Arrays) -> None:
        """Take chunks until none is left; several threads may."""
        while True:
            try:
                start = self.starts.popleft()
            except IndexError:
                return
            found = compute({name: array[start : start + self._size] for name, array in inputs.items()})
            with self._making:
                if not self.outputs:
                    self.outputs = {name: _room(self._rows, part) for name, part in found.items()}
            for name, part in found.items():
                self.outputs[name][start : start + self._size] = part


class Batcher:
    """`workers` threads over `compute`, which takes at most `rows_max` rows a call; owned by one event loop.

    Requests of up to `inline_rows` rows run on the loop when nothing else runs. A run is shared by free workers
    when each gets `split_rows` rows or more. `queue_rows_max` bounds what waits.
    """

    def __init__(
        self, compute: Compute, *, name: str, rows_max: int, queue_rows_max: int, inline_rows: int,
        split_rows: int = 256, workers: int = 1,
    ) -> None:  # fmt: skip
        self._compute, self._name = compute, name
        self._rows_max, self._queue_rows_max, self._inline_rows = rows_max, queue_rows_max, inline_rows
        self._split_rows = max(1, split_rows)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._free = workers
        self._running: list[_Running] = []
        self._closed = False

    async def run(self, inputs: Arrays, deadline: Deadline) -> Arrays:
        """The outputs for all rows; raises Overloaded, DeadlineExceeded when shed, EngineDown when the run fails."""
        if self._closed:
            raise self._gone()
        deadline.check(f"engine {self._name!r}")
        rows = len(next(iter(inputs.values())))
        if rows <= self._inline_rows and not self._running:
            return self._compute(inputs)
        if self._waiting_rows + rows > self._queue_rows_max and self._waiting:
            raise Overloaded(f"engine {self._name!r} has {self._waiting_rows} rows waiting", retry_after_s=0.1)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(inputs, rows, deadline, loop.create_future())
        self._waiting.append(waiting)
        self._waiting_rows += rows
        self._start(loop)
        return await waiting.answer

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give what waits to the workers that are free."""
        while self._waiting and self._free and not self._closed:
            group = self._take()
            if not group:
                continue
            rows = sum(item.rows for item in group)
            running = _Running(group, min(self._free, max(1, rows // self._split_rows)))
            self._free -= running.workers
            self._running.append(running)
            job = self._threads.submit(self._work, [item.inputs for item in group], rows, running.workers)
            job.add_done_callback(partial(self._hand_over, loop, running))

    def _hand_over(self, loop: asyncio.AbstractEventLoop, running: _Running, job: Future[Outputs]) -> None:
        """Called in the worker's thread."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._finish, loop, running, job)

    def _finish(self, loop: asyncio.AbstractEventLoop, running: _Running, job: Future[Outputs]) -> None:
        self._free += running.workers
        self._running.remove(running)
        self._start(loop)
        error = self._gone() if job.cancelled() else job.exception()
        if error is not None:
            for item in running.group:
                _fail(item, EngineDown(str(error), hint="see the engine's status"))
            return
        outputs, start = job.result(), 0
        for item in running.group:
            if not item.answer.done():
                item.answer.set_result({name: array[start : start + item.rows] for name, array in outputs.items()})
            start += item.rows

    def _take(self) -> list[_Waiting]:
        """The next whole requests, up to `rows_max` rows together; late and abandoned ones are dropped here."""
        group: list[_Waiting] = []
        rows = 0
        while self._waiting and (not group or rows + self._waiting[0].rows <= self._rows_max):
            item = self._waiting.popleft()
            self._waiting_rows -= item.rows
            if item.answer.done():
                continue
            if item.deadline.left_s() <= 0.0:
                _fail(item, DeadlineExceeded(f"engine {self._name!r} shed a late request", hint="allow more time"))
                continue
            group.append(item)
            rows += item.rows
        return group

    def _work(self, inputs: list[Arrays], rows: int, workers: int) -> Outputs:
        """One run, in this thread and in up to `workers` - 1 others that take chunks from the same heap."""
        joined = _join(inputs)
        if rows <= self._rows_max and workers == 1:
            return self._compute(joined)
        # Several chunks for each worker, because another thread may be late to wake.
        share = max(self._split_rows // CHUNKS, -(-rows // (CHUNKS * workers))) if workers > 1 else rows
        size = min(self._rows_max, share)
        heap = _Heap(rows, deque(range(0, rows, size)), size)
        others = [self._threads.submit(heap.work_off, self._compute, joined) for _ in range(workers - 1)]
        try:
            heap.work_off(self._compute, joined)
        finally:
            heap.starts.clear()  # After a fault nobody need go on.
        for other in others:
            if not other.cancel():  # One that has not begun by now has nothing left to do.
                other.result()
        return heap.outputs

    def _gone(self) -> EngineDown:
        return EngineDown(f"engine {self._name!r} is closed", hint="the server is stopping")

    async def close(self) -> None:
        """Fail what waits and what runs, and let go of the workers; a hung run is left behind, not waited for."""
        self._closed = True
        for item in (*self._waiting, *(item for running in self._running for item in running.group)):
            _fail(item, self._gone())
        self._waiting.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _fail(item: _Waiting, error: EngineDown | DeadlineExceeded) -> None:
    if not item.answer.done():
        item.answer.set_exception(error)


def _room(rows: int, part: NDArray[Any]) -> NDArray[Any]:
    return np.empty((rows, *part.shape[1:]), part.dtype)


def _join(inputs: list[Arrays]) -> Arrays:
    if len(inputs) == 1:
        return inputs[0]
    names: Mapping[str, Any] = inputs[0]
    return {name: np.concatenate([each[name] for each in inputs]) for name in names}
