"""Answers as text: whole characters, no scaffold, nothing that was not said; and which scaffold a template asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.llama.scaffold import CHATML, CHATML_THINKING, LLAMA3, PLAIN, Answer, scaffold_of


@pytest.mark.parametrize(
    ("template", "scaffold"),
    [
        ("{{ '<|im_start|>' }}", CHATML),
        ("{{ '<|im_start|>' }}{% if enable_thinking %}<think>{% endif %}", CHATML_THINKING),
        ("{{ '<|start_header_id|>' }}", LLAMA3),
        ("[INST] {{ m }} [/INST]", PLAIN),
        ("", PLAIN),
    ],
)
def test_a_known_template_gets_its_scaffold_and_any_other_plain_roles(template: str, scaffold: object) -> None:
    assert scaffold_of(template) is scaffold


def test_a_character_in_two_tokens_is_said_once_it_is_whole() -> None:
    answer = Answer(())
    assert [answer.feed(data) for data in (b"caf", b"\xc3", b"\xa9!")] == ["caf", "", "é!"]


def test_an_answer_begins_with_its_first_word() -> None:
    answer = Answer(())
    assert [answer.feed(data) for data in (b" ", b"\n", b" Well", b" met")] == ["", "", "Well", " met"]


def test_a_stop_in_pieces_is_never_said() -> None:
    answer = Answer(("\n#",))
    assert [answer.feed(data) for data in (b"Well", b" met.\n", b"\nSit.\n", b"### user")] == [
        "Well", " met.", "\n\nSit.", ""
    ]  # fmt: skip
    assert answer.stopped


def test_what_only_looked_like_a_stop_is_said_at_the_end() -> None:
    answer = Answer(("\n#",))
    assert answer.feed(b"Well met.\n") + answer.flush() == "Well met.\n"
    assert not answer.stopped


@given(st.lists(st.text(alphabet="a#\n ", max_size=4), max_size=12))
def test_any_cutting_says_what_the_whole_says(pieces: list[str]) -> None:
    whole = "".join(pieces).lstrip()
    expected = whole.split("\n#")[0]
    answer, said = Answer(("\n#",)), ""
    for piece in pieces:
        said += answer.feed(piece.encode())
        if answer.stopped:
            break
    assert said + answer.flush() == expected
