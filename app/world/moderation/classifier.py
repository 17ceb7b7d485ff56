"""A small linear model over hashed pieces of words, for what no list of words catches.

Every word brings the hashes of itself and of its runs of letters, every pair of neighbors its own; a text's score for a
category is the sum of their weights (Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification", with
the hashing of Weinberger et al. 2009). So a word's share is computed once and looked up afterwards. It knows
weights and no training: that is `app/learning/moderation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import msgspec

from app.core.errors import Broken

MAGIC = b"IKMOD1\n"
NGRAMS = (3, 4, 5)
Scores = tuple[float, ...]


class Word(NamedTuple):
    """A folded word as the model meets it: its letters, the hash of it as a left neighbor, and what it adds."""

    letters: bytes
    left: int
    share: Scores


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands before the weights of a file: one score is bias + scale * the sum of its int8 weights."""

    categories: tuple[str, ...]
    buckets: int
    scales: tuple[float, ...]
    biases: tuple[float, ...]
    thresholds: tuple[float, ...]


class Classifier:
    """`weights` are (buckets, categories) int8, row after row."""

    def __init__(self, head: Head, weights: bytes) -> None:
        count = len(head.categories)
        if len(weights) != head.buckets * count:
            raise Broken(f"the classifier holds {len(weights)} weights and names {head.buckets * count}")
        signed = memoryview(weights).cast("b")
        scales = head.scales
        self.head = head
        self._rows = [
            tuple(signed[row * count + at] * scales[at] for at in range(count)) for row in range(head.buckets)
        ]
        self._mask = head.buckets - 1

    def word(self, word: str) -> Word:
        """A folded word, with what it adds to each category's score."""
        return Word(word.encode(), crc32(f"{word} ".encode()), self._sum(word_hashes(word)))

    def find(self, words: Sequence[Word]) -> str:
        """The category that words, at least one, are most clearly of, empty for none."""
        totals = self.totals(words)
        margins = [total - least for total, least in zip(totals, self.head.thresholds, strict=True)]
        best = max(range(len(margins)), key=margins.__getitem__)
        return self.head.categories[best] if margins[best] > 0.0 else ""

    def totals(self, words: Sequence[Word]) -> list[float]:
        """The score of each category; `pair_hash` of neighbors is the hash of the right one, begun with the left."""
        rows, mask = self._rows, self._mask
        added = [self.head.biases, *[word.share for word in words]]
        added += [rows[crc32(right.letters, left.left) & mask] for left, right in pairwise(words)]
        return list(map(sum, zip(*added, strict=True)))

    def _sum(self, hashes: Sequence[int]) -> Scores:
        rows = [self._rows[hash_ & self._mask] for hash_ in hashes]
        return tuple(map(sum, zip(*rows, strict=True)))


def word_hashes(word: str) -> list[int]:
    """The hashes of a folded word and of its runs of letters, ends included."""
    whole = f"<{word}>"
    runs = {whole[at : at + size] for size in NGRAMS for at in range(len(whole) - size + 1)}
    return [crc32(f"w:{word}".encode()), *sorted(crc32(run.encode()) for run in runs)]


def pair_hash(left: str, right: str) -> int:
    """The hash of two neighbors."""
    return crc32(f"{left} {right}".encode())


def pack(head: Head, weights: bytes) -> bytes:
    """The file of a classifier."""
    front = msgspec.json.encode(head)
    return MAGIC + len(front).to_bytes(4, "little") + front + weights


def unpack(data: bytes) -> Classifier:
    """The classifier in a file; raises Broken for bytes that are none."""
    start = len(MAGIC) + 4
    size = int.from_bytes(data[len(MAGIC) : start], "little")
    if not data.startswith(MAGIC) or len(data) < start + size:
        raise Broken("the classifier's file is cut or of another kind", hint="manage.py moderation train")
    try:
        head = msgspec.json.decode(data[start : start + size], type=Head)
    except msgspec.DecodeError as error:
        raise Broken(f"the classifier's head cannot be read: {error}", hint="manage.py moderation train") from error
    return Classifier(head, data[start + size :])


@cache
def load() -> Classifier:
    """The one that ships."""
    return unpack(resources.files(__package__).joinpath("classifier.bin").read_bytes())
