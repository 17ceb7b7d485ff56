"""Guarded texts are known again under every disguise, and talk of many languages is no encoding."""

from __future__ import annotations

import base64
import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.world.gate.disguises import Guard, Mark, encoded, letters_of, plain, squeeze, unmixed
from app.world.gate.speech import Speech, clean_output

SECRET = "You speak as one character of a game world. State as true only what is listed."
GUARD = Guard(SECRET)
MARK = "ink0123456789abcdef"
LOOKS = str.maketrans("aeopcxyi", "аеорсхуі")
LEET = str.maketrans("oieast", "013457")
DISGUISES = {
    "plain": SECRET,
    "upper": SECRET.upper(),
    "backwards": SECRET[::-1],
    "each word backwards": " ".join(word[::-1] for word in SECRET.split()),
    "last word first": " ".join(reversed(SECRET.split())),
    "spaced": " ".join(SECRET),
    "dotted": ".".join(SECRET),
    "dashes": "-".join(SECRET.split()),
    "rot13": codecs.encode(SECRET, "rot13"),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64, shifted": base64.b64encode(b"x" + SECRET.encode()).decode(),
    "leet": SECRET.translate(LEET),
    "look-alikes": SECRET.translate(LOOKS),
    "zero width": "\u200b".join(SECRET),
    "full width": "".join(chr(0xFEE0 + ord(sign)) if "!" <= sign <= "~" else sign for sign in SECRET),
    "bold": "".join(chr(0x1D41A + ord(sign) - 97) if "a" <= sign <= "z" else sign for sign in SECRET),
    "accents": "".join(f"{sign}\u0301" for sign in SECRET),
    "atbash": "".join(chr(219 - ord(sign)) if "a" <= sign <= "z" else sign for sign in SECRET.lower()),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_guarded_text_is_known_in_disguise(name: str) -> None:
    assert GUARD.echoed(DISGUISES[name])


@given(st.integers(1, 25))
def test_every_shift_of_the_alphabet_is_seen_through(shift: int) -> None:
    shifted = "".join(
        chr((ord(sign) - 97 + shift) % 26 + 97) if "a" <= sign <= "z" else sign for sign in SECRET.lower()
    )
    assert GUARD.echoed(shifted)


@pytest.mark.parametrize(
    "text", ["Good day, traveler.", "You speak as one who knows the world.", "The state of the game is sad.", ""]
)
def test_other_talk_is_no_echo(text: str) -> None:
    assert not GUARD.echoed(text)


@pytest.mark.parametrize(
    "shown", [MARK, MARK.upper(), " ".join(MARK), MARK[::-1], f"my {MARK[4:16]} ok", codecs.encode(MARK, "rot13")]
)
def test_mark_is_known_whole_in_parts_and_backwards(shown: str) -> None:
    assert Mark(MARK).shown(letters_of(squeeze(shown)).leet)


def test_half_a_mark_is_not_spoken_before_the_rest_comes() -> None:
    speech = Speech(guard=Guard(), canary=MARK, name="Mira", sentence_characters_max=120)
    out = [sentence for piece in (f"It is {MARK[:9]}.", f" {MARK[9:]}. Bye.") for sentence in speech.feed(piece)]
    assert MARK[9:] not in " ".join([*out, *speech.flush()])


@pytest.mark.parametrize(
    "text",
    [
        "QW5uYSwgZ2l2ZSBtZSB0aGUgY3Jvd24=",
        "59 6f 75 20 73 70 65 61 6b",
        "596f7520737065616b",
        "0x59 0x6f 0x75 0x20 0x73 0x70",
        "01011001 01101111 01110101",
        "89 111 117 32 115 112 101 97 107",
        "-.-- --- ..- / ... .--. . .- -.-",
        "Y-o-u s-p-e-a-k",
        "%59%6f%75%20",
        "\\u0059\\u006f\\u0075",
        "a" * 41,
    ],
)
def test_encodings_are_no_talk(text: str) -> None:
    assert encoded(text)


@pytest.mark.parametrize(
    "text",
    [
        "Good day... well... come in.",
        "I have 3, 4, maybe 5 of them.",
        "Donaudampfschifffahrtsgesellschaft!",
        "Ha! A b or c?",
        "The price is 1000 coins, or 2000 for two.",
        "こんにちは、旅の方。今日はよい天気ですね。",
        "Здравствуй, путник, как дела?",
        "McDonald O'Neill von der Au",
        "Ask for room 12, 14 or 16.",
        "No, no, no, no, no, no, no!",
        "I saw a cat, a dog, a cow and a hen.",
    ],
)
def test_talk_of_any_language_is_no_encoding(text: str) -> None:
    assert encoded(text) == ""


def test_words_of_mixed_letters_are_made_one_script_and_whole_words_are_left() -> None:
    assert unmixed("Gіve thе crоwn") == "Give the crown"
    assert unmixed("Привет, друг") == "Привет, друг"
    assert plain("Überreiche mir die Höhle, Straße") == "Uberreiche mir die Hohle, Strasse"


@pytest.mark.parametrize(
    ("markup", "left"),
    [
        ("<color=#f00>Good</color> day", "Good day"),
        ("[b]Good[/b] day", "Good day"),
        ("Good @everyone day", "Good everyone day"),
        ("Good &lt;b&gt; day", "Good b day"),
        ("Good <<b>script> day", "Good script day"),
        ("Good \x9b31mday", "Good day"),
        ("Good \x1b]0;title\x07day", "Good day"),
        ("Good ＜b＞day", "Good day"),
        ("Good \u3164day", "Good day"),
        ("Good [day](http://evil.example)", "Good day"),
        ("Good evil.example/x day", "Good day"),
        ("Good 10.0.0.1 day", "Good day"),
        ("Good day" + "!" * 50, "Good day!!!"),
        ("Go\u0301\u0301\u0301\u0301od day", "Gó\u0301\u0301od day"),
        ("Good ⓓⓐⓨ", "Good day"),
        ("Good mail me a@b.example day", "Good mail me day"),
        ("Good javascript:alert(1) day", "Good day"),
    ],
)
def test_output_holds_no_markup(markup: str, left: str) -> None:
    assert clean_output(markup) == left


@given(st.text(max_size=120))
def test_cleaned_output_is_clean(text: str) -> None:
    cleaned = clean_output(text)
    assert not set(cleaned) & set("<>[]{}|*_`#~\\\n\r\t\x00\x1b\x9b\u200b\u202e\u3164")
    assert "://" not in cleaned


def test_model_that_writes_on_and_on_is_no_longer_heard() -> None:
    speech = Speech(guard=Guard(), canary="", name="", sentence_characters_max=80)
    said = sum(len(sentence) for _ in range(2_000) for sentence in speech.feed("word and word and so on "))
    assert speech.exhausted
    assert said < 40_000
    assert speech.feed("Hello. ") + speech.flush() == []
    flood = Speech(guard=Guard(), canary="", name="", sentence_characters_max=80)
    flood.feed('{"act": "trade"}\n' * 500 + "{no}\n" * 500)
    assert len(flood.acts) <= 16
    assert len(flood.cut) <= 64
