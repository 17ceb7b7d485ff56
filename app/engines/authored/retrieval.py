"""Finds the line that a studio wrote for what was just said: by words in common and by letters that look alike.

Each line of a persona, with the topic that it stands under, is a bag of words and a vector of hashed letter
trigrams (after Weinberger et al., "Feature hashing", 2009), made once and kept. A line is filled from the scene;
one with a slot that has no value is not said.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engines.authored.grammar import Grammar
from app.engines.authored.hearing import roots_of, words_of
from app.world.scene import Scene

BUCKETS = 256
PERSONAS_MAX = 4_096
"""Personas whose lines are kept ready."""
FIT_MIN = 0.34
"""A line that fits less is not said in answer."""
TOPIC_WEIGHT = 1.6
"""How much more the words of a line's topic count than its own."""
TYPED_LETTERS_MIN = 4
"""A shorter word is taken as it was typed..."""
TYPED_ALIKE_MIN = 0.85
"""...a longer one that is so much like a topic's, as difflib measures it, is meant to be that one."""
WORDS_SHARE = 0.75
"""Of a line's fit: what common words make up; the rest is letters alike, which forgives typing errors."""


class Own(NamedTuple):
    """One authored line under its key."""

    key: str
    text: str
    topic: frozenset[str]
    words: frozenset[str]


class _Shelf(NamedTuple):
    lines: tuple[Own, ...]
    rarity: Mapping[str, float]
    vectors: NDArray[np.float32]
    topics: tuple[str, ...]
    """The words of all topics."""


class Retrieval:
    """The authored lines of many personas, for one grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._shelves: OrderedDict[int, tuple[Mapping[str, tuple[str, ...]], _Shelf]] = OrderedDict()

    def fitting(self, scene: Scene, text: str) -> Iterator[str]:
        """The lines that fit what was said clearly, best first; their slots are still open."""
        lines = scene.persona.lines
        words = roots_of(words_of(text), self._grammar)
        if not lines or not words:
            return
        shelf = self._shelf(lines)
        if not shelf.lines:
            return
        alike = shelf.vectors @ _vector(text)  # (lines,)
        words = frozenset(_mended(word, shelf) for word in words)
        ranked = sorted(
            ((self._fit(own, words, shelf.rarity, float(alike[at])), at) for at, own in enumerate(shelf.lines)),
            key=lambda row: (-row[0], row[1]),
        )
        for fit, at in ranked:
            if fit < FIT_MIN:
                return
            yield shelf.lines[at].text

    @staticmethod
    def _fit(own: Own, words: frozenset[str], rarity: Mapping[str, float], alike: float) -> float:
        """In [0, 1]: the share of what was said, by rarity, that the line or its topic has too."""
        whole = sum(rarity.get(word, 1.0) for word in words)
        topic = sum(rarity.get(word, 1.0) for word in words & own.topic)
        rest = sum(rarity.get(word, 1.0) for word in (words & own.words) - own.topic)
        shared = min(1.0, (TOPIC_WEIGHT * topic + rest) / whole)
        return WORDS_SHARE * shared + (1.0 - WORDS_SHARE) * max(0.0, alike)

    def _shelf(self, lines: Mapping[str, tuple[str, ...]]) -> _Shelf:
        """The lines made ready; the mapping itself is kept, so its id stands for it alone."""
        found = self._shelves.get(id(lines))
        if found is not None:
            self._shelves.move_to_end(id(lines))
            return found[1]
        made = self._made(lines)
        self._shelves[id(lines)] = (lines, made)
        if len(self._shelves) > PERSONAS_MAX:
            self._shelves.popitem(last=False)
        return made

    def _made(self, lines: Mapping[str, tuple[str, ...]]) -> _Shelf:
        rows = [
            Own(
                key=key,
                text=text,
                topic=roots_of(words_of(key.replace("_", " ")), self._grammar),
                words=roots_of(words_of(_SLOT.sub(" ", text)), self._grammar),
            )
            for key, texts in lines.items()
            if key not in _NOT_ANSWERS
            for text in texts
        ]
        counts = Counter(word for _, words in {(row.key, row.topic | row.words) for row in rows} for word in words)
        counts.update({word: 1 - counts[word] for row in rows for word in row.topic})
        rarity = {word: 1.0 / (1.0 + math.log(count)) for word, count in counts.items()}
        vectors = np.stack([_vector(f"{row.key.replace('_', ' ')} {row.text}") for row in rows]) if rows else _NONE
        return _Shelf(tuple(rows), rarity, vectors, tuple(sorted({word for row in rows for word in row.topic})))


def _mended(word: str, shelf: _Shelf) -> str:
    """The word, or the topic that it was likely meant to be."""
    if word in shelf.rarity or len(word) < TYPED_LETTERS_MIN:
        return word
    able = [topic for topic in shelf.topics if topic[0] == word[0]]
    return next(iter(get_close_matches(word, able, n=1, cutoff=TYPED_ALIKE_MIN)), word)


def filled(text: str, scene: Scene, slots: Mapping[str, str]) -> str:
    """An authored line with its slots filled from the scene and from facts; empty when one has no value.

    `{name}` is a slot of the grammar, or a fact of that predicate about the speaker, where they stand, the listener
    or the world; `{subject.predicate}` is a fact about the entity of that id.
    """
    out: list[str] = []
    for at, piece in enumerate(_SLOT.split(text)):
        value = piece if at % 2 == 0 else slots.get(piece) or _of_facts(piece, scene)
        if at % 2 and not value:
            return ""
        out.append(value)
    return "".join(out)


def _of_facts(name: str, scene: Scene) -> str:
    subject, dot, predicate = name.rpartition(".")
    if not dot and name == "weather":
        return scene.weather
    here = scene.here.id if scene.here is not None else ""
    able = (subject,) if dot else (scene.npc.id, here, scene.listener.id, "world")
    for each in able:
        for fact in scene.known:
            if each and fact.subject_id == each and fact.predicate == predicate:
                return fact.value
    return ""


def _vector(text: str) -> NDArray[np.float32]:
    """Hashed letter trigrams, (BUCKETS,) float32 of length one."""
    vector = np.zeros(BUCKETS, np.float32)
    for word in words_of(text):
        padded = f"<{word}>"
        for at in range(len(padded) - 2):
            hashed = zlib.crc32(padded[at : at + 3].encode())
            vector[hashed % BUCKETS] += 1.0 if hashed & 0x10000 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


_SLOT = re.compile(r"\{([\w.-]+)\}")
_NONE: NDArray[np.float32] = np.zeros((0, BUCKETS), np.float32)
_NOT_ANSWERS = frozenset({"greet", "goodbye", "bark", "filler", "chatter"})
"""Keys whose lines are said at their moment only, never in answer to a word in them."""
