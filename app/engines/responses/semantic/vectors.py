"""Texts as vectors: hashed n-grams of characters and words, without a model.

The hashing trick (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning"): each n-gram adds a
sign to one of the columns. It finds what is worded alike, in any script, and understands nothing: what the verifier
is for. A model of sentences can take its place behind the port.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

COLUMNS = 512
GRAMS = (3, 4)
"""Characters of the n-grams, within a word and its two ends."""
WORD_WEIGHT = 2.0
"""A whole word says more than its pieces."""
CHARACTERS_MAX = 2_000
"""Of a text; the rest is not looked at."""
_WORD = re.compile(r"\w+")


class Embedder(Protocol):
    """Makes vectors of texts that mean alike lie close."""

    def vector(self, text: str) -> NDArray[np.float32]:
        """(columns,) float32 of length 1, or zeros for a text without words."""
        ...


class Hashed:
    """Implements Embedder by n-grams."""

    def vector(self, text: str) -> NDArray[np.float32]:
        found = np.zeros(COLUMNS, np.float32)
        for gram, weight in _grams(text[:CHARACTERS_MAX].casefold()):
            code = crc32(gram.encode("utf-8", "surrogatepass"))
            found[code % COLUMNS] += weight if code & 0x80000000 else -weight
        length = float(np.linalg.norm(found))
        return found / np.float32(length) if length else found


def _grams(text: str) -> Iterator[tuple[str, float]]:
    words = _WORD.findall(text)
    for word in words:
        yield word, WORD_WEIGHT
        ends = f"^{word}$"
        for size in GRAMS:
            for at in range(len(ends) - size + 1):
                yield ends[at : at + size], 1.0
    for first, second in pairwise(words):
        yield f"{first} {second}", 1.0
