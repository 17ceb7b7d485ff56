"""The port to what is held of persons: how an erasure is begun, gone on with and ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure under way or done; the subject is not told any more when it is done."""

    tenant: str
    alias: str
    subject: str
    left: Literal["totals", "numbers"]
    requested_ms: int
    finished_ms: int | None = None


class Persons(Protocol):
    """What the database holds of persons, and the ways to be rid of it. Methods raise StoreDown."""

    async def begin(self, tenant: str, subject: str, left: Literal["totals", "numbers"]) -> Erasure:
        """The erasure, noted durably in the database and outside it; one that is under way is returned again."""
        ...

    async def worlds(self, tenant: str, subject: str) -> Sequence[str]:
        """The tenant's worlds that know the person."""
        ...

    async def rewrite(self, erasure: Erasure, world: str, last_seq: int) -> int:
        """Free a world's log of the person up to an event; how many rows were changed."""
        ...

    async def retire(self, tenant: str) -> None:
        """Let the next checkpoints be written under a new key."""
        ...

    async def finish(self, erasure: Erasure) -> None:
        """Destroy the old checkpoints' keys, leave nothing in the files, and note the end."""
        ...

    async def erasure(self, tenant: str, alias: str) -> Erasure | None: ...

    async def unfinished(self) -> Sequence[Erasure]: ...

    async def held(self, tenant: str, subject: str) -> dict[str, Any]:
        """Everything that the database holds of the person, by kind."""
        ...
