"""Names from the grammar of a culture, such that nobody takes one living person for another.

It knows names alone. Distance is optimal string alignment (Damerau 1964 without repeated edits): letters put in, left
out, swapped or changed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from app.modules.characters.dice import Dice
from app.modules.characters.library import Culture, Parts

GIVEN_LETTERS = (3, 9)
"""Shortest and longest first name that is kept."""
_FOLDED = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "ð": "d", "þ": "th"})


def folded(name: str) -> str:
    """A name as it is compared: small letters without accents, single spaces."""
    bare = unicodedata.normalize("NFKD", name.casefold().translate(_FOLDED))
    return " ".join("".join(sign for sign in bare if not unicodedata.combining(sign)).split())


def first_name(name: str) -> str:
    """The first word of a name, folded."""
    return folded(name).split(" ")[0] if name.strip() else ""


def edits(left: str, right: str, most: int) -> int:
    """How many letters lie between two words; `most` where they are as many or more."""
    if abs(len(left) - len(right)) >= most:
        return most
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, sign in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = min(above[column] + 1, current[-1] + 1, above[column - 1] + (sign != other))
            if row > 1 and column > 1 and sign == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        if min(current) >= most:
            return most
        before, above = above, current
    return min(most, above[-1])


def alike(name: str, others: Iterable[str], edits_min: int) -> str:
    """The first of `others`, folded first names, that is too near to the first name of `name`; empty for none."""
    first = first_name(name)
    return next((other for other in others if edits(first, other, edits_min) < edits_min), "")


def given_name(parts: Parts, dice: Dice, *draw: str | int) -> str:
    """A first name; empty where the drawn parts make none that can be said."""
    start, end = dice.pick(parts.starts, "start", *draw), dice.pick(parts.ends, "end", *draw)
    return _said(start, end)


def family_name(culture: Culture, dice: Dice, *draw: str | int) -> str:
    """A family name; empty where its parts do not go together."""
    family = culture.family
    first, second = dice.pick(family.firsts, "first", *draw), dice.pick(family.seconds, "second", *draw)
    return "" if folded(first).endswith(folded(second)[:3]) or first.casefold() == second else _joined(first, second)


def _said(start: str, end: str) -> str:
    name = _joined(start, end)
    low = folded(name)
    runs = max(len(run) for run in "".join(" " if sign in "aeiouy" else sign for sign in low).split(" ") or [""])
    shortest, longest = GIVEN_LETTERS
    vowels = max(len(run) for run in "".join(sign if sign in "aeiouy" else " " for sign in low).split(" "))
    echoes = any(low[at : at + 2] == low[at + 2 : at + 4] for at in range(len(low) - 3))
    return name if shortest <= len(low) <= longest and runs <= 3 and vowels <= 2 and not echoes else ""


def _joined(start: str, end: str) -> str:
    return start + (end[1:] if start[-1].casefold() == end[0].casefold() else end)
