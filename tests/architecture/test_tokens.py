"""Tokens are verified in one place, with everything about them checked."""

from __future__ import annotations

import re

import pytest

from tests.architecture.test_shape import ROOT, SOURCES

FORBIDDEN = {
    "a signature that is not checked": r"verify_signature|verify\s*=\s*False|insecure|extract_compact",
    "a library with a record of accepting too much": r"^\s*(import|from) (jwt|jose|authlib|python_jose)\b",
    "an algorithm that signs nothing": r"""["']none["']\s*[,\])].*alg|algorithms?\s*=\s*.*["']none["']""",
    "a key that a token brings along": r"""header(s)?\s*[\[.(].*["'](jku|jwk|x5u|x5c)["']""",
}
HOME = {"app/control/ring.py"}
"""Where the library for signed texts may be named."""


LISTS = {"app/cli/prove/sources.py"}
"""Where such texts are looked for, too."""


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_source_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE | re.IGNORECASE)
    found = {str(path.relative_to(ROOT)) for path in SOURCES if pattern.search(path.read_text())}
    assert not found - LISTS


def test_signed_texts_have_one_home() -> None:
    found = {str(path.relative_to(ROOT)) for path in SOURCES if "joserfc" in path.read_text()}
    assert found == HOME


def test_the_guard_finds_what_it_forbids() -> None:
    bad = 'import jwt\nclaims = jwt.decode(text, options={"verify_signature": False}, algorithms=["none"])'
    found = [what for what, pattern in FORBIDDEN.items() if re.search(pattern, bad, re.MULTILINE | re.IGNORECASE)]
    assert len(found) == 3
