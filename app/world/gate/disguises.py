"""Text under a disguise: the letters beneath look-alikes, and what is no talk at all but an encoding of something.

Pure. It knows scripts, ciphers and encodings. It does not know what must stay secret; a `Guard` is told.
Look-alikes follow Unicode Technical Standard 39 (confusables) for the Latin letters, cut to what fonts draw alike.
"""

from __future__ import annotations

import base64
import codecs
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

ECHO_LETTERS = 24
"""A run of so many letters shared with a guarded text is an echo of it."""
WORD_LETTERS_MIN = 8
"""Letters of the shortest text that is guarded; a shorter one is anybody's word."""
TOKEN_LETTERS_MAX = 40
"""Letters and digits of the longest word of any language written with Latin letters."""

_LOOKS = (
    ("аɑαᴀ𝼀Ꭺ", "a"), ("ʙвƄᏴЬ", "b"), ("сϲᴄҫ", "c"), ("ԁᴅɗ", "d"), ("еєεᴇҽƎ", "e"), ("ғϝꜰ", "f"), ("ɡԍɢ", "g"),
    ("һнʜᏂ", "h"), ("іιɩıᴉɪӏ", "i"), ("јϳᴊʝ", "j"), ("кκᴋҝ", "k"), ("ʟɭ", "l"), ("мᴍϻ", "m"), ("пηɴո", "n"),
    ("оοσᴏօ", "o"), ("рρᴘ", "p"), ("ԛզ", "q"), ("гʀɾᴦ", "r"), ("ѕꜱʂ", "s"), ("тτᴛ", "t"), ("υսᴜцʋ", "u"),
    ("ѵνᴠ", "v"), ("ԝшωᴡ", "w"), ("хχ×ӽ", "x"), ("уγʏү", "y"), ("ᴢʐ", "z"),
)  # fmt: skip
CONFUSABLE: dict[int, str] = {ord(sign): latin for signs, latin in _LOOKS for sign in signs}
CONFUSABLE |= {0x1F1E6 + at: chr(97 + at) for at in range(26)}  # regional indicators
CONFUSABLE |= {first + at: chr(97 + at) for first in (0x1F130, 0x1F150, 0x1F170) for at in range(26)}  # in boxes
_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "l": "i"})
_LETTERS = str.maketrans({**dict.fromkeys("0123456789"), "l": "i"})
_ATBASH = str.maketrans("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba")


class _Squeezed(dict[int, str | None]):
    """What is left of a sign: letters and digits as they are, look-alikes as what they look like, nothing else."""

    def __missing__(self, code: int) -> str | None:
        sign = chr(code)
        kept = CONFUSABLE.get(code) or (sign if sign.isalnum() else None)
        self[code] = kept
        return kept


_SQUEEZED_ASCII = {code: (chr(code).lower() if chr(code).isalnum() else None) for code in range(128)}


@lru_cache(1)
def _squeezed() -> _Squeezed:
    return _Squeezed()


def squeeze(text: str) -> str:
    """The letters and digits of a text alone, case, accents and look-alikes folded: what an echo is compared by."""
    if text.isascii():
        return text.translate(_SQUEEZED_ASCII)
    folded = unicodedata.normalize("NFKD", text.translate(CONFUSABLE)).casefold()
    return folded.translate(_squeezed())


def plain(text: str) -> str:
    """A text as it reads: look-alikes and accents folded to plain letters, the rest as it is."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text.replace("ß", "ss")).translate(CONFUSABLE)
    return "".join(sign for sign in parts if not unicodedata.combining(sign)).replace("’", "'").replace("‘", "'")


def unleet(text: str) -> str:
    """Digits inside words as the letters that they stand for; numbers stay."""
    return _MIXED.sub(lambda found: found.group().translate(_DELEET), text)


class Letters(NamedTuple):
    """One text in the forms that guards compare: letters alone, digits read as letters, and steps between letters."""

    letters: str
    leet: str
    steps: str


def letters_of(squeezed: str) -> Letters:
    """The forms of a squeezed text."""
    letters = squeezed.translate(_LETTERS)
    return Letters(letters, squeezed.translate(_LEET), _steps(squeezed))


def _steps(squeezed: str) -> str:
    """How far each Latin letter lies from the one before, of 26: the same under every shift of the alphabet."""
    codes = [code - 97 for code in squeezed.encode("ascii", "ignore") if code >= 97]
    return "".join([chr(65 + (b - a) % 26) for a, b in pairwise(codes)])


class Guard:
    """Texts that must never be said again, such as the rules of a prompt; made once, used for every line.

    Found again are: the text, backwards, in any Caesar shift or Atbash, in Base64 at each alignment, with digits for
    letters, with look-alikes, and with anything but letters strewn in between.
    """

    def __init__(self, *texts: str, letters: int = ECHO_LETTERS) -> None:
        self._runs: dict[int, set[str]] = {}
        self._steps: dict[int, set[str]] = {}
        for text in texts:
            for length, run in runs_of(text, letters):
                self._runs.setdefault(length, set()).add(run)
            for length, run in step_runs_of(text, letters):
                self._steps.setdefault(length, set()).add(run)

    def echoed(self, text: str) -> bool:
        """Whether a text holds a guarded run, under any of the disguises."""
        return self.echoes(letters_of(squeeze(text)))

    def echoes(self, forms: Letters) -> bool:
        """The same for a text whose forms are known."""
        for length, runs in self._runs.items():
            if not runs.isdisjoint(_shingles(forms.letters, length)):
                return True
            if forms.leet != forms.letters and not runs.isdisjoint(_shingles(forms.leet, length)):
                return True
        return any(not runs.isdisjoint(_shingles(forms.steps, length)) for length, runs in self._steps.items())


def runs_of(text: str, letters: int) -> Iterable[tuple[int, str]]:
    """(length, run) of each run that gives a text away, in the forms that stand as letters."""
    squeezed = squeeze(text)
    length = min(letters, len(squeezed))
    if length < WORD_LETTERS_MIN:
        return
    forms = [squeezed.translate(_LETTERS), squeezed.translate(_LEET)]
    raw = text.encode()
    forms += [squeeze(base64.b64encode(raw[skip:]).decode()).translate(_LETTERS) for skip in range(3)]
    words = text.split()
    forms += [squeeze("".join(word[::-1] for word in words)).translate(_LETTERS)]
    forms += [squeeze("".join(reversed(words))).translate(_LETTERS)]
    for form in forms:
        for each in (form, form[::-1]):
            for run in _shingles(each, length):
                yield length, run


def step_runs_of(text: str, letters: int) -> Iterable[tuple[int, str]]:
    """(length, run) of the steps between a text's letters, forwards, backwards and mirrored."""
    squeezed = squeeze(text)
    length = min(letters, len(squeezed)) - 1
    if length < WORD_LETTERS_MIN + 3:
        return
    for each in (squeezed, squeezed[::-1], squeezed.translate(_ATBASH), squeezed[::-1].translate(_ATBASH)):
        for run in _shingles(_steps(each), length):
            yield length, run


class Mark:
    """A word that stands in one prompt alone; parts of it betray it as well."""

    LETTERS = 10
    """A run of so many signs of the mark is the mark."""

    def __init__(self, word: str) -> None:
        raw = word.encode()
        forms = [word, codecs.encode(word, "rot13"), raw.hex()]
        forms += [base64.b64encode(raw[skip:]).decode().rstrip("=") for skip in range(3)]
        self._length = min(self.LETTERS, len(squeeze(word)))
        self._runs: set[str] = set()
        for form in forms if word else ():
            signs = squeeze(form).translate(_LEET)
            for each in (signs, signs[::-1]):
                self._runs |= _shingles(each, self._length)

    def shown(self, leet: str) -> bool:
        """Whether signs, with digits read as letters, hold the mark."""
        return bool(self._runs) and not self._runs.isdisjoint(_shingles(leet, self._length))


def encoded(text: str) -> str:
    """What a text is that is no talk: the name of the encoding, empty for talk of any language."""
    for name, pattern in _ENCODINGS:
        if pattern.search(text):
            return name
    return ""


def unmixed(text: str) -> str:
    """A text whose words that mix Latin letters with look-alikes of other scripts are Latin again."""
    if text.isascii():
        return text
    return _WORDS.sub(lambda found: _unmix(found.group()), text)


def _unmix(word: str) -> str:
    if word.isascii() or not any(sign.isascii() and sign.isalpha() for sign in word):
        return word
    return "".join(_as_latin(sign) for sign in word)


def _as_latin(sign: str) -> str:
    latin = CONFUSABLE.get(ord(sign)) or CONFUSABLE.get(ord(sign.lower()) if len(sign.lower()) == 1 else 0)
    if latin is None:
        return sign
    return latin.upper() if sign.isupper() else latin


def _shingles(letters: str, length: int) -> set[str]:
    return {letters[at : at + length] for at in range(len(letters) - length + 1)}


_DELEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g"})
_MIXED = re.compile(r"\b(?=[a-z0-9]*[a-z])(?=[a-z0-9]*\d)[a-z0-9]+\b", re.IGNORECASE)
_WORDS = re.compile(r"\w+")
_LETTER = r"[A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff]"
_B64 = "[A-Za-z0-9+/]"
_ENCODINGS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a word too long to be one", re.compile(rf"[A-Za-z0-9+/=]{{{TOKEN_LETTERS_MAX},}}")),
    ("Base64", re.compile(rf"(?<!{_B64})(?=[A-Za-z+/]*[0-9])(?={_B64}*[A-Z])(?={_B64}*[a-z]){_B64}{{12,}}={{0,2}}")),
    ("Base64", re.compile(r"(?<![A-Za-z0-9+/])(?:[A-Z]*[a-z]+[A-Z]+){3,}[A-Za-z0-9+/]*={0,2}")),
    ("Base64", re.compile(r"[A-Za-z0-9+/]{6,}={1,2}(?=\W|$)")),
    ("hexadecimal", re.compile(r"\b(?=[0-9a-fx]*\d)(?=[0-9a-fx]*[a-f])(?:0x)?[0-9a-f]{12,}\b", re.I)),
    ("hexadecimal", re.compile(r"(?:(?<!\w)(?=\w*\d)(?:0x|\\x|u\+|%)?[0-9a-f]{2,4}(?!\w)[\s,:;-]*){6,}", re.I)),
    ("percent signs", re.compile(r"(?:%[0-9a-f]{2}){3,}", re.I)),
    ("escapes", re.compile(r"(?:\\[ux][0-9a-f]{2,4}){2,}|(?:&#x?[0-9a-f]{2,6};?){2,}", re.I)),
    ("numbers for letters", re.compile(r"(?:\b\d{1,3}\b[\s,;:/-]+){7,}\d")),
    ("binary digits", re.compile(r"(?:[01]\s?){16,}")),
    ("Morse code", re.compile(r"(?:(?<!\S)[.·•\-–—−]{1,6}[\s/|]+){5,}")),
    ("spelled letters", re.compile(rf"(?:(?<!\w){_LETTER}(?!\w)[\s.\-,_*·|/]+){{6,}}")),
)  # fmt: skip
