"""English words to their stems, by the Porter2 rules (M. Porter and R. Boulton, 2002).

It knows lower-case words of a to z and the apostrophe; any other word comes back as it is.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z']{3,}")
_VOWEL = "aeiouy"
_DOUBLE = re.compile(r"(bb|dd|ff|gg|mm|nn|pp|rr|tt)$")
_REGION = re.compile(r"[aeiouy][^aeiouy]")
_SHORT = re.compile(r"(^[aeiouy][^aeiouy]|[^aeiouy][aeiouy][^aeiouywxY])$")
_FIXED = {
    "skis": "ski", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "idly": "idl", "gently": "gentl",
    "ugly": "ugli", "early": "earli", "only": "onli", "singly": "singl", "sky": "sky", "news": "news", "howe": "howe",
    "atlas": "atlas", "cosmos": "cosmos", "bias": "bias", "andes": "andes", "inning": "inning", "outing": "outing",
    "canning": "canning", "herring": "herring", "earring": "earring", "proceed": "proceed", "exceed": "exceed",
    "succeed": "succeed",
}  # fmt: skip
_STEP2 = (
    ("ational", "ate"), ("ization", "ize"), ("fulness", "ful"), ("ousness", "ous"), ("iveness", "ive"),
    ("tional", "tion"), ("biliti", "ble"), ("lessli", "less"), ("entli", "ent"), ("ation", "ate"), ("alism", "al"),
    ("aliti", "al"), ("ousli", "ous"), ("iviti", "ive"), ("fulli", "ful"), ("enci", "ence"), ("anci", "ance"),
    ("abli", "able"), ("izer", "ize"), ("ator", "ate"), ("alli", "al"), ("bli", "ble"),
)  # fmt: skip
_STEP3 = (
    ("ational", "ate"), ("tional", "tion"), ("alize", "al"), ("icate", "ic"), ("iciti", "ic"), ("ical", "ic"),
    ("ness", ""), ("ful", ""),
)  # fmt: skip
_STEP4 = (
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "al",
    "er", "ic",
)  # fmt: skip


def stem(word: str) -> str:
    """The stem of an English word; other words come back unchanged."""
    if word in _FIXED:
        return _FIXED[word]
    if not _WORD.fullmatch(word):
        return word
    word = word.strip("'").removesuffix("'s")
    if len(word) < 3:
        return word
    word = re.sub(r"(^|[aeiouy])y", r"\1Y", word)
    first, second = _regions(word)
    word = _plural(word)
    if word in _FIXED:
        return word
    word = _ending(word, first)
    if len(word) > 2 and word[-1] in "yY" and word[-2] not in _VOWEL:
        word = word[:-1] + "i"
    word = _suffixes(word, first, second)
    return _tail(word, first, second).lower()


def _regions(word: str) -> tuple[int, int]:
    for head in ("gener", "commun", "arsen"):
        if word.startswith(head):
            first = len(head)
            break
    else:
        first = _behind(word, 0)
    return first, _behind(word, first)


def _behind(word: str, start: int) -> int:
    found = _REGION.search(word, start)
    return found.end() if found else len(word)


def _plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and any(letter in _VOWEL for letter in word[:-2]):
        return word[:-1]
    return word


def _ending(word: str, first: int) -> str:
    """Without -eed, -ed, -ing and their -ly."""
    for suffix in ("eedly", "eed"):
        if word.endswith(suffix):
            return word[: -len(suffix)] + "ee" if len(word) - len(suffix) >= first else word
    for suffix in ("ingly", "edly", "ing", "ed"):
        root = word.removesuffix(suffix)
        if root != word:
            return _mended(root, first) if any(letter in _VOWEL for letter in root) else word
    return word


def _mended(root: str, first: int) -> str:
    if root.endswith(("at", "bl", "iz")):
        return root + "e"
    if _DOUBLE.search(root):
        return root[:-1]
    return root + "e" if first >= len(root) and _SHORT.search(root) else root


def _suffixes(word: str, first: int, second: int) -> str:
    for suffix, new in _STEP2:
        if word.endswith(suffix):
            word = word[: -len(suffix)] + new if len(word) - len(suffix) >= first else word
            break
    else:
        if word.endswith("ogi") and len(word) - 3 >= first and word[-4:-3] == "l":
            word = word[:-1]
        elif word.endswith("li") and len(word) - 2 >= first and word[-3:-2] in tuple("cdeghkmnrt"):
            word = word[:-2]
    for suffix, new in _STEP3:
        if word.endswith(suffix):
            return word[: -len(suffix)] + new if len(word) - len(suffix) >= first else word
    return word[:-5] if word.endswith("ative") and len(word) - 5 >= second else word


def _tail(word: str, first: int, second: int) -> str:
    for suffix in _STEP4:
        if word.endswith(suffix):
            word = word[: -len(suffix)] if len(word) - len(suffix) >= second else word
            break
    else:
        if word.endswith(("sion", "tion")) and len(word) - 3 >= second:
            word = word[:-3]
    if word.endswith("e"):
        root = word[:-1]
        return root if len(root) >= second or (len(root) >= first and not _SHORT.search(root)) else word
    return word[:-1] if word.endswith("ll") and len(word) - 1 >= second else word
