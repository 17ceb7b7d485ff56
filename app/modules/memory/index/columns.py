"""Arrays that grow: what is known of each memory as one number, and where each term stands.

They know rows, not memories; a row's number never changes until everything is written anew.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

I32 = NDArray[np.int32]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]

_FIRST = 64
_SMALL, _LARGE = 4_096, 65_536
"""Rows after which a column gets room for many: zeroes that nobody wrote yet take no memory, a late move takes time."""


class Columns:
    """Named columns of equal length, each a numpy array with room at its end; a width above 0 makes rows of vectors."""

    def __init__(self, widths: dict[str, int], **kinds: type[np.generic]) -> None:
        self._arrays: dict[str, NDArray[Any]] = {
            name: np.zeros((_FIRST, widths[name]) if name in widths else _FIRST, kind) for name, kind in kinds.items()
        }
        self.rows = 0

    def add(self, **values: float | F32) -> int:
        """Write one row and return its number."""
        row = self.rows
        for name, value in values.items():
            column = self._arrays[name]
            if row == column.shape[0]:
                column = self._arrays[name] = _grown(column)
            column[row] = value
        self.rows += 1
        return row

    def __getitem__(self, name: str) -> NDArray[Any]:
        """(rows,) or (rows, width) of the column; writing into it writes the column."""
        return self._arrays[name][: self.rows]


def _grown(column: NDArray[Any]) -> NDArray[Any]:
    rows = column.shape[0]
    found = np.zeros((_LARGE if rows == _SMALL else 2 * rows, *column.shape[1:]), column.dtype)
    found[:rows] = column
    return found


class Postings:
    """Where each term stands: its rows in order, and how often it stands in each."""

    def __init__(self) -> None:
        self._by_term: dict[str, tuple[array[int], array[float]]] = {}

    def __contains__(self, term: str) -> bool:
        return term in self._by_term

    def add(self, row: int, term: str, count: float) -> None:
        """Note that `term` stands `count` times in `row`, which is larger than any before."""
        found = self._by_term.get(term)
        if found is None:
            found = self._by_term[term] = (array("i"), array("f"))
        found[0].append(row)
        found[1].append(count)

    def read(self, term: str) -> tuple[I32, F32]:
        """(places,) rows and (places,) counts, copied, since an array that is lent out cannot grow."""
        found = self._by_term.get(term)
        if found is None:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        return np.array(found[0], np.int32), np.array(found[1], np.float32)

    def shrink(self, most: int) -> None:
        """Let go of up to `most` terms, of a table that is not read any more."""
        for _ in range(min(most, len(self._by_term))):
            self._by_term.popitem()
