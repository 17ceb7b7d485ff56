"""Which acts a spoken sentence says are done or about to be done, so that saying and doing agree.

Pure. English, German, French and Spanish are read by their grammar (`lexicons/`), every other language by one
rule that needs none: a thing of the world named beside a word of giving. It does not know the world.
"""

from __future__ import annotations

import re

from app.world.gate.disguises import plain, unleet
from app.world.gate.lexicon import lexicons, stems

NEVER = "never"
"""Stands for what no talk can do: finish a quest, pay a reward, hand out levels or rights."""
DONE = "done"
"""A quest said to be finished: NEVER as well, unless the game itself has recorded it."""


def promised(sentence: str) -> tuple[str, ...]:
    """The actions of the gate that `sentence` claims or promises, with NEVER for what none of them does."""
    return tuple(dict.fromkeys(NEVER if each == DONE else each for each in promises_in(sentence)))


def promises_in(sentence: str) -> tuple[str, ...]:
    """The same with DONE apart."""
    text = plain(sentence)
    found = _promises(text)
    if not found and _DIGIT.search(text) and (read := unleet(text)) != text:
        found = _promises(read)
    return found


def transfers(sentence: str) -> bool:
    """Whether a sentence that names a thing says, in any language, that it changes hands."""
    text = plain(sentence)
    words = words_of(text)
    for lexicon in lexicons().values():
        if words & lexicon.transfer and words & lexicon.you and not words & lexicon.pardon:
            return not asks(text)
    lower = f" {text.lower()} "
    return any(stem in lower for stem in stems()) and not lower.rstrip().endswith(("?", "？", "؟"))


def asks(text: str) -> bool:
    """Whether a plain sentence asks, wishes or denies, in any of the languages, instead of stating."""
    asking = text.rstrip("\"'”’)* ").endswith(("?", "？"))
    for lexicon in lexicons().values():
        if asking and lexicon.question.search(text):
            return True
        if lexicon.hypothetical.search(text) or lexicon.negated.search(text):
            return True
    return False


def words_of(text: str) -> frozenset[str]:
    """The words of a plain text in lower case."""
    return frozenset(_WORD.findall(text.lower()))


def _promises(text: str) -> tuple[str, ...]:
    words = words_of(text)
    found: list[str] = []
    for lexicon in lexicons().values():
        if words.isdisjoint(lexicon.triggers):
            continue
        for action, promises in lexicon.promises.items():
            if words.isdisjoint(promises.words) or not promises.pattern.search(text):
                continue
            if not (text.rstrip().endswith("?") and lexicon.question.search(text)):
                found.append(action)
    return tuple(dict.fromkeys(found))


_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"[A-Za-z]\d|\d[A-Za-z]")
