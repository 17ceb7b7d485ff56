"""What a player types moves a story only where it can mean one choice alone."""

from __future__ import annotations

import pytest

from app.modules.dialogue import intents
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.matching import matched

LEXICON = intents.load("en")
CHOICES = ("Tell me about the old mill.", "I will help you.", "I will not help you.", "Leave")


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        ("2", 1),
        (" 4. ", 3),
        ("(1)", 0),
        ("9", None),
        ("0", None),
        ("leave", 3),
        ("LEAVE!", 3),
        ("tell me about the old mill", 0),
        ("what about this old mill then?", 0),
        ("I will help you, of course", 1),
        ("No, I won't help you", 2),
        ("I won't help", 2),
        ("where is the smith?", None),
        ("hello", None),
        ("", None),
        ("the", None),
        ("22 2", None),
        ("?!", None),
    ],
)
def test_words_that_mean_one_choice_take_it(heard: str, meant: int | None) -> None:
    assert matched(CHOICES, heard, LEXICON, Limits()) == meant


def test_words_that_fit_two_choices_take_neither() -> None:
    choices = ("Ask about the red barrel", "Ask about the blue barrel")
    assert matched(choices, "ask about the barrel", LEXICON, Limits()) is None
    assert matched(choices, "ask about the blue barrel please", LEXICON, Limits()) == 1
    assert matched(("Go", "Go"), "go", LEXICON, Limits()) is None
    assert matched((), "go", LEXICON, Limits()) is None
