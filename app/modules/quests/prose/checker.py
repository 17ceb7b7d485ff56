"""Finds in a text whatever is not bound: a name, a number, an entity of the world, or letters that only look alike.

It trusts no writer. Names of the world are known exactly; that a name was invented is guessed from capitals, from
words that no list holds and from words such as "named", so a strange but harmless word may be refused: the grammar
stands in for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

from app.modules.quests.planning.facts import View
from app.modules.quests.prose.grammar import Grammar, languages, load_grammar
from app.modules.quests.prose.names import Namer
from app.modules.quests.quest import Quest, Step
from app.world.entities import AnyEntity, Item
from app.world.gate.disguises import CONFUSABLE
from app.world.gate.lexicon import lexicons
from app.world.gate.names import Names

BOUND = " \u2042 "
"""What stands in the place of a bound name while the rest is looked at."""
NO_LETTERS = frozenset({"Cf", "Cc", "Co", "Cn", "Mn", "Me", "Lm", "Nl", "No"})
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ROMAN = re.compile(r"[IVXLCDM]{2,}")
_BREAK = re.compile(r"[.!?:…]['\"”“»)]*\s+['\"„“«(]*$|^['\"„“«(]*$|[„“\"«]$")


class Checker:
    """Checks texts of one quest, in one language and one world."""

    def __init__(self, grammar: Grammar, view: View, bound: Iterable[str], *, counts: Iterable[int] = ()) -> None:
        """`bound` are the entities and topics that the quest speaks of, `counts` the numbers."""
        self._grammar = grammar
        self._view = view
        self._counts = frozenset(str(count) for count in counts)
        namer = Namer(grammar, view)
        ids = dict.fromkeys(bound)
        forms = {form for id in ids for form in _forms(namer, view, id)}
        self._bound = _pattern(forms)
        self._others = _others(view, grammar, frozenset(ids))
        self._numbers = re.compile(grammar.check.numbers, re.IGNORECASE)
        others = (load_grammar(other) for other in languages() if other != grammar.language)
        self._foreign = tuple(re.compile(other.check.numbers, re.IGNORECASE) for other in others)
        self._idioms = re.compile("|".join(rf"\b{re.escape(idiom)}\b" for idiom in grammar.check.idioms), re.IGNORECASE)
        self._naming = re.compile(rf"\b(?:{grammar.check.naming})\s+['\"„“«]?(?!{BOUND.strip()})(\w+)", re.IGNORECASE)
        self._titled = re.compile(rf"\b(?i:{grammar.check.titles})\.?\s+['\"„“«]?([^\W\d_]\w*)")

    def fault(self, text: str) -> str:
        """What is wrong with a text; empty where nothing is."""
        return self._fault(text, self._sentence_start)

    def title_fault(self, text: str) -> str:
        """What is wrong with a title, in which any word may have a capital."""
        return self._fault(text, lambda _: True)

    def of(self, id: str, text: str) -> str:
        """What is wrong with the text of that id."""
        return self.title_fault(text) if id == "title" else self.fault(text)

    def _fault(self, text: str, begins: Callable[[str], bool]) -> str:
        rest = self._bound.sub(BOUND, text)
        if wrong := _disguised(rest.replace(BOUND, " ")):
            return wrong
        return self._named(rest) or self._numbered(rest) or self._invented(rest, begins)

    def _named(self, text: str) -> str:
        for mention in self._others.find(text):
            return f"{text[mention.start : mention.end]!r} is not bound"
        return ""

    def _numbered(self, text: str) -> str:
        for match in re.finditer(r"\d+", text):
            if match.group() not in self._counts:
                return f"number {match.group()!r} is not bound"
        for match in _WORD.finditer(self._idioms.sub(" ", text)):
            if self._counts_something(match.group()):
                return f"number {match.group()!r} is not bound"
        return ""

    def _counts_something(self, word: str) -> bool:
        """Whether a word is a number in this language, or in another where it is no word of this one."""
        if self._numbers.fullmatch(word) or _ROMAN.fullmatch(word):
            return True
        own = word.casefold() in self._grammar.vocabulary
        return not own and any(foreign.fullmatch(word) for foreign in self._foreign)

    def _invented(self, text: str, begins: Callable[[str], bool]) -> str:
        if found := self._naming.search(text):
            return f"{found[1]!r} is named and not bound"
        for titled in self._titled.finditer(text):
            if titled[1][0].isupper():
                return f"{titled[1]!r} is a name and not bound"
        for match in _WORD.finditer(text):
            word = match.group()
            if not any(sign.isupper() for sign in word):
                continue
            if not self._known(word, begins=begins(text[: match.start()])):
                return f"{word!r} looks like a name"
        return ""

    def _sentence_start(self, before: str) -> bool:
        return _BREAK.search(before) is not None

    def _known(self, word: str, *, begins: bool) -> bool:
        """Whether a word with a capital is an ordinary one where it stands."""
        lower = word.casefold()
        if lower not in self._grammar.vocabulary and lower not in _capitals(self._grammar.language):
            return False
        if word[1:] != word[1:].lower():
            return False
        return begins or self._grammar.check.nouns or lower.partition("'")[0].partition("’")[0] == "i"


def bound_of(quest: Quest) -> tuple[str, ...]:
    """The entities and topics that a quest's texts may speak of."""
    steps = (*quest.steps, *(step for branch in quest.branches for step in branch.steps))
    goals = (*quest.goals, *(goal for branch in quest.branches for goal in branch.goals))
    lost = (id for repair in quest.repairs for id in (repair.lost, repair.instead))
    failing = (term for failure in quest.certificate.failures for term in failure.fact[1:])
    every = (
        quest.giver, quest.player, *quest.members, *quest.roles.values(), *(id for step in steps for id in _ids(step)),
        *(term for goal in goals for term in goal.deed[1:]), *lost, *failing,
    )  # fmt: skip
    return tuple(dict.fromkeys(id for id in every if id))


def checker_for(quest: Quest, grammar: Grammar, view: View) -> Checker:
    """The checker of a quest's texts in a grammar's language."""
    goals = (*quest.goals, *(goal for branch in quest.branches for goal in branch.goals))
    return Checker(grammar, view, bound_of(quest), counts=(goal.count for goal in goals if goal.count > 1))


def faults(quest: Quest, grammar: Grammar, view: View) -> dict[str, str]:
    """What is wrong with each text of a quest, by the text's id."""
    checker = checker_for(quest, grammar, view)
    found = {text.id: checker.of(text.id, text.text) for text in quest.texts}
    return {id: fault for id, fault in found.items() if fault}


def _ids(step: Step) -> tuple[str, ...]:
    event = step.event
    return (event.actor, event.target, event.item, event.location, event.topic)


def _forms(namer: Namer, view: View, id: str) -> list[str]:
    """Every way to write what is bound: a name in all its forms, a topic's words, a person's first name."""
    if view.entity(id) is None:
        kind, _, about = id.partition(" ")
        subject = about if kind in ("seen", "slain", "news") else id.rpartition(" ")[0]
        named = list(namer.forms(subject)) if view.entity(subject) is not None else []
        return [id.replace("_", " "), *named]
    forms = list(namer.forms(id))
    if id in view.npcs or id in view.players:
        forms.append(namer.plain(id).partition(" ")[0])
    return [form for form in forms if len(form) > 1 or form == namer.plain(id)]


def _pattern(forms: Iterable[str]) -> re.Pattern[str]:
    """Any of the forms, longest first; the first letter may be a capital, and a possessive may follow."""
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    each = (
        f"[{re.escape(form[0].upper())}{re.escape(form[0].lower())}]{re.escape(form[1:])}"
        if form[0].upper() != form[0].lower() and len(form[0].upper()) == 1
        else re.escape(form)
        for form in ordered
    )
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(each) or '(?!)'})(?:['’]s|['’])?(?![^\W_])")


def _others(view: View, grammar: Grammar, bound: frozenset[str]) -> Names:
    """The names of every entity that is not bound, in the usual form and in the language's own."""
    names, language = Names(), grammar.language
    own = f"name_{language}"
    for table in (view.locations, view.npcs, view.players, view.items, view.factions):
        for id, entity in table.items():
            if id in bound:
                continue
            names.put(entity)
            called = entity.attributes.get(own)
            if isinstance(called, str) and called:
                names.put(_in_own_words(entity, f"{id}\x1f{language}", called, grammar.nouns.articles))
    return names


def _in_own_words(entity: AnyEntity, id: str, called: str, articles: Iterable[str]) -> AnyEntity:
    """The entity by its name in a language. Behind an article stands no first name: "the" calls nobody."""
    article, _, rest = called.partition(" ")
    if rest and article in articles:
        return Item(id=id, name=rest)
    return msgspec.structs.replace(entity, id=id, name=called)


def _disguised(text: str) -> str:
    for sign in text:
        if sign.isascii():
            if ord(sign) < 32 and sign != "\n":
                return "a control character"
            continue
        kind = unicodedata.category(sign)
        if sign == "×":
            continue
        if ord(sign) in CONFUSABLE or kind in NO_LETTERS:
            return f"{sign!r} only looks like a letter"
        if kind[0] == "N" or (kind[0] == "L" and "LATIN" not in unicodedata.name(sign, "")):
            return f"{sign!r} is of another script"
        if "FULLWIDTH" in unicodedata.name(sign, "") or "MATHEMATICAL" in unicodedata.name(sign, ""):
            return f"{sign!r} only looks like a letter"
    return ""


@lru_cache(8)
def _capitals(language: str) -> frozenset[str]:
    found = lexicons().get(language)
    return found.capitals if found is not None else frozenset()
