"""An index from which much was forgotten is written anew bit by bit, and nobody can tell."""

from __future__ import annotations

import random

import pytest

from app.core.memory import Cue, Recollection
from app.modules.memory.index import Mind
from app.modules.memory.index import mind as index
from app.modules.memory.index.words import tokens

DAY_S = 86_400.0
VOCABULARY = [f"thing{number}" for number in range(60)]


def made(rng: random.Random, number: int) -> Recollection:
    return Recollection(
        id=f"m{number}", seq=number, text=" ".join(rng.choices(VOCABULARY, k=6)), source="witnessed",
        thread=f"d{number // 7}", speaker=rng.choice(("ann", "bob")), game_s=float(number),
        known_by=rng.choice(((), ("ann",), ("bob", "npc"))), importance=rng.random(),
    )  # fmt: skip


def assert_like_a_fresh_one(mind: Mind, held: list[Recollection], rng: random.Random) -> None:
    fresh = Mind()
    for memory in held:
        fresh.add(memory)
    assert len(mind) == len(held)
    for listener in ("", "ann", "bob"):
        cue = Cue(text=" ".join(rng.choices(VOCABULARY, k=4)), listener=listener)
        found, wanted = (each.rank(cue, now_s=1e6, day_s=DAY_S, most=12) for each in (mind, fresh))
        assert found == wanted


@pytest.mark.parametrize("seed", range(6))
def test_after_any_forgetting_it_ranks_like_one_that_never_held_the_rest(seed: int) -> None:
    rng = random.Random(seed)
    mind, held, number, anew = Mind(), list[Recollection](), 0, 0
    for _ in range(1_500):
        if len(held) < 60 or rng.random() < 0.5:
            memory = made(rng, number)
            number += 1
            mind.add(memory)
            held.append(memory)
        else:
            gone = rng.sample(held, rng.choice((1, 1, 1, 1, 12)))
            mind.remove([memory.id for memory in gone])
            held = [memory for memory in held if memory not in gone]
        if mind._next is not None:
            anew += 1
        if rng.random() < 0.02 or (mind._next is not None and rng.random() < 0.2):
            assert_like_a_fresh_one(mind, held, rng)
    assert anew > 10, "it was asked while it was being written anew"
    assert_like_a_fresh_one(mind, held, rng)


def test_no_single_change_writes_many_memories_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, read = random.Random(1), list[str]()

    def counted(text: str) -> list[str]:
        read.append(text)
        return tokens(text)

    monkeypatch.setattr(index, "tokens", counted)
    mind, most = Mind(), 0
    for number in range(3_000):
        mind.add(made(rng, number))
        if number >= 400:
            read.clear()
            mind.remove((f"m{number - 400}",))
            most = max(most, len(read))
    assert 0 < most <= 20, "each memory has two texts and at most one new speaker"
    assert len(mind._memories) < 2 * len(mind) + 400, "the forgotten do not pile up"
