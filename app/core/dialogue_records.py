"""The port to where the record behind every line is kept: sealed, for a time, and never waited for.

It knows no dialogue: a record is bytes with a name, and the persons that it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Sheet(NamedTuple):
    """A record to keep. `persons` are the ids of players with whose erasure it goes."""

    persons: frozenset[str]
    body: bytes


class LineRecords(Protocol):
    """What is behind the lines of every world. Nothing but `find` waits."""

    def keep(self, tenant: str, world: str, id: str, make: Callable[[], Sheet]) -> None:
        """Write a record down soon. `make` runs later, in a thread; with too many waiting the oldest is dropped."""
        ...

    async def find(self, tenant: str, world: str, id: str) -> bytes | None:
        """The body of a record, written or waiting; None where there is none. Raises StoreDown."""
        ...

    def forget(self, tenant: str, world: str) -> None:
        """Write down nothing of that world that waits now: a person of it is forgotten."""
        ...
