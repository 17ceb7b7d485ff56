"""One world's table kept level with its log: folded event by event, saved, and caught up after any gap.

What is saved is only a shorter way: the log can always make it again. It knows the database's events and
the files; it does not know when to do what.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from app.core.errors import Invalid, StoreDown
from app.core.messages import Event
from app.stores import repositories
from app.stores.database import Database
from app.stores.features.history import History, Row
from app.stores.features.table import Table, Touched
from app.stores.features.view import View

PAGE_EVENTS = 2_000
"""Events read from the log at once."""


class Projection:
    """A table, the rows of history that are not written yet, and what changed since it was last shared.

    `history` None: only the table is kept. The table that is saved beside a history is never ahead of it, so
    that no row can be missed; the two cases have a file each.
    """

    def __init__(self, view: View, *, tenant: str, world: str, folder: Path, history: History | None) -> None:
        self.tenant = tenant
        self.world = world
        self.table = Table(view)
        self.history = history
        self.rows: list[Row] = []
        self.dirty: dict[tuple[str, int], Touched] = {}
        self.level = False
        """The log has been read to its end once."""
        self.behind = False
        """History lacks rows; only a catch-up from what was saved can mend it."""
        self._folder = folder
        self._view = view
        self._file = folder / ("online-with-history.bin" if history else "online.bin")
        self._saved_seq = 0

    def open(self, *, anew: bool = False) -> None:
        """Take up what was saved, where it is whole, or remove it to begin `anew`; blocks on files.

        Raises Conflict when another process writes the same history.
        """
        if self.history is not None:
            self.history.lock()
        if anew:
            self._file.unlink(missing_ok=True)
            if self.history is not None:
                self.history.clear()
        with suppress(FileNotFoundError, Invalid):
            self.table = Table.load(self._view, self._file.read_bytes())
        self._saved_seq = self.table.seq

    def close(self) -> None:
        if self.history is not None:
            self.history.unlock()

    def fold(self, events: Iterable[Event], *, rows_max: int) -> None:
        """Take events in; raises Conflict when some before them are missing."""
        for event in events:
            touched = self.table.fold(event)
            for found in touched:
                self.dirty[found.kind, found.row] = found
            if self.history is not None and not self.behind:
                self.rows += [self._row(event, found) for found in touched]
                if len(self.rows) > rows_max:
                    self.behind, self.rows = True, []

    async def page(self, database: Database) -> list[Event]:
        """The next events that the log has and the table has not; empty when they are level."""
        first = self.table.seq + 1
        last = first + PAGE_EVENTS - 1
        return await database.run(
            self.tenant,
            lambda connection: list(repositories.events_between(connection, self.tenant, self.world, first, last)),
        )

    async def keep(self) -> int:
        """Write the rows that wait, then save the table, off the loop; how many rows were handed over.

        Nothing else may fold meanwhile. Raises StoreDown when the disk fails; then the rows still wait.
        """
        if self.behind or self.table.seq == self._saved_seq:
            return 0
        return await asyncio.to_thread(self.write)

    def write(self) -> int:
        """What `keep` does, here and now; blocks on files."""
        if self.history is not None:
            self.history.append(self.rows)
        self._save(self.table.dump())
        written, self.rows = len(self.rows), []
        self._saved_seq = self.table.seq
        return written

    def saved(self) -> bytes:
        """The bytes of the saved table; none where nothing is saved."""
        with suppress(FileNotFoundError):
            return self._file.read_bytes()
        return b""

    def _save(self, dumped: bytes) -> None:
        """Replace the saved table by a whole one."""
        part = self._file.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(dumped)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)
        except OSError as error:
            raise StoreDown(f"features in {str(self._folder)!r}: {error}", hint="free disk space") from error

    def _row(self, event: Event, found: Touched) -> Row:
        held = self.table.kinds[found.kind]
        present = found.id in held.present
        slots = held.slots[found.row].copy()
        return Row(found.kind, found.id, event.seq, self.table.clock_s, event.wall_ms, event.id, present, slots)
