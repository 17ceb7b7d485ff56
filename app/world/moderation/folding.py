"""A word as a reader would take it: without case, marks, invisible signs, look-alikes, digits for letters, stretching.

Pure. It knows letters and no words: what a form means is looked up elsewhere.
"""

from __future__ import annotations

import re
import unicodedata

_ALIKE = str.maketrans(
    "абвгеёзиіїјкмнопрстухсьԁԛԝһӏαβεηικμνορτυχωıłøđƒßðþ",
    "abbreeziiijkmhonpctyxcbdqwhlabenikmvoptuxwilodfsdp",
)
"""Letters of other scripts, and Latin ones that do not decompose, by the letter that they look like."""
_LEET = str.maketrans("0134578@$!+€|", "oieastbasitel")
_LEET_L = str.maketrans("01345678@$!+€|", "olea5tbbasitel")
_RUN = re.compile(r"(.)\1{2,}")
_DOUBLE_VOWEL = re.compile(r"([aiu])\1")
_LETTERS = re.compile(r"[^\W\d_]")
_OTHERS = re.compile(r"[\W\d_]+")
_PART = re.compile(r"[^\w@$!+€|*#%'’]+|(?<=\b\w)['’](?=\w{3})|(?<=\b\w\w)['’](?=\w{3})")
"""Between the parts of a token; an apostrophe parts only what a short word was drawn into, as in `l'arme`."""
_EDGES = ".,;:!?…\"'”’“‘„«»‹›()[]{}<>*_~`-–—/\\"


def plain(text: str) -> str:
    """The text in small letters without marks, invisible signs and look-alikes."""
    small = text.casefold()
    if small.isascii():
        return small
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", small) if unicodedata.category(sign)[0] not in "MC")
    return bare.translate(_ALIKE)


def marked(text: str) -> str:
    """The text in small letters with its marks, composed, for words that the marks make."""
    return unicodedata.normalize("NFC", text.casefold())


def parts(token: str) -> list[str]:
    """What stands between the white space of a text, cut at hyphens and the like, without signs at its edges."""
    return [part for part in (piece.strip(_EDGES) for piece in _PART.split(token)) if part]


def forms(part: str) -> tuple[str, ...]:
    """Every way to read a part as a word, the plainest first; all of letters alone."""
    folded = plain(part)
    found = [_OTHERS.sub("", folded)]
    if not folded.isalpha() and _LETTERS.search(folded):
        found += [_OTHERS.sub("", folded.translate(table)) for table in (_LEET, _LEET_L)]
    for word in tuple(found):
        if _RUN.search(word):
            found += [_RUN.sub(r"\1", word), _RUN.sub(r"\1\1", word)]
        if _DOUBLE_VOWEL.search(word):
            found.append(_DOUBLE_VOWEL.sub(r"\1", word))
    return tuple(dict.fromkeys(word for word in found if word))


def starred(part: str) -> str:
    """A pattern for a word some of whose inner letters are stars, such as `f*ck`; empty where there are none."""
    folded = plain(part).strip("*#%")
    if len(folded) < 3 or not any(sign in folded for sign in "*#%") or not folded[0].isalpha():
        return ""
    return "".join("." if sign in "*#%" else re.escape(sign) for sign in folded)
