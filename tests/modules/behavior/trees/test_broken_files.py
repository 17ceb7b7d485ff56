"""Files damaged at random are read, or refused as the caller's fault; nothing else ever happens."""

from __future__ import annotations

import random
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.behavior.goals.brain import compile_goals
from app.modules.behavior.trees.formats import Format, compile_tree
from app.modules.behavior.trees.meanings import read_meanings
from tests.modules.behavior.stage import LAYOUT

TREES = resources.files("app.modules.behavior.trees") / "data"
GOALS = resources.files("app.modules.behavior.goals") / "data"
MEANINGS = read_meanings((TREES / "sentinel.meanings.toml").read_bytes())
FILES: dict[Format, str] = {"btcpp": "sentinel.xml", "beehave": "wolf.json", "toml": "boss.toml"}
BITS = (
    b"<",
    b">",
    b'"',
    b"-1",
    b"1e999",
    b"nan",
    b"{",
    b"}",
    b"0",
    b"9" * 20,
    b"\0",
    b"\xff",
    b"null",
    b"@",
    b"'",
    b"=",
)


def damaged(data: bytes, seed: int) -> bytes:
    rng, found = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, other = rng.randrange(len(found)), rng.randrange(len(found))
        match rng.randrange(3):
            case 0:
                found[at : at + rng.randint(0, 6)] = rng.choice(BITS)
            case 1:
                found[at : at + rng.randint(1, 30)] = found[other : other + rng.randint(1, 30)]
            case _:
                del found[at : at + rng.randint(1, 12)]
    return bytes(found)


@pytest.mark.parametrize("format", FILES)
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_tree_is_read_or_refused(format: Format, seed: int) -> None:
    try:
        compile_tree(damaged((TREES / FILES[format]).read_bytes(), seed), LAYOUT, format=format, meanings=MEANINGS)
    except Invalid as error:
        assert error.message  # noqa: PT017  # either is fine


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_damaged_goals_are_read_or_refused(seed: int) -> None:
    try:
        compile_goals(damaged((GOALS / "villager.toml").read_bytes(), seed), LAYOUT, format="toml")
    except Invalid as error:
        assert error.message  # noqa: PT017  # either is fine
