"""Texts become the numbers that BERT's own tokenizer gives them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Broken
from app.modules.memory.index.wordpiece import WordPiece, read

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "want", "##want", "##ed", "runn", "##ing", ",",
          "!", "cafe", "狼", "the", "[", "]", "sep")  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789äßéœдяω狼群ا"
WIDE = (*PIECES, *LETTERS, *(f"##{letter}" for letter in LETTERS), *"'.?-#$%&()*+/:;<=>@\\^_`{|}~\"")
VOCABULARY = {piece: place for place, piece in enumerate(dict.fromkeys(WIDE))}


OLD = st.one_of(
    st.characters(max_codepoint=0x6FF, exclude_categories=("Cn", "Cs")),
    st.characters(min_codepoint=0x1E00, max_codepoint=0x2027, exclude_categories=("Cn",)),
    st.characters(min_codepoint=0x3041, max_codepoint=0x9F00, exclude_categories=("Cn",)),
)
"""Letters that every version of Unicode in use knows alike."""


def pieces(text: str, *, most: int = 64, **more: bool) -> list[str]:
    places = {piece: place for place, piece in enumerate(PIECES)}
    return [PIECES[number] for number in WordPiece(places, **more).numbers(text, most=most)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("unaffable", "un ##aff ##able"),
        ("UNwanted running", "un ##want ##ed runn ##ing"),
        ("unwantedX", "[UNK]"),
        ("Café!the,", "cafe ! the ,"),
        ("Cafe\u0301", "cafe"),
        ("the狼\u200dthe", "the 狼 the"),
        ("\x00the\x07\t\nthe\ufffd", "the the"),
        ("un" * 60, "[UNK]"),
        ("[SEP]", "[ sep ]"),
        ("  ", ""),
    ],
)
def test_words_become_the_longest_pieces(text: str, wanted: str) -> None:
    assert pieces(text) == ["[CLS]", *wanted.split(), "[SEP]"]


def test_a_long_text_is_cut_and_keeps_its_end() -> None:
    assert pieces("the unaffable wanted", most=4) == ["[CLS]", "the", "un", "[SEP]"]
    assert pieces("the", most=2) == ["[CLS]", "[SEP]"]


def test_a_cased_vocabulary_is_asked_as_the_text_is_written() -> None:
    assert pieces("The the", lower=False) == ["[CLS]", "[UNK]", "the", "[SEP]"]
    assert pieces("café cafe", accents=True) == ["[CLS]", "[UNK]", "cafe", "[SEP]"]


def test_both_kinds_of_file_say_the_same_and_others_are_refused() -> None:
    text = "Unaffable, the café"
    plain = read("\r\n".join(PIECES).encode()).numbers(text, most=32)
    model = {"type": "WordPiece", "vocab": {piece: place for place, piece in enumerate(PIECES)}, "unk_token": "[UNK]"}
    tree = {"model": model, "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None}}
    assert read(json.dumps(tree).encode()).numbers(text, most=32) == plain
    tree["normalizer"]["lowercase"] = False
    assert read(json.dumps(tree).encode()).numbers(text, most=32) != plain
    other = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}).encode()
    for data, reason in ((other, "BPE"), (b"{", "tokenizer.json"), (b"\xff\xfe", "no text"), (b"a\nb\n", "CLS")):
        with pytest.raises(Broken, match=reason):
            read(data)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(WIDE[4:]),
            st.text(OLD, max_size=6),
            st.sampled_from((" ", "\n", "\u00a0", "\u3000", "é", "É", "Ω", "Ж", "„", "—")),
        ),
        max_size=12,
    ).map("".join),
    st.booleans(),
)
def test_the_tokenizer_that_encoders_were_taught_with_agrees(text: str, lower: bool) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is an oracle of development alone")
    oracle = tokenizers.Tokenizer(tokenizers.models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    oracle.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower, strip_accents=lower)
    oracle.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    wanted = oracle.encode(text).ids
    own = WordPiece(VOCABULARY, lower=lower, accents=not lower)
    assert own.numbers(text, most=1_000)[1:-1] == wanted
