"""The port to work that can wait: many completions handed in at once, and read hours later at a lower price.

Nightly reflection and content go this way. It knows no vendor, no price and no store.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Literal, Protocol

import msgspec

from app.core.section import Section
from app.core.words import Completion, Spent, ToolCall

State = Literal["ready", "sent", "local", "ended", "cancelled", "expired"]
"""`ready` is handed in and goes to a vendor next, `sent` is there, `local` is written here line by line."""
OVER: tuple[State, ...] = ("ended", "cancelled", "expired")


class Settings(Section, frozen=True, kw_only=True):
    """Work that can wait."""

    lines_max: Annotated[int, msgspec.Meta(ge=1)] = 2_000
    """Completions of one batch."""
    open_max: Annotated[int, msgspec.Meta(ge=1)] = 16
    """Batches of one tenant that are not over."""
    wait_ms_max: int = 7 * 86_400_000
    poll_ms: int = 15_000
    """Between two looks at what a vendor has; also how soon a running server obeys the command line."""
    pause_ms: int = 200
    """Between two lines that are written here, so that players go first."""
    line_ms: int = 60_000
    """The longest that one line may take which is written here."""
    lease_ms: int = 90_000
    """After this long without a sign of life a batch's server is taken for gone, and another goes on."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one completion, by its place in the batch; `error` is empty where there is an answer."""

    row: int
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    reason: str = ""
    error: str = ""
    spent: tuple[Spent, ...] = ()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: where it is, and how far."""

    tenant: str
    id: str
    state: State
    engine: str = ""
    """Whose batches it is in; empty where it is written line by line."""
    remote: str = ""
    """The vendor's id of it."""
    lines: int
    done: int = 0
    failed: int = 0
    cost_nano_usd: int = 0
    created_ms: int
    wait_until_ms: int
    ended_ms: int | None = None
    cancel: bool = False
    """Somebody wants no more of it."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One completion of a batch; `tries` counts those that failed."""

    row: int
    completion: Completion
    tries: int = 0
    outcome: Outcome | None = None


class Batches(Protocol):
    """Where work is handed in that can wait. Methods raise StoreDown."""

    async def submit(self, tenant: str, completions: Sequence[Completion], wait_until_ms: int) -> str:
        """Keep the completions, reserve their price and return the batch's id.

        Raises Invalid for a batch that is empty, too large or of another tenant, OverBudget when a cap leaves no room,
        NotPermitted when no engine may write, Overloaded when the tenant has too many that are not over.
        """
        ...

    async def status(self, tenant: str, id: str) -> Batch:
        """How far it is; raises NotFound."""
        ...

    def results(self, tenant: str, id: str) -> AsyncGenerator[Outcome]:
        """What became of each completion, as it comes, until the batch is over; raises NotFound."""
        ...

    async def cancel(self, tenant: str, id: str) -> None:
        """Want no more of it; what is written already is kept. Raises NotFound."""
        ...


class Shelf(Protocol):
    """Where batches lie. Methods raise StoreDown."""

    async def add(self, batch: Batch, completions: Sequence[Completion]) -> None: ...

    async def take(self, owner: str, now_ms: int, until_ms: int) -> list[Batch]:
        """Every tenant's batches that are not over and that `owner` looks after from now on until `until_ms`."""
        ...

    async def of(self, tenant: str) -> list[Batch]: ...
    async def get(self, tenant: str, id: str) -> Batch: ...
    async def lines(self, tenant: str, id: str, *, rows_max: int | None = None) -> list[Line]:
        """The lines without an outcome, in order."""
        ...

    async def outcomes(self, tenant: str, id: str, *, but: Sequence[int] = ()) -> list[Outcome]:
        """The outcomes of the rows that are not among `but`."""
        ...

    async def keep(self, batch: Batch, outcomes: Sequence[Outcome] = (), *, failed: Sequence[int] = ()) -> None:
        """The batch as it is now, with new outcomes; each row of `failed` has failed once more."""
        ...

    async def want_cancelled(self, tenant: str, id: str) -> None:
        """Raises NotFound."""
        ...
