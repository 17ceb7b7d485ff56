"""How a world's names stand in sentences: articles and cases, so that any name fits where the grammar puts it.

It knows names, genders and cases of English and German. It chooses no words.

An entity is called by its attribute `name_<language>`, else by its name. In German a name with an article ("die alte
Mühle") or with an attribute `gender` (m, f, n, or p for plural) is declined by rule, after `name_de_a` and `name_de_d`
where an author gives those; a name without either is a proper name and stays as it is. A thing of which that would be
wrong stands in quotation marks, which take no case.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.modules.quests.planning.facts import View
from app.modules.quests.prose.grammar import Grammar
from app.world.entities import AnyEntity

Decline = dict[str, tuple[str, str, str]]
_GERMAN: Decline = {
    "m": ("der", "den", "dem"),
    "f": ("die", "die", "der"),
    "n": ("das", "das", "dem"),
    "p": ("die", "die", "den"),
}
"""Gender -> the definite article in the nominative, accusative and dative."""
_OF_ARTICLE = {"der": "m", "die": "f", "das": "n"}
_JOINED = {
    ("zu", "dem"): "zum", ("zu", "der"): "zur", ("bei", "dem"): "beim", ("von", "dem"): "vom",
}  # fmt: skip


class Namer:
    """Names of one world in one language; `gone` are those of entities that it has no more."""

    def __init__(self, grammar: Grammar, view: View, gone: Mapping[str, str] = MappingProxyType({})) -> None:
        self._gone = gone
        self._nouns = grammar.nouns
        self._view = view
        self._german = grammar.language == "de"
        self._own = f"name_{grammar.language}"

    def filled(self, role: str, value: str, form: str) -> str:
        """What stands in the slot of a role: an entity's name in a form, a skill, or words as they are."""
        if self._view.entity(value) is None and role in ("about", "skill"):
            words = value.replace("_", " ")
            return self._nouns.skill.format(words) if role == "skill" else words
        return self.called(value, form)

    def plain(self, id: str) -> str:
        """The name alone, without article."""
        entity = self._view.entity(id)
        if entity is None and id in self._gone:
            return self._gone[id]
        own = entity.attributes.get(self._own) if entity is not None else None
        return own if isinstance(own, str) and own else self._view.name(id)

    def called(self, id: str, form: str = "") -> str:
        """A name in a form: nominative, `a` accusative, `d` dative, or after a preposition: `to`, `at`, `from`.

        `v` is how somebody is addressed: the name alone.
        """
        name, entity = self.plain(id), self._view.entity(id)
        if form == "v":
            return name
        return self._in_german(id, name, entity, form) if self._german else self._in_english(id, name, form)

    def forms(self, id: str) -> tuple[str, ...]:
        """Every way in which a text of this language may call an entity, with articles and prepositions."""
        whole = [self.called(id, form) for form in ("", "a", "d")]
        bare = [rest for article, _, rest in (form.partition(" ") for form in whole) if article in self._nouns.articles]
        return tuple(dict.fromkeys((*whole, *bare, self.plain(id))))

    def _lost(self, id: str) -> bool:
        return self._view.entity(id) is None and id in self._gone

    def _in_english(self, id: str, name: str, form: str) -> str:
        view = self._view
        known = id in view.items or id in view.npcs or _named(view.locations.get(id))
        common = name[:1].islower() and (known or self._lost(id))
        articled = name.partition(" ")[0] in self._nouns.articles
        called = f"{self._nouns.articles[0]} {name}" if common and not articled else name
        return f"{form} {called}" if form in ("to", "at", "from") else called

    def _in_german(self, id: str, name: str, entity: AnyEntity | None, form: str) -> str:
        case = {"": 0, "a": 1}.get(form, 2)
        before = {"to": "zu", "at": "bei", "from": "von"}.get(form, "")
        article, _, rest = name.partition(" ")
        gender = entity.attributes.get("gender") if entity is not None else None
        if not isinstance(gender, str) or gender not in _GERMAN:
            gender = _OF_ARTICLE.get(article, "")
        if gender:
            noun = rest if article in _OF_ARTICLE else _weak(name, gender)
            return _joined(before, _GERMAN[gender][case], _declined(noun, entity, case, gender))
        return self._unchanged(id, name, form)

    def _unchanged(self, id: str, name: str, form: str) -> str:
        """A proper name as it is; what might be none stands in quotation marks."""
        place = id in self._view.locations
        person = id in self._view.npcs or id in self._view.players
        proper = name[:1].isupper() or (self._view.entity(id) is None and not self._lost(id))
        if place:
            if proper and " " not in name:
                return {"to": "nach ", "at": "in ", "from": "aus "}.get(form, "") + name
            return {"to": "zum Ort ", "at": "am Ort ", "from": "vom Ort "}.get(form, "") + f"„{name}“"
        called = name if person and proper else f"„{name}“"
        return {"to": "zu ", "at": "bei ", "from": "von "}.get(form, "") + called


def _weak(name: str, gender: str) -> str:
    """Adjectives as they stand after a definite article in the nominative: "alter Turm" becomes "alte Turm"."""
    *adjectives, noun = name.split(" ")
    ends = {"m": "r", "n": "s"}.get(gender, "")
    bent = [word[:-1] if ends and word.endswith("e" + ends) else word for word in adjectives]
    return " ".join((*(word + "n" if gender == "p" and word.endswith("e") else word for word in bent), noun))


def _declined(noun: str, entity: AnyEntity | None, case: int, gender: str) -> str:
    """The noun after a definite article: adjectives end in -en but in the nominative and what looks like it."""
    given = entity.attributes.get(f"name_de_{'nad'[case]}") if entity is not None else None
    if isinstance(given, str) and given:
        return given
    if case == 0 or (case == 1 and gender != "m"):
        return noun
    *adjectives, last = noun.split(" ")
    bent = [word + "n" if word[:1].islower() and word.endswith("e") else word for word in adjectives]
    if gender == "p" and case == 2 and not last.endswith(("n", "s")):
        last += "n"
    return " ".join((*bent, last))


def _named(entity: AnyEntity | None) -> bool:
    return entity is not None and bool(entity.name)


def _joined(before: str, article: str, noun: str) -> str:
    if not before:
        return f"{article} {noun}"
    joined = _JOINED.get((before, article))
    return f"{joined} {noun}" if joined else f"{before} {article} {noun}"
