"""Patterns of strangers: the same answers as Python's own engine gives, in time that no pattern can blow up."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.engines.structured.patterns import Pattern

ATOMS = st.sampled_from(
    ["a", "b", "0", ".", r"\d", r"\w", r"\s", "[ab]", "[^a]", "[a-c0]", r"\.", r"[\d-]", "^", "$", r"\b"]
)
BOUNDS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "{0}"])


def _repeat(atom: str, bounds: str) -> str:
    return atom if atom in ("^", "$", r"\b") else atom + bounds


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    piece = st.one_of(
        st.builds(_repeat, ATOMS, BOUNDS), st.builds(lambda body, bounds: f"(?:{body}){bounds}", inner, BOUNDS)
    )
    row = st.lists(piece, min_size=1, max_size=4).map("".join)
    return st.lists(row, min_size=1, max_size=2).map("|".join)


PATTERNS = st.recursive(st.builds(_repeat, ATOMS, BOUNDS), _grow, max_leaves=8)


@settings(max_examples=600, deadline=None)
@given(PATTERNS, st.text("abc0 .-", max_size=12))
def test_a_pattern_finds_what_python_finds(source: str, text: str) -> None:
    expected = re.search(source.replace("$", r"\Z"), text, re.ASCII) is not None
    assert Pattern(source, states_max=5_000).found_in(text) == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [("^(a+)+$", "a" * 40 + "b"), ("(x*)*y", "x" * 5_000), ("^(a|a)*$", "a" * 60 + "!"), (".*.*.*.*=", "a" * 3_000)],
)
def test_a_pattern_that_is_meant_to_hang_answers_at_once(source: str, text: str) -> None:
    began_s = time.monotonic()
    assert not Pattern(source, states_max=2_000).found_in(text)
    assert time.monotonic() - began_s < 5.0, "an engine that tries again would need longer than the universe has"


@pytest.mark.parametrize(
    "source",
    [
        r"(a)\1", "(?=a)b", "(?<!a)b", "a**", "(a", "a)", "[a", "a{2,1}", "a{1001}", "*a", "a{x}", r"\p{L}", "[b-a]",
        "(" * 60 + ")" * 60, "(a{900}){900}", r"\x1", "\\", "(?P<n>a)", "(?i)a", "[a-\\d]",
    ],
)  # fmt: skip
def test_what_is_broken_irregular_or_too_large_is_refused(source: str) -> None:
    with pytest.raises(Invalid):
        Pattern(source, states_max=2_000)


@pytest.mark.parametrize("source", ["(" * 20 + "a" + ")*" * 20, "(((a{2}){2}){2}){2}", "(?<year>[0-9]{4})-[0-9]{2}"])
def test_nesting_alone_does_not_make_a_pattern_large(source: str) -> None:
    Pattern(source, states_max=500)
