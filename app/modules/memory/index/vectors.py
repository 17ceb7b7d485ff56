"""What words mean, as vectors: a small table that ships with the server, read as it lies.

It knows terms, not memories. The file is `INKWORDS`, two little-endian uint32 (n terms, dimensions), a uint32 with the
bytes of the terms that follow, one a line and the most frequent first, then (n, dimensions) int8. Rows are of length
1 once scaled.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Broken
from app.modules.memory.index.columns import F32

MAGIC = b"INKWORDS"
_HEAD = struct.Struct("<8sIII")
_KEPT_MAX = 20_000
_COMMON = 40.0
"""The place in the order of frequency from which on a word's weight in a sentence grows to a half."""


class Words:
    """(n, dimensions) of unit length, by term; the most frequent terms first."""

    def __init__(self, terms: Sequence[str], rows: NDArray[np.int8]) -> None:
        self.dimensions = int(rows.shape[1])
        self._places = {term: place for place, term in enumerate(terms)}
        self._terms = tuple(terms)
        scaled = rows.astype(np.float32)
        self._rows: F32 = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-9)
        ranks = np.arange(len(terms), dtype=np.float32)
        self._weights: F32 = ranks / (ranks + _COMMON)
        self._kin: OrderedDict[tuple[str, float, int], tuple[tuple[str, ...], F32]] = OrderedDict()

    def __contains__(self, term: str) -> bool:
        return term in self._places

    def sentence(self, terms: Iterable[str]) -> F32:
        """(dimensions,) the sum of the terms' vectors, frequent ones counting less (Arora et al. 2017)."""
        places = [self._places[term] for term in terms if term in self._places]
        found: F32 = self._weights[places] @ self._rows[places] if places else np.zeros(self.dimensions, np.float32)
        return found

    def kin(self, term: str, *, likeness_min: float, most: int) -> tuple[tuple[str, ...], F32]:
        """Up to `most` other terms of like meaning and (terms,) how like, 0 at `likeness_min` and 1 at the same.

        It never depends on what anybody remembers.
        """
        key = (term, likeness_min, most)
        if key in self._kin:
            self._kin.move_to_end(key)
            return self._kin[key]
        found = self._found(term, likeness_min, most)
        self._kin[key] = found
        if len(self._kin) > _KEPT_MAX:
            self._kin.popitem(last=False)
        return found

    def _found(self, term: str, likeness_min: float, most: int) -> tuple[tuple[str, ...], F32]:
        place = self._places.get(term)
        if place is None:
            return (), np.zeros(0, np.float32)
        likeness = self._rows @ self._rows[place]
        likeness[place] = -1.0
        near = np.argpartition(-likeness, min(most, likeness.shape[0] - 1))[:most]
        near = near[likeness[near] > likeness_min]
        how = (likeness[near] - likeness_min) / (1.0 - likeness_min) * self._weights[near]
        return tuple(self._terms[each] for each in near), how.astype(np.float32)


def decoded(data: bytes) -> Words:
    """The table in a file's bytes; raises Broken when it is none."""
    try:
        magic, count, dimensions, size = _HEAD.unpack_from(data)
        terms = data[_HEAD.size : _HEAD.size + size].decode().split("\n")
        rows = np.frombuffer(data, np.int8, count * dimensions, _HEAD.size + size).reshape(count, dimensions)
    except (struct.error, ValueError) as error:
        raise Broken(f"no table of words: {error}", hint="restore the file from the release, or build it") from error
    if magic != MAGIC or len(terms) != count or len(data) != _HEAD.size + size + count * dimensions:
        raise Broken("no table of words", hint="restore the file from the release, or build it")
    return Words(terms, rows)


def encoded(terms: Sequence[str], rows: F32) -> bytes:
    """The file's bytes for (n, dimensions) float32 rows of any length."""
    largest = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-9)
    whole = np.rint(rows / largest * 127.0).astype(np.int8)
    names = "\n".join(terms).encode()
    head = _HEAD.pack(MAGIC, len(terms), rows.shape[1], len(names))
    return b"".join((head, names, whole.tobytes()))
