"""The checker of lore: a sentence stands on the facts that it cites, and names nothing that they do not hold.

It reads sentences of any writer, an author, the grammar or a model, and trusts none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from app.modules.content.lore.canon import Held, called
from app.modules.content.lore.tables import Language, folded
from app.modules.content.lore.telling import shown
from app.world.gate.lexicon import lexicons
from app.world.gate.names import Names
from app.world.state import World


class Checker:
    """Checks sentences against facts by key; made once for a world as it is."""

    def __init__(self, world: World, language: Language, facts: Mapping[str, Held]) -> None:
        self._world = world
        self._language = language
        self._facts = facts
        self._names = Names.of(world)

    def fault(self, text: str, cites: Sequence[str]) -> str:
        """Why a sentence may not stand; empty where it may."""
        if not cites:
            return "it cites no fact"
        held: list[Held] = []
        for key in cites:
            if key not in self._facts:
                return f"there is no fact {key!r}"
            held.append(self._facts[key])
        if len({each.fact.known_by for each in held if each.fact.known_by}) > 1:
            return "its facts are not known by the same people"
        return self._stranger(text, held) or self._untold(text, held)

    def _stranger(self, text: str, held: Sequence[Held]) -> str:
        """What the sentence names and its facts do not hold."""
        texts = [shown(each) for each in held] + [called(self._world, each.fact.subject) for each in held]
        texts += [each.fact.subject for each in held]
        allowed = {word for each in texts for word in folded(each)}
        numbers = {number for each in texts for number in _NUMBER.findall(each)}
        for number in _NUMBER.findall(text):
            if number not in numbers:
                return f"it says {number}, which none of its facts holds"
        entities = {mention.id for each in texts for mention in self._names.find(each)}
        entities |= {each.fact.subject for each in held}
        for mention in self._names.find(text):
            named = text[mention.start : mention.end]
            known = all(word in allowed or word in self._language.known for word in folded(named))
            if mention.id not in entities and not known:
                return f"it names {named!r}, of which none of its facts speaks"
        for match in _CAPITALIZED.finditer(text):
            word = match.group().casefold()
            bare = re.sub(r"['’]s?$", "", word)
            known = bool({word, bare} & allowed) or self._common(bare)
            if not known and not _begins(text, match.start()):
                return f"it names {match.group()!r}, of which none of its facts speaks"
        return ""

    def _common(self, word: str) -> bool:
        """Whether it is a word of the grammar, or one that has a capital and names nobody."""
        return word in self._language.known or any(word in each.capitals for each in lexicons().values())

    def _untold(self, text: str, held: Sequence[Held]) -> str:
        """A fact that is cited and not told: years and names stand word for word, of other values most words."""
        words = set(folded(text))
        for each in held:
            value = folded(shown(each))
            most = [word for word in value if len(word) > 3] or value
            if sum(word in words for word in most) * 2 < len(most):
                return f"it cites {each.key!r} and does not tell it"
        return ""


def _begins(text: str, at: int) -> bool:
    """Whether a sentence, or what is quoted, begins there: then a capital tells nothing."""
    before = text[:at].rstrip(' "“„‘«(')
    return not before or before[-1] in ".!?:"


_NUMBER = re.compile(r"\d+")
_CAPITALIZED = re.compile(r"[A-ZÀ-ÖØ-Þ][^\W\d_]*(?:[-’'][^\W\d_]+)*")
