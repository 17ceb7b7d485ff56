"""Who speaks next: the rules of turn-taking, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.dialogue.turns import Seat, Uttered, answerer, next_speaker, talkative, words_of

MIRA = Seat("mira", npc=True, words=words_of("Mira Vale"), concerns=words_of("innkeeper", "Gilded Goose"))
BORIN = Seat("borin", npc=True, words=words_of("Borin"), concerns=words_of("blacksmith", "Forge"))
TOM = Seat("tom", npc=True, words=words_of("Tom"), concerns=words_of("farmer", "Windmill"))
ROBIN = Seat("p1", npc=False, words=words_of("Robin"))
SLY = Seat("p2", npc=False, words=words_of("Sly"))
GROUP = (MIRA, BORIN, TOM, ROBIN, SLY)


def after(
    text: str, *, to: str = "p1", before: tuple[str, ...] = ("p1", "mira"), seats: tuple[Seat, ...] = GROUP
) -> str:
    return next_speaker(seats, Uttered("mira", text, to), before, npc_lines_row_max=2, seed=7)


@pytest.mark.parametrize(
    ("text", "to", "who"),
    [
        ("Hello there", "tom", "tom"),
        ("Borin, is that true?", "", "borin"),
        ("Is that true, Mira?", "", "mira"),
        ("Who can mend a sword at the forge?", "", "borin"),
        ("Borin, is that true?", "tom", "tom"),
    ],
)
def test_the_one_addressed_answers_else_the_one_named_else_the_one_concerned(text: str, to: str, who: str) -> None:
    assert answerer(GROUP, Uttered("p1", text, to), (), 7) == who


def test_an_answer_comes_from_whoever_was_talked_with_before() -> None:
    assert answerer(GROUP, Uttered("p1", "And then?"), ("p1", "tom"), 7) == "tom"


def test_nobody_answers_themselves() -> None:
    assert answerer((MIRA, ROBIN), Uttered("mira", "Mira talks to herself"), (), 7) == ""


def test_in_a_pair_the_other_one_is_next() -> None:
    for seats, other in (((MIRA, ROBIN), "p1"), ((MIRA, TOM), "tom")):
        assert next_speaker(seats, Uttered("mira", "So it is."), ("mira",), npc_lines_row_max=2, seed=1) == other


def test_whoever_is_asked_or_named_is_next() -> None:
    assert after("What brings you here?") == "p1"
    assert after("Sly, and you?") == "p2"
    assert after("Ask Borin. He knows.") == "borin"


def test_where_nobody_is_meant_an_npc_speaks_up_only_when_it_wants_to_much() -> None:
    assert after("It will rain, they say.") == ""
    gossip = Seat("tom", npc=True, words=TOM.words, concerns=words_of("rain"), relation=0.8, talkative=1.0)
    assert after("It will rain, they say.", seats=(MIRA, BORIN, gossip, ROBIN, SLY)) == "tom"


def test_npcs_leave_the_word_to_players_after_some_lines() -> None:
    assert after("Ask Borin. He knows.", before=("p1", "tom", "mira")) == ""
    assert after("Sly, and you?", before=("p1", "tom", "mira")) == "p2"


def test_npcs_alone_go_on_and_on_and_everyone_comes_to_speak() -> None:
    spoken = ["mira"]
    for seed in range(30):
        found = next_speaker(
            (MIRA, BORIN, TOM), Uttered(spoken[-1], "So it goes."), spoken, npc_lines_row_max=2, seed=seed
        )
        assert found != spoken[-1]
        spoken.append(found)
    assert set(spoken) == {"mira", "borin", "tom"}


def test_a_name_that_two_share_calls_neither() -> None:
    other = Seat("mira2", npc=True, words=words_of("Mira Hale"))
    assert answerer((MIRA, other, TOM, ROBIN), Uttered("p1", "Mira Hale, hello"), (), 3) == "mira2"


def test_nature_is_an_attribute_or_traits() -> None:
    assert talkative(("shy",), None) < 0.0 < talkative(("Talkative",), None)
    assert talkative(("shy",), 1.0) == 1.0
    assert talkative((), "much") == 0.0


@given(
    seats=st.lists(st.sampled_from(GROUP), unique=True, min_size=2),
    text=st.text(max_size=60),
    before=st.lists(st.sampled_from([seat.id for seat in GROUP]), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_the_next_is_always_one_who_is_there_and_not_the_speaker(
    seats: list[Seat], text: str, before: list[str], seed: int
) -> None:
    speaker = seats[0].id
    uttered = Uttered(speaker, text, seats[1].id)
    found = next_speaker(seats, uttered, before, npc_lines_row_max=2, seed=seed)
    assert found == "" or found in {seat.id for seat in seats[1:]}
    assert found == next_speaker(seats, uttered, before, npc_lines_row_max=2, seed=seed), "the same again"
    answers = answerer(seats, uttered, before, seed)
    assert answers == "" or answers in {seat.id for seat in seats[1:] if seat.npc}
