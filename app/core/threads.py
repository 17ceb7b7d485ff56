"""Long work in a worker thread that leaves the event loop its turns.

A thread that only computes hands the interpreter over after five milliseconds at the earliest, and to whoever asks
first; one that rests for a moment is overtaken at once. It knows nothing of the work.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
REST_S = 20e-6
"""Long enough for the loop's thread to wake; a rest of none at all is over before."""


def resting(items: Iterable[T], every: int) -> Iterator[T]:
    """The items, with a rest after every `every` of them. Never on the event loop."""
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            time.sleep(REST_S)
