"""The proof of a view's vectors and history: folded anew from the log, they are the bytes and rows that were saved.

It reads the files that a running server writes, and replaces them only when nobody writes them. History is compared
row by row, since where one file ends and the next begins is a matter of time, not of the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from app.core.errors import Invalid
from app.stores import repositories
from app.stores.features.history import History, Row, folder_of, table_of
from app.stores.features.projection import Projection
from app.stores.features.table import Table
from app.stores.features.view import View
from app.stores.replay import STEP_EVENTS, Progress, Replayed

ROWS_MAX = 50_000
"""Rows of history that are held at once."""


class FeatureProjection:
    """Implements app.stores.projections.Projection for one view."""

    def __init__(self, view: View, *, root: Path, history: bool) -> None:
        self._view = view
        self._root = root
        self._history = history

    @property
    def name(self) -> str:
        return f"features.{self._view.name}"

    def check(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        anew, kept = self._open(tenant, world), self._open(tenant, world)
        last_seq = repositories.newest_seq(connection, tenant, world)
        saved = kept.saved()
        saved_seq, faults = self._read(saved, last_seq)
        rows = _Rows(anew.history, self._view) if anew.history is not None else None
        for _ in _folded(connection, anew, last_seq, told):
            if rows is not None:
                rows.compare(anew.rows)
            anew.rows = []
            if anew.table.seq == saved_seq and anew.table.dump() != saved:
                faults.append(f"the saved vectors at event {saved_seq} differ")
        if rows is not None:
            faults += rows.faults()
        return self._replayed(anew, tenant, world, last_seq, saved_seq, faults)

    def rebuild(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        """See the protocol; raises Conflict while a server writes the history."""
        before = self.check(connection, tenant, world, lambda _steps: None)
        projection = self._open(tenant, world)
        projection.open(anew=True)
        try:
            for _ in _folded(connection, projection, before.seq, told):
                if len(projection.rows) > ROWS_MAX // 2:
                    projection.write()
            projection.write()
        finally:
            projection.close()
        return before

    def _open(self, tenant: str, world: str) -> Projection:
        folder = folder_of(self._root, tenant, world, self._view)
        history = History(folder, self._view) if self._history else None
        return Projection(self._view, tenant=tenant, world=world, folder=folder, history=history)

    def _read(self, saved: bytes, last_seq: int) -> tuple[int, list[str]]:
        """(the event of the saved vectors, what is wrong with them by themselves)."""
        if not saved:
            return 0, []
        try:
            seq = Table.load(self._view, saved).seq
        except (Invalid, ValueError) as error:
            return 0, [f"the saved vectors cannot be read: {error}"]
        ahead = f"the saved vectors are at event {seq}, the log ends at {last_seq}"
        return seq, [ahead] if seq > last_seq else []

    def _replayed(
        self, anew: Projection, tenant: str, world: str, last_seq: int, saved_seq: int, faults: list[str]
    ) -> Replayed:
        digest = hashlib.sha256(anew.table.dump()).hexdigest()
        return Replayed(
            tenant=tenant,
            world=world,
            projection=self.name,
            seq=last_seq,
            saved_seq=saved_seq,
            sha256=digest,
            faults=tuple(faults),
        )


def _folded(connection: Connection, projection: Projection, last_seq: int, told: Progress) -> Iterator[None]:
    """Fold the log into the projection, and pause after each event."""
    for event in repositories.events_between(connection, projection.tenant, projection.world, 1, last_seq):
        projection.fold([event], rows_max=ROWS_MAX)
        if event.seq % STEP_EVENTS == 0:
            told(STEP_EVENTS)
        yield
    told(last_seq % STEP_EVENTS)


class _Rows:
    """The files of a history held against rows that come in order."""

    def __init__(self, history: History, view: View) -> None:
        self._view = view
        self._files = [(path, *history.span(path)) for path in history.files()]
        self._waiting: list[Row] = []
        self._faults: list[str] = []

    def compare(self, rows: list[Row]) -> None:
        """Take the next rows; a file is compared when all of its rows have come."""
        for row in rows:
            while self._files and row.seq > self._files[0][2]:
                self._close()
            if self._files:
                self._waiting.append(row)

    def faults(self) -> list[str]:
        """What differed, when no more rows come. Rows after the newest file are still to be written."""
        while self._files:
            self._close()
        return self._faults

    def _close(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path, first, last = self._files.pop(0)
        expected, self._waiting = self._waiting, []
        try:
            kept = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            self._faults.append(f"history {path.name} cannot be read: {str(error).splitlines()[0]}")
            return
        if not expected or not kept.equals(table_of(expected, self._view), check_metadata=True):
            self._faults.append(f"history {path.name} differs from events {first} to {last}")
