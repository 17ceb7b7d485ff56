"""The names and words of a world's entities, to find them in a text; kept up entity by entity.

It knows what is named and which words anybody of this world has used. It does not judge what is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from app.world.entities import AnyEntity, Faction, Item, Location, Npc, Player
from app.world.gate.lexicon import lexicons
from app.world.gate.secrets import Secrets, SecretsView
from app.world.scene import quest_head
from app.world.state import World

NAME_WORDS_MAX = 5
"""Words of the longest name that is looked for."""


class Mention(NamedTuple):
    """An entity named in a sentence, from character `start` to `end`."""

    start: int
    end: int
    id: str


class Names:
    """The names of a world's entities, to find them in a text.

    Where names clash, a location wins over an NPC, then players, items, factions; among equals the first. A change of
    an entity costs what its own name and persona cost, however large the world.
    """

    def __init__(self, entities: Iterable[AnyEntity] = ()) -> None:
        self._ids: dict[str, dict[str, tuple[int, int]]] = {}
        self._best: dict[str, str] = {}
        self._longest_of: dict[str, int] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._used: dict[str, frozenset[str]] = {}
        self._words: dict[str, int] = {}
        self._persons: set[str] = set()
        self._count = 0
        self._lore: tuple[int, frozenset[str]] = (-1, frozenset())
        self._secrets = Secrets()
        for entity in entities:
            self.put(entity)

    @classmethod
    def of(cls, world: World) -> Names:
        """Every named location, item, NPC, player and faction."""
        state = world.state
        tables: tuple[Mapping[str, AnyEntity], ...] = (
            state.locations, state.npcs, state.players, state.items, state.factions,
        )  # fmt: skip
        return cls(entity for table in tables for entity in table.values())

    def put(self, entity: AnyEntity) -> None:
        """Take up an entity, new or changed."""
        words = frozenset(_capitalized(entity))
        keys = tuple(_keys(entity))
        if self._keys.get(entity.id) == keys and self._used.get(entity.id) == words:
            return
        self.drop(entity.id)
        self._count += 1
        rank = (_RANKS.index(type(entity)), self._count)
        self._keys[entity.id], self._used[entity.id] = keys, words
        if isinstance(entity, Npc | Player):
            self._persons.add(entity.id)
        for key in keys:
            holders = self._ids.setdefault(key, {})
            holders[entity.id] = rank
            self._best[key] = min(holders, key=holders.__getitem__)
            head, _, rest = key.partition(" ")
            length = rest.count(" ") + 2 if rest else 1
            self._longest_of[head] = max(length, self._longest_of.get(head, 0))
        for word in words:
            self._words[word] = self._words.get(word, 0) + 1

    def drop(self, id: str) -> None:
        """Forget an entity; one that is not there is no error."""
        self._persons.discard(id)
        for key in self._keys.pop(id, ()):
            holders = self._ids[key]
            holders.pop(id, None)
            if holders:
                self._best[key] = min(holders, key=holders.__getitem__)
            else:
                del self._ids[key], self._best[key]
        for word in self._used.pop(id, ()):
            self._words[word] -= 1
            if not self._words[word]:
                del self._words[word]

    def find(self, text: str) -> list[Mention]:
        """The entities named in `text`, longest names first at each place, left to right.

        A person's name counts only when it is written with a capital.
        """
        tokens = [match.span() for match in _WORD.finditer(text)]
        words = [text[start:end].casefold() for start, end in tokens]
        found: list[Mention] = []
        at, longest_of = 0, self._longest_of
        while at < len(words):
            most = longest_of.get(words[at])
            mention = self._longest(text, tokens, words, at, most) if most else None
            if mention is None:
                at += 1
                continue
            found.append(mention)
            while at < len(words) and tokens[at][0] < mention.end:
                at += 1
        return found

    def _longest(
        self, text: str, tokens: list[tuple[int, int]], words: list[str], at: int, most: int
    ) -> Mention | None:
        for length in range(min(most, NAME_WORDS_MAX, len(words) - at), 0, -1):
            id = self._best.get(" ".join(words[at : at + length]))
            if id is None:
                continue
            start, end = tokens[at][0], tokens[at + length - 1][1]
            if id in self._persons and not text[start].isupper():
                continue
            return Mention(start, end, id)
        return None

    def secrets(self, world: World, npc: Npc, other: Npc | Player) -> SecretsView:
        """The private facts that `npc` may not tell `other`, as something that a stream can be watched by."""
        self._secrets.refresh(world, lambda text: " ".join(words(text)) in self._best)
        return SecretsView(self._secrets, world, npc, other)

    def invented(self, world: World, text: str, mentions: Iterable[Mention]) -> str:
        """The first capitalized word inside a sentence that names nothing and that nobody of this world has used."""
        spans = [(mention.start, mention.end) for mention in mentions]
        for match in _CAPITALIZED.finditer(text):
            word = match.group("word")
            known = any(start <= match.start("word") < end for start, end in spans)
            if not known and not self._is_known(world, word.removesuffix("'s").removesuffix("’s")):
                return word
        return ""

    def _is_known(self, world: World, word: str) -> bool:
        lower = word.casefold()
        if lower in self._words or lower in self._best or any(lower in each.capitals for each in lexicons().values()):
            return True
        parts = re.split(r"[-’']", lower)
        if len(parts) > 1 and all(part in self._words or part in self._best for part in parts if part):
            return True
        if lower.endswith("s") and lower[:-1] in self._words:
            return True
        seq, words = self._lore
        if seq != world.state.seq:
            words = frozenset(_lore_words(world))
            self._lore = (world.state.seq, words)
        return lower in words or _in_personas(world, word)


def words(text: str) -> list[str]:
    """The words of a text, case folded, as names are compared."""
    return [match.group().casefold() for match in _WORD.finditer(text)]


def _keys(entity: AnyEntity) -> Iterator[str]:
    """What an entity is called: its name, and a person's first name."""
    key = " ".join(words(entity.name))
    if not key:
        return
    yield key
    for article in ("the ", "a ", "an "):
        if key.startswith(article) and len(key) > len(article):
            yield key.removeprefix(article)
    if isinstance(entity, Npc | Player):
        first = key.split(" ")[0]
        if len(first) > 2 and first != key and first not in _TITLES:
            yield first


def _capitalized(entity: AnyEntity) -> Iterator[str]:
    """The words that this entity lets anybody use: its name, tags and trade."""
    yield from words(entity.name)
    yield from words(" ".join(entity.tags))
    yield from words(" ".join(value for value in entity.attributes.values() if isinstance(value, str)))
    if isinstance(entity, Npc):
        yield from words(entity.archetype)
    elif isinstance(entity, Item):
        yield from words(entity.item_kind)
    elif isinstance(entity, Location):
        yield from words(entity.map)


def _in_personas(world: World, name: str) -> bool:
    """Whether an author has written this name into anybody's persona."""
    for npc in world.state.npcs.values():
        persona = npc.persona
        if name in persona.summary or name in persona.voice:
            return True
        if any(name in text for text in (*persona.goals, *persona.traits, *chain(*persona.lines.values()))):
            return True
    return False


def _lore_words(world: World) -> Iterator[str]:
    """The words of facts and quests; read only when a name is met that no entity explains."""
    state = world.state
    for key, versions in state.facts.items():
        yield from words(key.replace("\x1f", " "))
        for fact in versions[-1:]:
            if isinstance(fact.value, str):
                yield from words(fact.value)
    for record in state.quests.values():
        head = quest_head(record)
        yield from words(f"{head.title} {head.description} {' '.join(goal.text for goal in head.goals)}")


_RANKS: tuple[type[AnyEntity], ...] = (Location, Npc, Player, Item, Faction)
_TITLES = frozenset({
    "old", "young", "big", "little", "the", "sir", "lady", "lord", "dame", "captain", "sergeant", "brother", "sister",
    "father", "mother", "master", "elder", "mayor",
})  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:[-’'](?!s\b)[^\W_]+)*")
_CAPITALIZED = re.compile(r"(?<=[\w,;)])[,;)]?\s+[\"'“‘«(]?(?P<word>[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]+(?:[-’'][^\W\d_]+)*)")
"""A word with a capital that does not begin the sentence, a clause after a colon, or what is quoted after one."""
