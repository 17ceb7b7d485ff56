"""Teaches the classifier of app/world/moderation from sentences that were written for it, and measures it.

Logistic regression on hashed pieces of words, each category against the rest, with numpy alone; the same seed gives
the same file. What it learns from and what it is measured on are two files, written apart.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from importlib import resources
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.world.moderation import Moderation, folding
from app.world.moderation.classifier import Classifier, Head, pack, pair_hash, unpack, word_hashes

SEED = 20
BUCKETS = 1 << 13
LINES_MAX = 32
"""Sentences made of one line of the examples."""
STEPS = 300
RATE = 0.05
DECAY = 2e-4
QUIET_SHARE = 0.001
"""Benign sentences of the examples that the thresholds may let through as something else."""
MARGIN = 1.2
"""Added to each threshold, in logits: a false alarm spoils a scene, and the lexicon stands beside it."""
_SLOT = re.compile(r"\{([^{}]*)\}")


class Row(NamedTuple):
    """How well one category is found."""

    category: str
    precision: float
    recall: float
    caught: float
    """The share that the lexicon and the classifier that ships find together, by whatever name."""
    cases: int


class Report(NamedTuple):
    """The categories, and false alarms among so many benign sentences."""

    rows: tuple[Row, ...]
    alarms: int
    benign: int


def sentences(name: str) -> dict[str, tuple[str, ...]]:
    """Category -> sentences of one of the two files, with their slots."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, tuple[str, ...]])


def words_of(text: str) -> list[str]:
    """A sentence as the classifier meets it."""
    parts = (part for token in text.split() for part in folding.parts(token))
    return [ways[0] for part in parts if (ways := folding.forms(part))]


def train() -> bytes:
    """The file of the classifier."""
    draw = random.Random(SEED)  # noqa: S311  # sentences are drawn, not secrets
    taught = sentences("examples.toml")
    categories = tuple(name for name in taught if name != "benign")
    texts = [(name, text) for name, lines in taught.items() for line in lines for text in _made(line, draw)]
    features = np.zeros((len(texts), BUCKETS), np.float32)
    for row, (_, text) in enumerate(texts):
        np.add.at(features[row], _buckets(words_of(text)), 1.0)
    labels = np.array([[name == category for category in categories] for name, _ in texts], np.float32)
    weights, biases = _fit(features, labels)
    scales = np.abs(weights).max(axis=0) / 127.0  # (categories,)
    small = np.round(weights / scales).astype(np.int8)  # (buckets, categories)
    scores = features @ (small * scales).astype(np.float32) + biases
    benign = np.array([name == "benign" for name, _ in texts])
    thresholds = np.maximum(np.quantile(scores[benign], 1.0 - QUIET_SHARE, axis=0), 0.0) + MARGIN
    head = Head(
        categories=categories,
        buckets=BUCKETS,
        scales=tuple(round(float(each), 8) for each in scales),
        biases=tuple(round(float(each), 6) for each in biases),
        thresholds=tuple(round(float(each), 4) for each in thresholds),
    )
    return pack(head, small.tobytes())


def measure(data: bytes) -> Report:
    """How well the classifier in `data`, alone, tells the held-out sentences apart."""
    model = unpack(data)
    cases = [(name, _guess(model, text)) for name, lines in sentences("held_out.toml").items() for text in lines]
    whole, rows = Moderation.load(), []
    caught = [
        (name, not whole.judge(text).allowed) for name, lines in sentences("held_out.toml").items() for text in lines
    ]
    for category in model.head.categories:
        right = sum(name == guess == category for name, guess in cases)
        guessed = sum(guess == category for _, guess in cases)
        known = sum(name == category for name, _ in cases)
        found = sum(name == category and seen for name, seen in caught)
        rows.append(Row(category, right / max(guessed, 1), right / max(known, 1), found / max(known, 1), known))
    quiet = [guess for name, guess in cases if name == "benign"]
    return Report(tuple(rows), sum(map(bool, quiet)), len(quiet))


def _guess(model: Classifier, text: str) -> str:
    words = words_of(text)
    return model.find(words, [model.word(word) for word in words])


def _made(line: str, draw: random.Random) -> list[str]:
    """Sentences of one line with its slots filled, different ones, at most LINES_MAX."""
    slots = [found.group(1).split("|") for found in _SLOT.finditer(line)]
    every = list(itertools.islice(itertools.product(*slots), 50_000))
    chosen = every if len(every) <= LINES_MAX else draw.sample(every, LINES_MAX)
    return [" ".join(_filled(line, choice).split()) for choice in chosen]


def _filled(line: str, choice: tuple[str, ...]) -> str:
    words = iter(choice)
    return _SLOT.sub(lambda _found: next(words), line)


def _buckets(words: list[str]) -> NDArray[np.int64]:
    hashes = [hash_ for word in words for hash_ in word_hashes(word)]
    hashes += [pair_hash(left, right) for left, right in itertools.pairwise(words)]
    return np.array(hashes, np.int64) & (BUCKETS - 1)


def _fit(features: NDArray[np.float32], labels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(weights (buckets, categories), biases (categories,)) by Adam (Kingma and Ba 2015) on all sentences at once.

    The rarer side of a category weighs more, by the root of how much rarer it is.
    """
    rows, columns = features.shape[0], labels.shape[1]
    weights = np.zeros((features.shape[1] + 1, columns), np.float32)
    inputs = np.hstack([features, np.ones((rows, 1), np.float32)])
    share = labels.mean(axis=0)
    balance = 1.0 + labels * (np.sqrt((1.0 - share) / share) - 1.0)  # (sentences, categories)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        guesses = 1.0 / (1.0 + np.exp(-np.clip(inputs @ weights, -30.0, 30.0)))
        slope = inputs.T @ ((guesses - labels) * balance) / rows + DECAY * weights
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope * slope
        weights -= RATE * (first / (1.0 - 0.9**step)) / (np.sqrt(second / (1.0 - 0.999**step)) + 1e-8)
    return weights[:-1], weights[-1]
