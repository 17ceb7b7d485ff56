"""Joins the requests that already wait into one run, in a worker thread, and sheds those that are late.

Nothing waits for company: when the worker is free, what is there runs. Small requests run at once on the
loop. It knows rows and deadlines, not what is computed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Overloaded
from app.core.ports import Arrays

Compute = Callable[[Arrays], dict[str, NDArray[Any]]]


@dataclass(slots=True)
class _Waiting:
    inputs: Arrays
    rows: int
    deadline: Deadline
    answer: asyncio.Future[Arrays]


class Batcher:
    """One worker over `compute`, which takes at most `rows_max` rows a call; owned by one event loop.

    Requests of up to `inline_rows` rows run on the loop when the worker is idle. `queue_rows_max` bounds what waits.
    """

    def __init__(self, compute: Compute, *, name: str, rows_max: int, queue_rows_max: int, inline_rows: int) -> None:
        self._compute, self._name = compute, name
        self._rows_max, self._queue_rows_max, self._inline_rows = rows_max, queue_rows_max, inline_rows
        self._waiting: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._draining: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, inputs: Arrays, deadline: Deadline) -> Arrays:
        """The outputs for all rows; raises Overloaded, DeadlineExceeded when shed, EngineDown when the run fails."""
        if self._closed:
            raise self._gone()
        deadline.check(f"engine {self._name!r}")
        rows = len(next(iter(inputs.values())))
        idle = self._draining is None or self._draining.done()
        if idle and rows <= self._inline_rows:
            return self._compute(inputs)
        if self._waiting_rows + rows > self._queue_rows_max and self._waiting:
            raise Overloaded(f"engine {self._name!r} has {self._waiting_rows} rows waiting", retry_after_s=0.1)
        waiting = _Waiting(inputs, rows, deadline, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_rows += rows
        if idle:
            self._draining = asyncio.create_task(self._drain(), name=f"{self._name}.drain")
        return await waiting.answer

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._take()
            if not group:
                continue
            try:
                joined = _join([item.inputs for item in group])
                outputs = await loop.run_in_executor(self._worker, self._in_chunks, joined)
            except (EngineDown, ValueError) as error:
                for item in group:
                    _fail(item, EngineDown(str(error), hint="see the engine's status"))
                continue
            except asyncio.CancelledError:
                for item in group:
                    _fail(item, self._gone())
                raise
            start = 0
            for item in group:
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

    def _in_chunks(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        rows = len(next(iter(inputs.values())))
        if rows <= self._rows_max:
            return self._compute(inputs)
        starts = range(0, rows, self._rows_max)
        parts = [
            self._compute({name: array[start : start + self._rows_max] for name, array in inputs.items()})
            for start in starts
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _gone(self) -> EngineDown:
        return EngineDown(f"engine {self._name!r} is closed", hint="the server is stopping")

    async def close(self) -> None:
        """Fail what waits and let go of the worker; a hung run is left behind, not waited for."""
        self._closed = True
        if self._draining is not None:
            self._draining.cancel()
        while self._waiting:
            _fail(
                self._waiting.popleft(), EngineDown(f"engine {self._name!r} is closed", hint="the server is stopping")
            )
        self._worker.shutdown(wait=False, cancel_futures=True)


def _fail(item: _Waiting, error: EngineDown | DeadlineExceeded) -> None:
    if not item.answer.done():
        item.answer.set_exception(error)


def _join(inputs: list[Arrays]) -> Arrays:
    if len(inputs) == 1:
        return inputs[0]
    names: Mapping[str, Any] = inputs[0]
    return {name: np.concatenate([each[name] for each in inputs]) for name in names}
