"""A thousand random worlds of whispers, rounds, rumors, factions and conclusions: nobody learns what they must not."""

from __future__ import annotations

import random

import pytest

from app.modules.memory.messages import Note
from tests.modules.memory.evenings import Evening, Oracle, lived
from tests.modules.memory.hall import Hall

WORLDS = 1_000
SHARDS = 10


@pytest.mark.parametrize("shard", range(SHARDS))
async def test_nobody_is_told_what_they_must_not_hear(shard: int) -> None:
    texts = rumors = 0
    for number in range(WORLDS // SHARDS):
        more, told, leaks = await lived(shard * WORLDS + number)
        assert not leaks
        texts += more
        rumors += told
    assert texts > 1_000, "much was recalled"
    assert rumors > 100, "rumors arrived"


async def test_the_oracle_sees_a_leak() -> None:
    """A memory that is written down as gossip although it was whispered must be found."""
    hall = Hall()
    await hall.fill()
    evening = Evening(random.Random(1), hall, Oracle())
    word = evening.oracle.word(frozenset(("ash", "greta")), {"greta"})
    await hall.ask(Note(npc="greta", text=f"a note of {word}"))
    await evening.judge()
    assert evening.leaks
