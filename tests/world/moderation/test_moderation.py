"""What a rating lets through: ordinary talk of a game whole, and what a store or a parent minds, not at all."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Broken, Invalid
from app.learning.moderation import measure, product_lines
from app.modules.dialogue.asides import load_asides
from app.modules.dialogue.logic import load_barks
from app.world.moderation import Moderation, classifier, folding, ratings

HERE = Path(__file__).parent
ORDINARY = (HERE / "ordinary.txt").read_text(encoding="utf-8").splitlines()
TWELVE = Moderation.load("pegi12")
WEIGHTS = Path(classifier.__file__).with_name("classifier.bin")


def test_ordinary_talk_of_a_game_is_let_through_whole() -> None:
    assert len(ORDINARY) >= 200
    assert [line for line in ORDINARY if not TWELVE.judge(line).allowed] == []


@pytest.mark.parametrize(
    "text",
    [
        "fuck", "FUCK!", "fuuuuck", "f u c k you", "f.u.c.k off", "f*ck", "sh1t", "$hit", "ｆｕｃｋ", "fu\u200bck",
        "fück",
        "b-i-t-c-h", "сunt", "a$$hole", "motherfucker", "mother-fucker", "clusterfuck", "phuck this", "B1TCH",
    ],
)  # fmt: skip
def test_a_swear_word_is_known_in_every_dress(text: str) -> None:
    judged = TWELVE.judge(text)
    assert (judged.allowed, judged.category) == (False, "profanity_strong")


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Verdammte Scheiße, du Arschloch!", "profanity_strong"),
        ("Quel connard, celui-là.", "profanity_strong"),
        ("Es un hijo de puta.", "profanity_strong"),
        ("Bring dich doch um.", "self_harm"),
        ("Je veux mourir.", "self_harm"),
        ("Quiero matarme.", "self_harm"),
        ("Wo wohnst du in echt?", "contact"),
        ("Donne-moi ton adresse.", "contact"),
        ("Dame tu número.", "contact"),
        ("Muerte a los judios", "hate"),
    ],
)
def test_other_languages_have_their_words(text: str, category: str) -> None:
    judged = TWELVE.judge(text)
    assert (judged.allowed, judged.category) == (False, category)


@pytest.mark.parametrize(
    "text",
    [
        "mail me at bob.smith@example.com", "bob at gmail dot com", "bob(at)example(dot)com", "call 555-123-4567",
        "my number is 5551234", "+49 170 1234567", "(020) 7946 0958", "4111 1111 1111 1111",
        "12 Elm Street, apt 4", "write to anna[at]mail.example.org",
    ],
)  # fmt: skip
def test_how_to_reach_a_person_is_barred(text: str) -> None:
    judged = TWELVE.judge(text)
    assert not judged.allowed
    assert judged.barred


def test_a_strong_oath_becomes_a_mild_one_where_the_rating_says_so() -> None:
    judged = TWELVE.judge("An asshole stole my fucking horse.")
    assert judged == (False, "profanity_strong", "A scoundrel stole my blasted horse.", False)
    assert TWELVE.judge(judged.text).allowed
    assert Moderation.load("pegi16").judge("An asshole stole my horse.").allowed
    three = Moderation.load("pegi3").judge("Kill the rats and drink some ale.")
    assert three.text == "Drive off the rats and drink some cider."


def test_what_is_said_across_words_has_no_milder_form() -> None:
    assert TWELVE.judge("f u c k you").text == ""
    assert TWELVE.judge("go and hang yourself you asshole").text == ""


def test_ratings_only_grow_looser() -> None:
    strict = {"allow": 0, "soften": 1, "refuse": 2, "bar": 3}
    packs = [Moderation.load(name).pack.actions for name in ("pegi3", "pegi7", "pegi12", "pegi16", "pegi18")]
    for younger, older in itertools.pairwise(packs):
        assert all(strict[older[category]] <= strict[younger[category]] for category in younger)
    assert all(pack[name] == "bar" for pack in packs for name in ("hate", "self_harm", "personal_data", "contact"))


def test_every_rating_loads_and_an_unknown_one_is_named() -> None:
    assert {Moderation.load(name).pack.rating for name in ratings()} == {"pegi3", "pegi7", "pegi12", "pegi16", "pegi18"}
    with pytest.raises(Invalid, match="no age rating 'pegi13'"):
        Moderation.load("pegi13")


def test_the_worst_of_several_finds_decides() -> None:
    judged = TWELVE.judge("fuck, text me at 555-123-4567")
    assert (judged.category, judged.barred) == ("personal_data", True)


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "xx"])
@pytest.mark.parametrize("category", ["hate", "self_harm", "contact", "personal_data", "profanity_strong"])
def test_an_answer_is_in_character_and_itself_fit_for_the_youngest(language: str, category: str) -> None:
    youngest = Moderation.load("pegi3")
    for seed in range(8):
        line = TWELVE.answer(category, language=language, seed=seed)
        assert youngest.judge(line).allowed, line
    assert TWELVE.answer(category, language=language, seed=1) == TWELVE.answer(category, language=language, seed=1)


def test_somebody_in_distress_is_not_scolded() -> None:
    assert "trust" in TWELVE.answer("self_harm", seed=0) or "there for you" in TWELVE.answer("self_harm", seed=0)
    assert TWELVE.answer("self_harm") != TWELVE.answer("hate")


def test_the_classifier_finds_what_it_was_not_taught() -> None:
    report = measure(WEIGHTS.read_bytes())
    assert {row.category for row in report.rows} == {"self_harm", "sexual", "contact", "hate"}
    for row in report.rows:
        assert row.cases >= 20
        assert row.precision >= 0.95, row
        assert row.caught >= 0.85, row
        assert row.blind_cases >= 20
    assert report.alarms == 0
    unseen, own = report.quiet
    assert (unseen.blind, own.blind) == (True, False)
    assert unseen.lines >= 300
    assert unseen.alarms <= 0.003 * unseen.lines
    assert (own.alarms, own.lines > 2_000) == (0, True)


def test_ordinary_words_are_never_answered_with_care() -> None:
    lines = [
        "Out of my way.",
        "Isolde, are you all right?",
        "dragons are real right?",
        "Come in, come in.",
        "Do you remember?",
    ]
    assert [line for line in (*lines, *product_lines()) if TWELVE.hear(line).answer] == []
    for line in ("I want to kill myself.", "Life is not worth living."):
        assert TWELVE.hear(line).category == "self_harm"


def test_an_author_s_text_is_judged_by_its_words_alone() -> None:
    guessed = "Bend over the bed and lift your skirt so I can take you."
    assert not TWELVE.judge(guessed).allowed
    assert TWELVE.judge(guessed, guess=False).allowed
    assert TWELVE.judge("What a shit day.", guess=False) == (False, "profanity_strong", "What a muck day.", False)
    assert TWELVE.judge("Call 555-123-4567.", guess=False).barred


def test_short_lines_that_ship_have_a_form_for_every_rating() -> None:
    for rating in ratings():
        for spoken in load_asides().values():
            for line in (*spoken.filler, *spoken.bark["any"]):
                assert Moderation.load(rating).judge(line, guess=False).allowed
        for barks in load_barks().values():
            assert all(Moderation.load(rating).judge(line, guess=False).allowed for line in barks)


@given(st.text(max_size=1_000))
def test_any_text_is_judged_and_a_milder_form_is_allowed(text: str) -> None:
    judged = TWELVE.judge(text)
    assert judged.allowed or not judged.text or TWELVE.judge(judged.text).allowed


@given(st.text(alphabet="fuck sh1t*$@!.-'\u200bé", max_size=200))
def test_any_dress_of_letters_is_judged(text: str) -> None:
    TWELVE.judge(text)


def test_a_file_that_is_no_classifier_is_refused() -> None:
    data = WEIGHTS.read_bytes()
    for broken in (b"", b"PK\x03\x04", data[:-1], data[:20], data[:11] + b"x" + data[12:]):
        with pytest.raises(Broken):
            classifier.unpack(broken)


def test_words_are_read_as_they_look() -> None:
    assert folding.plain("Ѕhіt".casefold()) in ("shit", "ѕhit")
    assert folding.forms("f00l")[-1] == "fool"
    assert folding.parts("l'arme d'amour, don't") == ["l", "arme", "d", "amour", "don't"]


def test_a_player_is_heard_whole_mildly_or_not_at_all() -> None:
    assert TWELVE.hear("Hello there. Any work?") == ("Hello there. Any work?", "", "")
    assert TWELVE.hear("Some asshole robbed me. Help!") == ("Some scoundrel robbed me. Help!", "", "profanity_strong")
    refused = TWELVE.hear("Want some cocaine? It is good.")
    assert refused.answer
    assert refused.text == " It is good."
    barred = TWELVE.hear("Nice day. My number is 555-123-4567.", language="de", seed=3)
    assert barred == ("", TWELVE.answer("personal_data", language="de", seed=3), "personal_data")
    assert TWELVE.hear("f. u. c. k. you").answer


@given(st.text(max_size=300))
def test_whatever_is_left_of_a_player_s_words_is_fit_to_be_kept(text: str) -> None:
    heard = TWELVE.hear(text)
    assert heard.answer or all(TWELVE.judge(part).allowed for part in [heard.text])
