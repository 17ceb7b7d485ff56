"""Teaches the classifier of app/world/moderation from sentences that were written for it, and measures it.

Logistic regression on hashed pieces of words, each category against the rest, with numpy alone; the same seed gives
the same file. It learns from examples.toml, ordinary.toml and the product's own lines, from which the thresholds are
chosen by cross-validation too. It is measured on held_out.toml, whose lines those who wrote the examples have read, and
on unseen.toml and unseen_found.toml, which are blind.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.engines.authored import grammar
from app.world.moderation import Moderation, folding
from app.world.moderation.classifier import Classifier, Head, pack, pair_hash, unpack, word_hashes

F32 = NDArray[np.float32]
SEED = 20
BUCKETS = 1 << 14
LINES_MAX = 32
"""Sentences made of one line of the examples."""
STEPS = 300
RATE = 0.05
DECAY = 5e-4
FOLDS = 5
QUIET_SHARE = 0.0005
"""Ordinary sentences that a threshold may let through as something else, each scored by weights that never met it."""
CARE_SHARE = 0.00025
"""The same for self-harm: an ordinary line must not be answered with care."""
BLIND, BLIND_FOUND = "unseen.toml", "unseen_found.toml"
"""Ordinary talk, and what must be found, on which nothing was tuned."""
_SLOT = re.compile(r"\{([^{}]*)\}")
_MARKS = re.compile(r"^\[[^\]]*\]\s*|#\w+#")
_STAND_INS: Mapping[str, str] = {
    "you": "friend",
    "me": "Mira",
    "here": "the village",
    "person": "Borin",
    "place": "the forge",
}


class Row(NamedTuple):
    """How well one category is found."""

    category: str
    precision: float
    recall: float
    caught: float
    """The share that the lexicon and this classifier find together, by whatever name."""
    cases: int
    blind: float
    """The same share of sentences on which nothing was tuned."""
    blind_cases: int


class Quiet(NamedTuple):
    """False alarms in a set of ordinary lines; `blind` where neither training nor thresholds ever met them."""

    name: str
    blind: bool
    alarms: int
    lines: int


class Report(NamedTuple):
    """The categories, and false alarms among so many benign sentences.

    Each of `quiet` is a set of ordinary lines, judged as a player's are by lexicon and classifier: alarms by its name.
    """

    rows: tuple[Row, ...]
    alarms: int
    benign: int
    quiet: tuple[Quiet, ...]


def sentences(name: str) -> dict[str, tuple[str, ...]]:
    """Category or register -> sentences of one of the files, with their slots."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, tuple[str, ...]])


def words_of(text: str) -> list[str]:
    """A sentence as the classifier meets it."""
    parts = (part for token in text.split() for part in folding.parts(token))
    return [ways[0] for part in parts if (ways := folding.forms(part))]


def product_lines() -> tuple[str, ...]:
    """What the product itself says and expects to hear: its grammar, short lines and intents, as one meets them."""
    found: list[str] = []
    for language in grammar.languages():
        for file in sorted(grammar.files(language)):
            symbols = tomllib.loads(file).get("symbols", {})
            found += [line for name in sorted(symbols) for line in symbols[name]]
    dialogue = resources.files("app.modules.dialogue")
    asides = tomllib.loads((dialogue / "asides.toml").read_text(encoding="utf-8"))
    for spoken in asides.values():
        found += [*spoken["filler"], *(line for lines in spoken["bark"].values() for line in lines)]
    barks = tomllib.loads((dialogue / "barks.toml").read_text(encoding="utf-8"))
    found += [line for lines in barks.values() for line in lines]
    intents = tomllib.loads((dialogue / "intents" / "en.toml").read_text(encoding="utf-8"))
    found += [phrase for intent in intents["intent"] for phrase in intent.get("phrases", ())]
    return tuple(dict.fromkeys(filter(words_of, map(_plainly, found))))


def lessons() -> list[tuple[int, str, str]]:
    """(line, category, sentence) of everything that is taught, without what is measured on, however it came in."""
    draw = random.Random(SEED)  # noqa: S311  # sentences are drawn, not secrets
    taught = [(name, line) for name, lines in sentences("examples.toml").items() for line in lines]
    taught += [("benign", line) for lines in sentences("ordinary.toml").values() for line in lines]
    made = [(at, name, text) for at, (name, line) in enumerate(taught) for text in _made(line, draw)]
    made += [(len(taught) + at, "benign", text) for at, text in enumerate(product_lines())]
    kept_out = {tuple(words_of(line)) for line in measured()}
    return [each for each in made if tuple(words_of(each[2])) not in kept_out]


def measured() -> tuple[str, ...]:
    """Every sentence of the files that the classifier is measured on."""
    files = ("held_out.toml", BLIND, BLIND_FOUND)
    return tuple(text for name in files for lines in sentences(name).values() for text in lines)


def train() -> bytes:
    """The file of the classifier."""
    made = lessons()
    categories = tuple(dict.fromkeys(name for _, name, _ in made if name != "benign"))
    bags = Bags.of([_buckets(words_of(text)) for _, _, text in made])
    labels = np.array([[name == category for category in categories] for _, name, _ in made], np.float32)
    lines = np.array([line for line, _, _ in made])
    thresholds = _thresholds(bags, labels, lines, categories)
    small, scales, biases = _small(*_fit(bags, labels))
    head = Head(
        categories=categories,
        buckets=BUCKETS,
        scales=tuple(round(float(each), 8) for each in scales),
        biases=tuple(round(float(each), 6) for each in biases),
        thresholds=tuple(round(float(each), 4) for each in thresholds),
    )
    return pack(head, small.tobytes())


def _thresholds(bags: Bags, labels: F32, lines: NDArray[np.int64], categories: tuple[str, ...]) -> F32:
    """(categories,): each so high that ordinary sentences pass, scored by weights that never met their line."""
    scores = np.zeros_like(labels)
    folds = np.array([crc32(f"{SEED} {line}".encode()) % FOLDS for line in lines])
    for fold in range(FOLDS):
        out = folds == fold
        small, scales, biases = _small(*_fit(bags.rows(~out), labels[~out]))
        scores[out] = bags.rows(out).times((small * scales).astype(np.float32)) + biases
    ordinary = labels.sum(axis=1) == 0
    shares = [CARE_SHARE if name == "self_harm" else QUIET_SHARE for name in categories]
    weights = 1.0 / np.bincount(lines)[lines][ordinary]  # every line counts once, however many sentences it makes
    least = [_quantile(scores[ordinary, at], weights, 1.0 - share) for at, share in enumerate(shares)]
    return np.maximum(np.array(least, np.float32), 0.0)


def _quantile(values: F32, weights: NDArray[np.float64], share: float) -> float:
    """The least value with `share` of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])


def _small(weights: F32, biases: F32) -> tuple[NDArray[np.int8], F32, F32]:
    """(weights as int8 (buckets, categories), their scales (categories,), the biases)."""
    scales = np.abs(weights).max(axis=0) / 127.0
    return np.round(weights / scales).astype(np.int8), scales, biases


def measure(data: bytes) -> Report:
    """How well the classifier in `data` tells the held-out sentences apart, alone and with the lexicon."""
    model = unpack(data)
    held, blind = sentences("held_out.toml"), sentences(BLIND_FOUND)
    cases = [(name, _guess(model, text)) for name, lines in held.items() for text in lines]
    rows = []
    for category in model.head.categories:
        right = sum(name == guess == category for name, guess in cases)
        guessed = sum(guess == category for _, guess in cases)
        known, unseen = held[category], blind[category]
        caught, blindly = _found(model, known), _found(model, unseen)
        rows.append(
            Row(
                category,
                precision=right / max(guessed, 1),
                recall=right / len(known),
                caught=caught / len(known),
                cases=len(known),
                blind=blindly / len(unseen),
                blind_cases=len(unseen),
            )
        )
    benign = [guess for name, guess in cases if name == "benign"]
    ordinary = tuple(line for lines in sentences(BLIND).values() for line in lines)
    own = product_lines()
    quiet = (
        Quiet("unseen ordinary talk", blind=True, alarms=_found(model, ordinary), lines=len(ordinary)),
        Quiet("the product's own lines", blind=False, alarms=_found(model, own), lines=len(own)),
    )
    return Report(tuple(rows), sum(map(bool, benign)), len(benign), quiet)


def _found(model: Classifier, lines: Sequence[str]) -> int:
    """How many of the lines the lexicon under the rating that is the default, or the classifier, does not let be."""
    whole = Moderation.load()
    return sum(bool(_guess(model, line)) or not whole.judge(line, guess=False).allowed for line in lines)


def _guess(model: Classifier, text: str) -> str:
    return model.find([model.word(word) for word in words_of(text)])


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


class Bags(NamedTuple):
    """Sentences as bags of buckets, one after the other: `starts` is where each begins in `buckets`."""

    buckets: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, bags: Sequence[NDArray[np.int64]]) -> Bags:
        """Bags of some; none may be empty."""
        return cls(np.concatenate(bags), np.cumsum([0, *map(len, bags)])[:-1])

    def rows(self, wanted: NDArray[np.bool_]) -> Bags:
        """Some of the sentences."""
        parts = np.split(self.buckets, self.starts[1:])
        return Bags.of([part for part, wants in zip(parts, wanted, strict=True) if wants])

    def times(self, weights: F32) -> F32:
        """(sentences, columns): the sum of `weights` (buckets, columns) over each bag."""
        return np.add.reduceat(weights[self.buckets], self.starts, axis=0)

    def back(self, slopes: F32) -> F32:
        """(buckets, columns): what each bucket adds to `slopes` (sentences, columns)."""
        sizes = np.diff(np.append(self.starts, len(self.buckets)))
        each = np.repeat(slopes, sizes, axis=0)
        columns = [np.bincount(self.buckets, each[:, at], BUCKETS) for at in range(each.shape[1])]
        return np.stack(columns, axis=1).astype(np.float32)


def _fit(bags: Bags, labels: F32) -> tuple[F32, F32]:
    """(weights (buckets, categories), biases (categories,)) by Adam (Kingma and Ba 2015) on all sentences at once.

    The rarer side of a category weighs more, by the root of how much rarer it is.
    """
    rows, columns = labels.shape
    weights = np.zeros((BUCKETS + 1, columns), np.float32)
    share = labels.mean(axis=0)
    balance = 1.0 + labels * (np.sqrt((1.0 - share) / share) - 1.0)  # (sentences, categories)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        scores = bags.times(weights[:-1]) + weights[-1]
        guesses = 1.0 / (1.0 + np.exp(-np.clip(scores, -30.0, 30.0)))
        slopes = ((guesses - labels) * balance / rows).astype(np.float32)
        slope = np.vstack([bags.back(slopes), slopes.sum(axis=0)]) + DECAY * weights
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope * slope
        weights -= RATE * (first / (1.0 - 0.9**step)) / (np.sqrt(second / (1.0 - 0.999**step)) + 1e-8)
    return weights[:-1], weights[-1]


def _plainly(line: str) -> str:
    """A line of the grammar without its marks, with a word for each slot."""
    bare = _MARKS.sub("", line)
    return " ".join(re.sub(r"\{(\w+)\}", lambda slot: _STAND_INS.get(slot[1].lower(), "it"), bare).split())
