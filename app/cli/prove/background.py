"""A thread with an event loop of its own, for servers that a proof plays beside the one it tries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
CALL_S_MAX = 30.0


class Background:
    """Use as `with Background() as background`; what is still running at its end is canceled."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="background", daemon=True)

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.call(_end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, run there; raises TimeoutError."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_S_MAX)


async def _end() -> None:
    """Cancel every other task of the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
