"""Which inputs are the same, and which never are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.responses.keys import asked, normalized
from tests.engines.responses.kept import ask


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Any room left?", "  any   ROOM left ?".replace(" ?", "?")),
        ("Good morning", "good morning!"),
        ("Good morning.", "Good morning …"),
        ("\uff28\uff45\uff4c\uff4c\uff4f", "hello"),
        ("cafe\u0301", "caf\u00e9"),
        ("STRASSE", "straße"),
        ("hi\tthere\n", "hi there"),
    ],
)
def test_the_same_words_typed_otherwise_are_the_same(one: str, other: str) -> None:
    assert normalized(one) == normalized(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("You killed him?", "You killed him."),
        ("2\u2075", "25"),
        ("\u00bd loaf", "12 loaf"),
        ("the word is \u201cMellon\u201d", "the word is \u201cmellon\u201d"),
        ("not here", "now here"),
        ("1,5 coins", "15 coins"),
        ("-3", "3"),
        ("resume", "r\u00e9sum\u00e9"),
        ("?", "!"),
        ("", "."),
    ],
)
def test_what_changes_the_meaning_stays(one: str, other: str) -> None:
    assert normalized(one) != normalized(other)


@given(st.text(max_size=60))
def test_normalizing_twice_changes_nothing_more(text: str) -> None:
    once = normalized(text)
    assert normalized(once) == once


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_inputs_have_one_key_only_if_they_are_normalized_alike(one: str, other: str) -> None:
    first, second = ask(one), ask(other)
    assert first.keep is not None
    assert second.keep is not None
    keys = asked(first, first.keep, 0), asked(second, second.keep, 0)
    assert (keys[0].exact == keys[1].exact) == (normalized(one) == normalized(other))
    assert keys[0].hard == keys[1].hard


@given(st.lists(st.text(max_size=5), min_size=2, max_size=4), st.integers(0, 3))
def test_no_field_reaches_into_its_neighbor(fields: list[str], cut: int) -> None:
    """Text that moves from one field to the next makes another key."""
    prompt, variant = fields[0] + "x", fields[1]
    one = ask(prompt=prompt, variant=variant)
    other = ask(prompt=prompt[:-1], variant="x" + variant)
    assert one.keep is not None
    assert other.keep is not None
    assert asked(one, one.keep, cut).exact != asked(other, other.keep, cut).exact


def test_the_order_of_state_tags_makes_no_difference() -> None:
    one, other = ask(state=("npc:a", "npc:b")), ask(state=("npc:b", "npc:a"))
    assert one.keep is not None
    assert other.keep is not None
    assert asked(one, one.keep, 0).exact == asked(other, other.keep, 0).exact
