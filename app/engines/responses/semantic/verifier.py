"""Whether two texts that look alike may get one answer: refused wherever a small difference may be a large one.

It compares numbers, who and what is named and in which order, negation, the kind of question, what is quoted, and
words that are opposites. It is meant to refuse too often: a refusal costs one call, a false hit a wrong answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Names = Callable[[str], tuple[str, ...]]
"""The ids of a world's entities that a text names, in order."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBERS = {
    name: str(value)
    for value, names in enumerate(
        ("zero null cero zéro", "one eins ein uno un", "two zwei dos deux", "three drei tres trois",
         "four vier cuatro quatre", "five fünf cinco cinq", "six sechs seis", "seven sieben siete sept",
         "eight acht ocho huit", "nine neun nueve neuf", "ten zehn diez dix", "eleven elf once onze",
         "twelve zwölf doce douze")
    )
    for name in names.split()
}  # fmt: skip
_NUMBERS |= {word: word for word in ("twenty", "thirty", "forty", "fifty", "hundred", "thousand", "half", "twice")}
_NEGATIONS = _words(
    "no not never none nothing nobody nowhere neither nor without cannot hardly except "
    "nicht nie niemals kein keine keinen keinem keiner nichts niemand ohne "
    "pas jamais rien aucun aucune personne sans ne ni nunca nada nadie ningún sin non mai niente"
)
_QUESTIONS = (
    _words("who whom whose wer wem wen wessen qui quién"),
    _words("what which was welche welcher welches quoi quel quelle qué"),
    _words("where wo wohin woher où dónde"),
    _words("when wann quand cuándo"),
    _words("why warum wieso weshalb pourquoi"),
    _words("how wie comment cómo"),
    _words("many much wieviel wieviele combien cuánto cuántos"),
)
_OPPOSITES = tuple(
    (_words(one), _words(other))
    for one, other in (
        ("buy buys bought buying kaufen acheter", "sell sells sold selling verkaufen vendre"),
        ("open opens opened", "close closes closed shut"), ("left", "right"), ("before", "after"),
        ("more most", "less least fewer"), ("up above over", "down below under"), ("in into inside", "out outside"),
        ("friend friends ally", "enemy enemies foe"), ("alive living", "dead died"),
        ("give gives gave", "take takes took"),
        ("love loves like likes", "hate hates dislike"), ("good best", "bad worst evil"), ("yes", "no"),
        ("north", "south"), ("east", "west"), ("can may", "must"), ("first", "last"), ("always", "never"),
        ("help helps helped", "hurt hurts harm"), ("start begin", "stop end"), ("to", "from"),
        ("your yours", "my mine"),
        ("you", "i me"), ("he him his", "she her hers"), ("cheap cheaper", "expensive dear"), ("yesterday", "tomorrow"),
        ("war", "peace"), ("true", "false"), ("old", "new young"), ("day", "night"), ("come comes", "go goes"),
    )
)  # fmt: skip
_TOKEN = re.compile(r"\w+(?:['’]\w+)?")
_FIGURES = re.compile(r"[-+]?\d+(?:[.,:]\d+)*")
_QUOTES = re.compile(r"[\"“„«「](.+?)[\"”“»」]|(?<!\w)['‘](.+?)['’](?!\w)")
_CAPITAL = re.compile(r"(?<=[\w,;:] )[^\W\d_a-zß-ÿ]\w+")
"""A word with a capital that begins no sentence: a name, wherever nouns are small."""


def differs(one: str, other: str, names: Names) -> str:
    """Why the two may not get one answer, as they were typed; empty where nothing is against it."""
    words, others = _tokens(one), _tokens(other)
    for what, mine, theirs in (
        ("numbers", _numbers(one, words), _numbers(other, others)),
        ("names", names(one), names(other)),
        ("capitals", sorted(_CAPITAL.findall(one)), sorted(_CAPITAL.findall(other))),
        ("negation", _negations(words), _negations(others)),
        ("question", _question(one, words), _question(other, others)),
        ("quotes", _quotes(one), _quotes(other)),
        ("opposites", _sides(words), _sides(others)),
    ):
        if mine != theirs:
            return what
    return ""


def _tokens(text: str) -> list[str]:
    return [token.casefold().replace("’", "'") for token in _TOKEN.findall(text)]


def _numbers(text: str, words: list[str]) -> list[str]:
    return sorted([*_FIGURES.findall(text), *(_NUMBERS[word] for word in words if word in _NUMBERS)])


def _negations(words: list[str]) -> int:
    return sum(word in _NEGATIONS or word.endswith("n't") or word in {"dont", "cant", "wont", "isnt"} for word in words)


def _question(text: str, words: list[str]) -> tuple[bool, frozenset[int]]:
    kinds = frozenset(at for at, kind in enumerate(_QUESTIONS) if not kind.isdisjoint(words))
    return "?" in text or "？" in text, kinds


def _quotes(text: str) -> list[str]:
    return sorted(first or second for first, second in _QUOTES.findall(text))


def _sides(words: list[str]) -> list[tuple[bool, bool]]:
    return [(not one.isdisjoint(words), not other.isdisjoint(words)) for one, other in _OPPOSITES]
