"""Joins requests that are waiting anyway: no window, so a lone request never waits for company.

While every worker is busy, requests queue; the next free worker takes as many whole requests as fit
and runs them as one. Late work is shed before it runs. It knows arrays and threads, not networks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Overloaded
from app.core.ports import Arrays

Run = Callable[[Arrays], Arrays]


@dataclass(slots=True)
class _Job:
    inputs: Arrays
    rows: int
    deadline: Deadline
    done: asyncio.Future[Arrays]


class Batcher:
    """Runs `run` in up to `workers` threads over batches of at most `batch_rows_max` rows."""

    def __init__(self, run: Run, *, workers: int, batch_rows_max: int, queue_rows_max: int) -> None:
        self._run = run
        self._workers = workers
        self._batch_rows_max = batch_rows_max
        self._queue_rows_max = queue_rows_max
        self._threads = ThreadPoolExecutor(workers, "innkeeper-network")
        self._waiting: deque[_Job] = deque()
        self._waiting_rows = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, inputs: Arrays, deadline: Deadline) -> Arrays:
        """The outputs for `inputs`; raises Overloaded, DeadlineExceeded or EngineDown."""
        rows = _rows(inputs)
        if self._waiting_rows + rows > self._queue_rows_max:
            raise Overloaded(f"{self._waiting_rows} rows wait for this network", hint="raise queue_rows_max")
        step = self._batch_rows_max
        parts = [_slice(inputs, first, min(first + step, rows)) for first in range(0, max(rows, 1), step)]
        outputs = await asyncio.gather(*(self._enqueue(part, deadline) for part in parts))
        return outputs[0] if len(outputs) == 1 else _join(outputs)

    def close(self) -> None:
        """Fail what waits and let the threads end."""
        for task in self._tasks:
            task.cancel()
        for job in self._waiting:
            if not job.done.done():
                job.done.set_exception(EngineDown("the network is closed"))
        self._waiting.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _enqueue(self, inputs: Arrays, deadline: Deadline) -> asyncio.Future[Arrays]:
        job = _Job(inputs, _rows(inputs), deadline, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._waiting_rows += job.rows
        if len(self._tasks) < self._workers:
            task = asyncio.create_task(self._work(), name="network.batch")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return job.done

    async def _work(self) -> None:
        """One worker: take what waits and run it, until nothing waits."""
        while jobs := self._take():
            inputs = jobs[0].inputs if len(jobs) == 1 else _join([job.inputs for job in jobs])
            try:
                outputs = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, inputs)
            except EngineDown as error:
                for job in jobs:
                    if not job.done.done():
                        job.done.set_exception(EngineDown(error.message, hint=error.hint))
            else:
                _share(jobs, outputs)

    def _take(self) -> list[_Job]:
        """Whole jobs that fit one batch; the first one always. Jobs nobody waits for are left out, late ones shed."""
        taken: list[_Job] = []
        rows = 0
        while self._waiting and (not taken or rows + self._waiting[0].rows <= self._batch_rows_max):
            job = self._waiting.popleft()
            self._waiting_rows -= job.rows
            if job.done.done():
                continue
            if job.deadline.left_s() <= 0.0:
                job.done.set_exception(DeadlineExceeded("the network was busy until the deadline"))
                continue
            taken.append(job)
            rows += job.rows
        return taken


def _rows(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _slice(arrays: Arrays, first: int, last: int) -> Arrays:
    return {name: array[first:last] for name, array in arrays.items()}


def _join(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _share(jobs: Sequence[_Job], outputs: Arrays) -> None:
    """Give each job its own rows of the joined outputs."""
    first = 0
    for job in jobs:
        if not job.done.done():
            job.done.set_result(outputs if len(jobs) == 1 else _slice(outputs, first, first + job.rows))
        first += job.rows
