"""Text to terms, marks and days."""

from __future__ import annotations

import pytest

from app.modules.memory.index.cues import asks, marks, spans
from app.modules.memory.index.stems import stem
from app.modules.memory.index.words import terms, tokens

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("wolves", "wolv"), ("running", "run"), ("hopping", "hop"), ("hoped", "hope"), ("ponies", "poni"),
        ("ties", "tie"), ("dying", "die"), ("happiness", "happi"), ("generously", "generous"), ("news", "news"),
        ("relational", "relat"), ("adjustment", "adjust"), ("controlling", "control"), ("flies", "fli"),
        ("agreed", "agre"), ("feed", "feed"), ("skies", "sky"), ("succeeding", "succeed"),
    ],
)  # fmt: skip
def test_english_is_stemmed_by_the_rules(word: str, wanted: str) -> None:
    assert stem(word) == wanted


def test_case_accents_contractions_and_stop_words_do_not_matter() -> None:
    assert terms(tokens("The CAFÉ wasn't Ann’s")) == terms(tokens("cafe ann")) == ["cafe", "ann"]


@pytest.mark.parametrize(
    ("told", "asked"),
    [("Der König schläft im Turm", "König Turm"), ("彼は酒場で金を見つけた", "酒場"), ("Он спит в башне", "башне")],
)
def test_other_languages_share_terms_unstemmed(told: str, asked: str) -> None:
    assert set(terms(tokens(asked))) <= set(terms(tokens(told)))


def test_a_text_is_marked_by_what_it_has() -> None:
    text = "I bought two mares last week"
    assert marks(text, tokens(text)) == (True, True, True, False)
    assert marks("Really?", ["really"]) == (False, False, False, True)
    assert asks("How many mares did Bram buy, and when?", tokens("how many mares")) == (True, True, False, False)


def test_days_are_found_from_now_back_and_by_date() -> None:
    now_s = 19_500 * DAY_S + 3_600.0  # 2023-05-23 in days since 1970
    assert spans("What did I say yesterday?", now_s=now_s, day_s=DAY_S, calendar_start="") == [
        (19_499 * DAY_S, 19_500 * DAY_S)
    ]
    assert spans("two days ago", now_s=now_s, day_s=DAY_S, calendar_start="") == [(19_498 * DAY_S, 19_499 * DAY_S)]
    for text in ("on 8 May, 2023", "on May 8, 2023", "the 8th of May 2023", "on 8 May"):
        assert spans(text, now_s=now_s, day_s=DAY_S, calendar_start="1970-01-01") == [
            (19_485 * DAY_S, 19_486 * DAY_S)
        ], text
    assert spans("in April 2023", now_s=now_s, day_s=DAY_S, calendar_start="1970-01-01") == [
        (19_448 * DAY_S, 19_478 * DAY_S)
    ]
    assert spans("You may march on", now_s=now_s, day_s=DAY_S, calendar_start="1970-01-01") == []
    assert spans("on 31 February", now_s=now_s, day_s=DAY_S, calendar_start="1970-01-01") == []
