"""The words of quests: how much the texts of 200 quests repeat each other, in each language, without a model.

Figures, over raw texts with the names in them, as lower-case words without punctuation:

- distinct-2 (Li et al. 2016): different pairs of neighboring words, divided by all such pairs, over the whole set.
- self-BLEU-4 (Zhu et al. 2018): the mean over texts of BLEU with all the others as references: the geometric mean of
  clipped 1- to 4-gram precisions times the brevity penalty against the reference of nearest length (Papineni et al.
  2002). A precision without a match is taken as 0.1 matches (Chen and Cherry 2014, method 1).

A quest's objectives are the texts of its steps, read as one text; `per_step` takes each step as a text of its own,
which is stricter and has no goal. The quests are 200 of a city of 100 places, told one after the other: each hears the
200 before it, as on a server. `apart` takes 25 of each of the eight fixture worlds, which hear nothing of each other.
Texts were widened while looking at quests of all these worlds, at the seeds from `stable_hash("held out", world)` on,
and faulty lines were reworded at those from `stable_hash("fresh", world)` on; the figures are of others, from
`stable_hash("unseen", world)` on. So the seeds are new to the texts, the worlds are not.
`grounded` is the share of quests that a lying model leaves without an invention.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.core.errors import Conflict
from app.core.ids import stable_hash
from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.checker import faults
from app.modules.quests.prose.grammar import load_grammar
from app.modules.quests.prose.heard import texts_of
from app.modules.quests.quest import Quest
from app.modules.quests.settings import Settings
from tests.modules.quests.test_model_prose import LIES, liar, worded
from tests.modules.quests.worlds import NAMES, load
from tests.standin import Standin

QUESTS = 200
CITY = "city"
HEARD = 200
FOES = frozenset({"wolf", "bandit", "thief", "monster", "beast", "child"})
GOALS = {
    "distinct_2.description": 0.60, "self_bleu_4.description": 0.20,
    "distinct_2.objective": 0.55, "self_bleu_4.objective": 0.25,
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:[-’'][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The lower-case words of a text."""
    return [word.casefold() for word in _WORD.findall(text)]


def distinct_2(texts: Sequence[str]) -> float:
    """The share of different pairs among all pairs of neighboring words in a text."""
    pairs = [pair for text in texts for pair in _grams(words_of(text), 2)]
    return len(set(pairs)) / len(pairs)


def self_bleu_4(texts: Sequence[str]) -> float:
    """The mean BLEU-4 of each text against all others."""
    split = [words_of(text) for text in texts]
    lengths = Counter(len(words) for words in split)
    counts = [[Counter(_grams(words, order)) for words in split] for order in (1, 2, 3, 4)]
    most = [_highest(row) for row in counts]
    total = 0.0
    for at, words in enumerate(split):
        matched = [_precision(row[at], best, at) for row, best in zip(counts, most, strict=True)]
        total += _brevity(len(words), lengths) * math.exp(sum(map(math.log, matched)) / 4)
    return total / len(split)


Highest = dict[tuple[str, ...], tuple[int, int, int]]
"""n-gram -> the highest count in any text, which text that is, and the highest in any other."""


def _highest(row: Sequence[Counter[tuple[str, ...]]]) -> Highest:
    found: Highest = {}
    for at, counts in enumerate(row):
        for gram, count in counts.items():
            high, where, second = found.get(gram, (0, -1, 0))
            found[gram] = (count, at, high) if count > high else (high, where, max(second, count))
    return found


def _precision(counts: Counter[tuple[str, ...]], highest: Highest, at: int) -> float:
    """Matches in the other texts, each n-gram clipped to its highest count in one of them."""
    every = sum(counts.values())
    if not every:
        return 0.1
    matches = 0
    for gram, count in counts.items():
        high, where, second = highest[gram]
        matches += min(count, second if where == at else high)
    return (matches or 0.1) / every


def _brevity(length: int, lengths: Counter[int]) -> float:
    others = [other for other, count in lengths.items() if count > (other == length)]
    nearest = min(others, key=lambda other: (abs(other - length), other))
    return 1.0 if length >= nearest else math.exp(1 - nearest / length)


def _grams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + order]) for at in range(len(words) - order + 1)]


def told(language: str, name: str, count: int, *, window: int = HEARD) -> list[Quest]:
    """Quests of a fixture world, told one after the other as a server would: each hears the `window` before it."""
    library = Library(load_vocabulary(), load_strategies(), load_grammar())
    view = View(load(name).state, Settings())
    givers = sorted(id for id, npc in view.npcs.items() if npc.faction != "knives" and npc.archetype not in FOES)
    found: list[Quest] = []
    seed = stable_hash("unseen", name) % 1_000_000
    while len(found) < count:
        seed += 1
        heard = tuple(text for quest in found[-window:] for text in texts_of(quest))
        giver = givers[seed % len(givers)]
        try:
            found.append(generate(library, view, Wish(giver, "hero", seed, 0, language=language, heard=heard)))
        except Conflict:
            continue
    return found


def figures_of(made: Sequence[Quest]) -> dict[str, float]:
    """Every figure of some quests."""
    descriptions = [quest.description for quest in made]
    objectives = [" ".join(step.text for step in quest.steps) for quest in made]
    steps = [step.text for quest in made for step in quest.steps]
    return {
        "distinct_2.description": distinct_2(descriptions),
        "self_bleu_4.description": self_bleu_4(descriptions),
        "distinct_2.objective": distinct_2(objectives),
        "self_bleu_4.objective": self_bleu_4(objectives),
        "distinct_2.per_step": distinct_2(steps),
        "self_bleu_4.per_step": self_bleu_4(steps),
        "words.description": sum(len(words_of(text)) for text in descriptions) / len(made),
        "words.step": sum(len(words_of(text)) for text in steps) / len(steps),
    }


def figures(language: str) -> dict[str, float]:
    """Every figure of a language over 200 quests of the city."""
    return figures_of(told(language, CITY, QUESTS))


def figures_apart(language: str) -> dict[str, float]:
    """The same over 200 quests of eight worlds, which hear nothing of each other."""
    return figures_of([quest for name in NAMES for quest in told(language, name, QUESTS // len(NAMES))])


def grounded(count: int = QUESTS) -> float:
    """The share of quests, half of them in each language, in which a model that invents leaves nothing unbound.

    Every text is worded by a stand-in over HTTP that puts an invented name or number behind it.
    """
    return sum(asyncio.run(_held(language, count // 2)) for language in ("en", "de")) / (count // 2 * 2)


async def _held(language: str, count: int) -> int:
    view, held = View(load(CITY).state, Settings()), 0
    async with Standin(say=liar) as standin:
        for quest in told(language, CITY, count):
            found, _ = await worded(standin, quest, view)
            said = " ".join(text.text for text in found.texts)
            invented = any(lie and lie in said for lie in LIES)
            held += not invented and not faults(found, load_grammar(language), view)
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="accepted for likeness with the others; it is quick")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--show", type=int, default=0, help="print so many quests as well")
    options = parser.parse_args()
    found = {
        language: figures(language) | {f"{name}.apart": value for name, value in figures_apart(language).items()}
        for language in ("en", "de")
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for language, values in found.items():
        for name, value in values.items():
            goal = GOALS.get(name.removesuffix(".apart"))
            print(f"{language} {name:32} {value:7.3f}" + (f"  goal {goal}" if goal else ""))
        for quest in told(language, CITY, options.show):
            steps = " / ".join(step.text for step in quest.steps)
            print(f"\n{quest.title}\n{quest.description}\n{steps}")


if __name__ == "__main__":
    main()
