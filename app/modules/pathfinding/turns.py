"""A lock that many may read under and one may write under, for arrays that searches read in several threads.

It knows threads only. A writer that waits lets no new reader in, so that obstacles do not wait for a quiet moment.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Readers together, writers alone (the second readers-writers problem, Courtois, Heymans, Parnas 1971)."""

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._counting = threading.Lock()
        self._empty = threading.Lock()
        self._readers = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold off writers."""
        with self._door, self._counting:
            self._readers += 1
            if self._readers == 1:
                self._empty.acquire()
        try:
            yield
        finally:
            with self._counting:
                self._readers -= 1
                if self._readers == 0:
                    self._empty.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold off everyone."""
        with self._door:
            self._empty.acquire()
        try:
            yield
        finally:
            self._empty.release()
