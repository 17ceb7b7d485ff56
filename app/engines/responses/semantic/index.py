"""What was asked before, under the same hard key, to be found by likeness. In this process alone, and bounded.

It holds what players typed, so it forgets a player at once. It does not judge what it finds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One input: as it was typed, by whom, and the exact key under which its lines are."""

    said: str
    player: str
    exact: str
    vector: NDArray[np.float32]


class Index:
    """Rows by tenant and hard key."""

    def __init__(self, *, key_rows_max: int, rows_max: int) -> None:
        self._key_rows_max = key_rows_max
        self._rows_max = rows_max
        self._rows: OrderedDict[tuple[str, str], list[Row]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, tenant: str, hard: str, row: Row) -> None:
        """Remember an input; the oldest of its key, then the keys least recently used, make room."""
        rows = self._rows.setdefault((tenant, hard), [])
        self._rows.move_to_end((tenant, hard))
        if any(known.exact == row.exact for known in rows):
            return
        rows.append(row)
        self._count += 1
        if len(rows) > self._key_rows_max:
            del rows[0]
            self._count -= 1
        while self._count > self._rows_max:
            self._count -= len(self._rows.popitem(last=False)[1])

    def nearest(self, tenant: str, hard: str, vector: NDArray[np.float32], likeness_min: float) -> list[Row]:
        """The rows that are at least so alike, the most alike first."""
        rows = self._rows.get((tenant, hard))
        if not rows:
            return []
        self._rows.move_to_end((tenant, hard))
        likeness = np.stack([row.vector for row in rows]) @ vector  # (rows, columns) @ (columns,) -> (rows,)
        order = np.argsort(-likeness, kind="stable")
        return [rows[at] for at in order if likeness[at] >= likeness_min]

    def drop(self, tenant: str, hard: str, row: Row) -> None:
        """Forget one input, whose lines are gone."""
        rows = self._rows.get((tenant, hard), [])
        if row in rows:
            rows.remove(row)
            self._count -= 1

    def forget(self, tenant: str, player: str) -> None:
        """Forget what a player typed."""
        for key, rows in list(self._rows.items()):
            if key[0] == tenant:
                kept = [row for row in rows if row.player != player]
                self._count -= len(rows) - len(kept)
                if kept:
                    self._rows[key] = kept
                else:
                    del self._rows[key]
