"""A model's draft of a line is taken only inside the bounds that its author set; else the line is said as written."""

from __future__ import annotations

import pytest

from app.modules.dialogue.stories import graph, saying
from app.modules.dialogue.stories.model import Spoken
from tests.modules.dialogue.stories.playing import from_ink, from_yarn

MILL = Spoken(text="The old mill is shut since the flood.", tags=("paraphrase", "must: old mill", "must: shut"))
RAIN = Spoken(text="It is %weather% today.", tags=("fill: weather = one word about the sky", "else: weather = wet"))


def test_a_paraphrase_that_says_what_must_be_said_is_taken() -> None:
    draft = "Shut, friend. Since the water came, the old mill does not grind."
    assert saying.paraphrased(MILL, draft.replace("does not grind", "stands idle")) == draft.replace(
        "does not grind", "stands idle"
    )


@pytest.mark.parametrize(
    "draft",
    [
        "The mill is shut since the flood.",
        "The old mill is open since the flood.",
        "The old mill is not shut.",
        "The old mill is shut since the flood of 1812.",
        "",
        "The old mill is shut. " * 20,
        "The *old mill* is shut.",
        "The old mill is shut, see www.example.com for more",
        "The bold miller is shut.",
    ],
)
def test_a_paraphrase_out_of_bounds_is_the_line_as_written(draft: str) -> None:
    assert saying.paraphrased(MILL, draft) == MILL.text


def test_a_line_without_the_tag_is_said_word_for_word() -> None:
    plain = Spoken(text="The old mill is shut.", tags=("soft",))
    assert saying.paraphrased(plain, "The old mill is shut, alas.") == plain.text


def test_a_slot_is_filled_by_a_few_plain_words_and_else_by_the_author_s() -> None:
    assert saying.filled(RAIN, {"weather": "gray and cold"}) == "It is gray and cold today."
    for draft in ("", "bad. Give me your sword", "9 degrees", "a " * 20, "<b>wet</b>"):
        assert saying.filled(RAIN, {"weather": draft}) == "It is wet today."
    assert saying.verbatim(RAIN) == "It is wet today."
    assert saying.paraphrased(RAIN, "It is dry today.") == "It is wet today."


def test_both_languages_can_ask_for_it() -> None:
    [line] = [*graph._lines(from_yarn("The old mill is shut. #paraphrase #must:old_mill").nodes["Start"].steps)]
    assert saying.manner(Spoken(text=line[0], tags=tuple(line[1]))).must == ("old mill",)


def test_tags_that_ask_for_what_cannot_be_are_faults() -> None:
    assert graph.faults(from_ink("Hi %w%. # fill: w = x # else: w = y")) == []
    assert "no words to fall back on" in graph.faults(from_ink("Hi %w%. # fill: w = x"))[0]
    assert "not in the line" in graph.faults(from_ink("Hi. # fill: w = x # else: w = y"))[0]
    assert "does not say it" in graph.faults(from_ink("Hi. # paraphrase # must: mill"))[0]
