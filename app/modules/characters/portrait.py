"""A persona in words: summary, voice, traits, goals, lines, and what is kept to oneself; from facts alone, by grammar.

A text counts only where all its slots have a value, so that nothing is said that is not bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.modules.characters.canon import CHILDREN, Canon
from app.modules.characters.dice import Dice
from app.modules.characters.library import CHILD, CHILDHOOD, Library, Text
from app.modules.characters.nature import marked, number
from app.world.entities import Npc, Persona

_SLOT = re.compile(r"\{(\w+)\}")
_PRONOUNS: Mapping[tuple[str, str], Mapping[str, str]] = MappingProxyType(
    {
        ("en", "female"): {"He": "She", "he": "she", "him": "her", "his": "her", "His": "Her"},
        ("en", "male"): {"He": "He", "he": "he", "him": "him", "his": "his", "His": "His"},
        ("de", "female"): {"He": "Sie", "he": "sie", "him": "sie", "dat": "ihr"},
        ("de", "male"): {"He": "Er", "he": "er", "him": "ihn", "dat": "ihm"},
    }
)
SECRETS = ("debt", "grudge", "past", "fear", "fondness")


@dataclass(slots=True)
class Painter:
    """Paints the people of one cast; `used` are the texts that one of them has already."""

    library: Library
    canon: Canon
    language: str
    used: set[str] = field(default_factory=set)

    @property
    def text(self) -> Text:
        return self.library.texts[self.language]

    def persona(
        self, npc: Npc, voice: str, nature: Mapping[str, float], needs: Mapping[str, float], dice: Dice
    ) -> Persona:
        """Who somebody is when it speaks; `npc` is complete but for this."""
        text, slots = self.text, self._slots(npc, dice)
        ends = marked(nature)
        first = self._one(text.trade[npc.archetype], slots, dice, "trade") or self._one(
            text.trade["villager"], slots, dice, "trade"
        )
        parts = [first, *self._bonds(npc, slots, dice)]
        if ends:
            parts.append(self._one(text.bent[ends[0]], slots, dice, "bent"))
        parts.append(self._one(text.quirks.any, slots, dice, "quirk"))
        top = sorted(needs, key=lambda motive: (-needs[motive], motive))[:2]
        if npc.archetype == CHILD:
            top = [CHILDHOOD, CHILDHOOD]
        return Persona(
            summary=" ".join(part for part in parts if part),
            voice=dice.pick(text.voices[voice], "voice words"),
            traits=tuple(dice.pick(text.traits[end], "trait word", end) for end in ends[:3])
            or (dice.pick(text.traits["middling"], "trait word"),),
            goals=tuple(
                filter(
                    None,
                    (self._one(text.wants[of].any, slots, dice, "want", of, str(at)) for at, of in enumerate(top)),
                )
            ),
            lines={**text.lines[voice], "ask_self": text.selves[npc.archetype]},
            language=self.language,
        )

    def secret(self, npc: Npc, kind: str, other: str, dice: Dice) -> str:
        """A sentence that somebody keeps to itself; empty where it needs another and there is none."""
        slots = {**self._slots(npc, dice), **({"other": self.canon.name(other)} if other else {})}
        told = self._one(self.text.secrets[kind], slots, dice, "secret", kind)
        return f"{npc.name} {told}." if told else ""

    def craft(self, archetype: str, dice: Dice) -> str:
        """What one of the trade knows."""
        known = dice.pick(self.text.crafts[archetype], "craft")
        return f"{known[0].upper()}{known[1:]}."

    def _bonds(self, npc: Npc, slots: Mapping[str, str], dice: Dice) -> list[str]:
        """One or two sentences about the people around."""
        kinds = ("spouse", "parents", "children", "employer", "captain", "rival", "friend")
        held = [
            kind for kind in kinds if kind in slots and (kind != "parents" or (number(npc.attributes, "age") or 0) < 30)
        ]
        if not held and (number(npc.attributes, "age") or 0) >= 20 and len(self.canon.residents.get(npc.home, ())) <= 1:
            held = ["alone"]
        return [self._one(self.text.family[kind], slots, dice, "family", kind) for kind in held[:2]]

    def _slots(self, npc: Npc, dice: Dice) -> dict[str, str]:
        canon, age = self.canon, number(npc.attributes, "age") or 0.0
        people = {tie.kind: self._called(npc, tie.other) for tie in canon.ties(npc.id)}
        slots = {kind: name for kind, name in people.items() if kind not in CHILDREN}
        children = [people[kind] for kind in CHILDREN if kind in people]
        if children:
            slots |= {"child": children[-1], "children": self._listed(children)}
        if "mother" in slots and "father" in slots:
            slots["parents"] = self._listed([slots["mother"], slots["father"]])
        years = number(npc.attributes, "years_in_trade") or 0.0
        name = npc.name
        slots |= {
            "name": name, "genitive": f"{name}’" if name[-1:] in "sxzß" else f"{name}s", "age": f"{age:g}",
            "count": str(dice.between(3, 9, "count")), **_PRONOUNS[self.language, str(npc.attributes["gender"])],
        }  # fmt: skip
        if years >= 2:
            slots["years"] = f"{years:g}"
        for field_, place in (("work", npc.work), ("home", npc.home)):
            if place:
                slots[field_] = self._place(canon.name(place))
        return slots

    def _called(self, npc: Npc, other: str) -> str:
        """What one calls another: the first name within a family, the whole name else."""
        name = self.canon.name(other)
        first, _, family = name.partition(" ")
        return first if family and family == npc.name.partition(" ")[2] else name

    def _listed(self, names: Sequence[str]) -> str:
        *rest, last = names
        return f"{', '.join(rest)} {self.text.and_} {last}" if rest else last

    def _place(self, name: str) -> str:
        """A place's name within a sentence, with its article where the language knows it."""
        head, _, rest = name.partition(" ")
        if head.casefold() == "the" and rest:
            return f"the {rest}"
        last = name.casefold().split(" ")[-1] if name else ""
        return f"the {name}" if last in (self.text.signs if rest else self.text.articled) else name

    def _one(self, variants: Sequence[str], slots: Mapping[str, str], dice: Dice, *draw: str) -> str:
        """A variant whose slots all have a value, one that nobody beside has before one that somebody has."""
        able = [variant for variant in variants if all(slot in slots for slot in _SLOT.findall(variant))]
        if not able:
            return ""
        fresh = [variant for variant in able if variant not in self.used] or able
        chosen = dice.pick(fresh, *draw)
        self.used.add(chosen)
        said = _SLOT.sub(lambda found: slots[found.group(1)], chosen)
        return said[0].upper() + said[1:] if chosen[0] == "{" else said
