"""Hears whether NPCs go round in circles: what one of them said of late, and what many of them say.

Pure and bounded; tenants and worlds never meet. Only hashes are kept, no words. A line is a set of word trigrams
and a small signed vector of them (M. Charikar, "Similarity estimation techniques from rounding algorithms", 2002).
It does not know why a line was chosen, and whether a telling line may be repeated is the caller's to decide.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

LINES_OF_ONE_MAX = 24
"""Last lines of an NPC that the next one is compared with."""
NPCS_MAX = 20_000
"""NPCs of whom something is kept, those that spoke last."""
SHARED_LINES_MAX = 256
"""Last lines of a world in which a phrase counts as going round..."""
SHARED_NPCS_MAX = 3
"""...when so many other NPCs said it in them."""
WORLDS_MAX = 1_024
OVERLAP_MAX = 0.8
"""Share of a line's trigrams that an earlier line may have too."""
DISTANCE_BITS_MIN = 6
"""Lines whose 64-bit signatures differ in fewer bits are the same but for a word."""
PHRASE_WORDS = 5
"""Words of a phrase that is watched across NPCs."""
NEAR_WORDS_MIN = 5
"""Shorter lines are only compared as a whole."""


SAME, NEAR, ROUND = "said before", "said before in other words", "going round among NPCs"
LOOPING = frozenset({SAME, NEAR, ROUND})
"""Every reason that `judge` gives."""


class Voice(NamedTuple):
    """Who speaks."""

    tenant: str
    world: str
    npc: str


class _Print(NamedTuple):
    """A line without its words."""

    whole: int
    grams: frozenset[int]
    signature: int
    phrases: frozenset[int]
    words: int


@dataclass(slots=True)
class _Shared:
    """The phrases of a world's last lines, and how many NPCs said each."""

    lines: deque[tuple[str, frozenset[int]]] = field(default_factory=deque)
    speakers: dict[int, Counter[str]] = field(default_factory=dict)

    def add(self, npc: str, phrases: frozenset[int]) -> None:
        self.lines.append((npc, phrases))
        for phrase in phrases:
            self.speakers.setdefault(phrase, Counter())[npc] += 1
        if len(self.lines) > SHARED_LINES_MAX:
            gone, left = self.lines.popleft()
            for phrase in left:
                self._drop(phrase, gone)

    def _drop(self, phrase: int, npc: str) -> None:
        counts = self.speakers[phrase]
        counts[npc] -= 1
        if counts[npc] <= 0:
            del counts[npc]
        if not counts:
            del self.speakers[phrase]

    def going_round(self, npc: str, phrases: frozenset[int]) -> bool:
        """Whether one of the phrases was said by so many others of late."""
        return any(
            len(counts) - (npc in counts) >= SHARED_NPCS_MAX
            for phrase in phrases
            if (counts := self.speakers.get(phrase)) is not None
        )


class Governor:
    """What was said of late by each NPC, and by all of a world's together."""

    def __init__(self) -> None:
        self._said: OrderedDict[Voice, deque[_Print]] = OrderedDict()
        self._shared: OrderedDict[tuple[str, str], _Shared] = OrderedDict()

    def judge(self, tenant: str, world: str, npc: str, text: str) -> str:
        """Why `text` would go round in circles; empty where it is fresh."""
        line = _print(text)
        for before in self._said.get(Voice(tenant, world, npc), ()):
            if before.whole == line.whole:
                return SAME
            if _near(before, line):
                return NEAR
        shared = self._shared.get((tenant, world))
        if shared is not None and shared.going_round(npc, line.phrases):
            return ROUND
        return ""

    def said(self, tenant: str, world: str, npc: str, text: str) -> None:
        """Take note of a line, or of a sentence of one, that was spoken."""
        line = _print(text)
        voice = Voice(tenant, world, npc)
        self._said.setdefault(voice, deque(maxlen=LINES_OF_ONE_MAX)).append(line)
        self._said.move_to_end(voice)
        while len(self._said) > NPCS_MAX:
            self._said.popitem(last=False)
        self._shared.setdefault((tenant, world), _Shared()).add(npc, line.phrases)
        self._shared.move_to_end((tenant, world))
        while len(self._shared) > WORLDS_MAX:
            self._shared.popitem(last=False)

    def forget(self, tenant: str, world: str) -> None:
        """Let go of everything that was said in a world."""
        self._shared.pop((tenant, world), None)
        for voice in [voice for voice in self._said if voice[:2] == (tenant, world)]:
            del self._said[voice]


def overlap(text: str, other: str) -> float:
    """The share of the trigrams of `text` that `other` has too, in [0, 1]; 1 for the same words."""
    one, two = _print(text), _print(other)
    return _share(one, two)


def _share(line: _Print, before: _Print) -> float:
    if line.whole == before.whole:
        return 1.0
    return len(line.grams & before.grams) / len(line.grams) if line.grams else 0.0


def _near(before: _Print, line: _Print) -> bool:
    if min(before.words, line.words) < NEAR_WORDS_MIN:
        return False
    if (before.signature ^ line.signature).bit_count() < DISTANCE_BITS_MIN:
        return True
    return _share(line, before) > OVERLAP_MAX


def _print(text: str) -> _Print:
    words = _WORD.findall(text.casefold())
    grams = _runs(words, 3)
    return _Print(
        whole=_hash(" ".join(words)),
        grams=grams,
        signature=_signature(grams),
        phrases=_runs(words, PHRASE_WORDS),
        words=len(words),
    )


def _runs(words: list[str], length: int) -> frozenset[int]:
    return frozenset(_hash(" ".join(words[at : at + length])) for at in range(len(words) - length + 1))


def _signature(grams: frozenset[int]) -> int:
    """64 signs of the sum of the grams' signed vectors."""
    if not grams:
        return 0
    rows = np.fromiter(grams, np.dtype("<u8"), len(grams)).view(np.uint8).reshape(-1, 8)  # (grams, 8) bytes
    counts = np.unpackbits(rows, axis=1, bitorder="little").sum(axis=0, dtype=np.int64)  # (64,)
    return int.from_bytes(np.packbits(2 * counts > len(grams), bitorder="little").tobytes(), "little")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
