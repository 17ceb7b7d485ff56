"""Text to terms: folds case and accents, drops words that say nothing, stems English.

It knows no index. Other languages pass unstemmed: a word outside a to z is its own term, and a run of Han, kana or
Thai, which writes no spaces, becomes its pairs of letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from app.modules.memory.index.stems import stem

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SPACELESS = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]{2,}")
_APOSTROPHES = frozenset("'’")
_ACCENT = 200
"""The combining class from which on a mark is an accent; those below it make other letters, as in kana."""
_TAIL = re.compile(r"['’](s|re|ve|ll|d|m|t|em)$")

_SAYING_NOTHING = """
a about above after again all also am an and any are aren as at be because been before being below between
both but by can cannot could couldn d did didn do does doesn doing don down during each ever few for from
further get gets getting go goes going gonna got had hadn has hasn have haven having he her here hers herself
him himself his how i if im in into is isn it its itself just kinda let ll m me might more most much must my
myself no nor not now of off oh ok okay on once only or other our ours ourselves out over own re really s same
shall she should shouldn so some such t than that the their theirs them themselves then there these they this
those through to too under until up us ve very was wasn way we well were weren what when where which while who
whom whose why will with won would wouldn yeah yep yes you your yours yourself yourselves
"""
STOP = frozenset(_SAYING_NOTHING.split())
"""English words that say nothing of what a memory is about, and the words that questions are made with."""


def tokens(text: str) -> list[str]:
    """The words of a text in order, folded: lower case, without accents and the tails of contractions."""
    folded = text.casefold()
    if not folded.isascii():
        parts = unicodedata.normalize("NFKD", folded)
        kept = "".join(letter for letter in parts if unicodedata.combining(letter) < _ACCENT)
        folded = unicodedata.normalize("NFC", kept)
    found: list[str] = _TOKEN.findall(folded)
    return [_TAIL.sub("", word) for word in found] if _APOSTROPHES & set(folded) else found


def terms(words: Iterable[str]) -> list[str]:
    """The terms of the words of a text in order, stop words left out."""
    found: list[str] = []
    for word in words:
        found += _terms(word)
    return found


@lru_cache(maxsize=50_000)
def _terms(word: str) -> tuple[str, ...]:
    if word in STOP:
        return ()
    if _SPACELESS.fullmatch(word):
        return tuple(word[at : at + 2] for at in range(len(word) - 1))
    if len(word) == 1 and word.isascii() and word.isalpha():
        return ()
    return (stem(word),)
