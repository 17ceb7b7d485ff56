"""Which quests a fact, an entity, a player or a moment matters to, so that an event finds its quests without a search.

A cache over a world's recorded quests: it can be dropped at any time and holds nothing that they do not.
An entry too many is harmless, since the quest itself is always read from the world.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

from app.modules.quests.codec import read
from app.modules.quests.generation.pacing import Beat
from app.modules.quests.lifecycle.credit import leader, takers
from app.modules.quests.lifecycle.repair import means_of
from app.modules.quests.lifecycle.states import COUNTING, KEPT, LIVE, due_s
from app.modules.quests.lifecycle.watch import needs_of
from app.modules.quests.moods import Moods
from app.modules.quests.planning.domain import Fact, Vocabulary
from app.modules.quests.prose.heard import texts_of
from app.modules.quests.quest import Quest
from app.world.events import QuestRecorded
from app.world.state import World, Worlds

Holder = tuple[str, str]
"""Whose a quest is: ("player", id), ("guild", id) or ("server", "")."""


def holder_of(quest: Quest) -> Holder:
    """Whose quest it is, for what one may have and how often."""
    if quest.scope == "guild":
        return "guild", quest.guild
    return ("server", "") if quest.scope == "server" else ("player", leader(quest))


def touched_by(quest: Quest) -> tuple[str, ...]:
    """The entities that a quest depends on."""
    goals = (term for goal in quest.goals for term in goal.deed[1:])
    return tuple(dict.fromkeys((*quest.roles.values(), *goals, *means_of(quest))))


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept in mind of a quest that has ended: what it was one more of, whose, how and when it ended."""

    id: str
    origin: str
    state: str
    ended_s: float


class Book:
    """The index of one world's quests."""

    def __init__(self, records: dict[str, QuestRecorded], vocabulary: Vocabulary) -> None:
        self.records = records
        self.shelf: dict[str, None] = {}
        """Quests that are kept."""
        self.found: dict[str, None] = {id: None for id, record in records.items() if record.state in COUNTING}
        """Those under way when this book was made; whoever looked for their ways before may have been interrupted."""
        self._vocabulary = vocabulary
        self._known: dict[str, None] = {}
        self._by_holder: dict[Holder, dict[str, None]] = {}
        self._used: dict[tuple[str, str], dict[str, None]] = {}
        self._by_term: dict[str, dict[str, None]] = {}
        self._ended: dict[str, dict[str, Past]] = {}
        self._read: dict[str, tuple[QuestRecorded, Quest]] = {}
        self._needs: dict[str, tuple[Quest, tuple[Fact, ...]]] = {}
        self.moods = Moods()
        self._told: dict[str, tuple[QuestRecorded, tuple[str, ...]]] = {}
        self._due: list[tuple[float, str]] = []

    def catch_up(self, game_s: float) -> None:
        """Take in quests recorded since the last look; they lie at the end of the table."""
        if len(self._known) == len(self.records):
            return
        for id in reversed(list(takewhile(lambda id: id not in self._known, reversed(self.records)))):
            self.note(id, game_s)

    def note(self, id: str, game_s: float) -> Quest:
        """Take in the present version of a quest, which was recorded just now."""
        quest = self.quest(id)
        self._known[id] = None
        for holder in dict.fromkeys((holder_of(quest), *(("player", member) for member in takers(quest)))):
            self._by_holder.setdefault(holder, {})[id] = None
        self._used.setdefault((quest.giver, leader(quest)), {})[quest.strategy] = None
        self.wake(quest, game_s)
        if quest.state in KEPT:
            self.shelf[id] = None
        elif quest.state not in LIVE:
            self._end(quest)
        return quest

    def _end(self, quest: Quest) -> None:
        past = Past(quest.id, quest.origin, quest.state, quest.ended_s or 0.0)
        for name in dict.fromkeys((quest.id, quest.origin)):
            for holder in (holder_of(quest), *(("player", member) for member in takers(quest))):
                self._ended.setdefault(f"{holder[0]}\x1f{holder[1]}\x1f{name}", {})[quest.id] = past

    def past_of(self, holder: Holder, name: str) -> list[Past]:
        """The ended quests of that id or origin which were the holder's."""
        return list(self._ended.get(f"{holder[0]}\x1f{holder[1]}\x1f{name}", {}).values())

    def quest(self, id: str) -> Quest:
        """The present version; decoded once for each version of a live quest."""
        record = self.records[id]
        kept = self._read.get(id)
        if kept is not None and kept[0] is record:
            return kept[1]
        quest = read(record)
        if record.state not in LIVE:
            self._read.pop(id, None)
            self._needs.pop(id, None)
            return quest
        self._read[id] = record, quest
        for term in touched_by(quest):
            self._by_term.setdefault(term, {})[id] = None
        if record.state in COUNTING:
            for term in dict.fromkeys(term for fact in self.needs(quest) for term in fact[1:]):
                self._by_term.setdefault(term, {})[id] = None
        return quest

    def needs(self, quest: Quest) -> tuple[Fact, ...]:
        """What the rest of its plan takes for granted; worked out once for each version."""
        kept = self._needs.get(quest.id)
        if kept is not None and kept[0] is quest:
            return kept[1]
        needs = needs_of(quest, self._vocabulary)
        self._needs[quest.id] = quest, needs
        return needs

    def heard(self, most: int) -> tuple[str, ...]:
        """The texts of the world's newest `most` quests, the newest last; read once for each version of a quest."""
        told: dict[str, tuple[QuestRecorded, tuple[str, ...]]] = {}
        for id in reversed(tuple(islice(reversed(self.records), most))):
            record, before = self.records[id], self._told.get(id)
            if record.body and record.state not in KEPT:
                known = before is not None and before[0] is record
                told[id] = before if before is not None and known else (record, texts_of(read(record)))
        self._told = told
        return tuple(text for _, texts in told.values() for text in texts)

    def strategies_of(self, giver: str, player: str) -> frozenset[str]:
        """The strategies of every quest that `giver` ever offered `player`."""
        return frozenset(self._used.get((giver, player), ()))

    def ids_of(self, player: str) -> list[str]:
        """The ids of the quests that a player has or shares, in order of their making."""
        return list(self._by_holder.get(("player", player), ()))

    def counting_of(self, holders: Iterable[Holder]) -> list[Quest]:
        """The quests of these holders in which deeds count, each once."""
        ids = dict.fromkeys(id for holder in holders for id in self._by_holder.get(holder, ()))
        return [self.quest(id) for id in ids if self.records[id].state in COUNTING]

    def live_of(self, holder: Holder) -> list[Quest]:
        """The live quests of a holder."""
        return [self.quest(id) for id in self._by_holder.get(holder, ()) if self.records[id].state in LIVE]

    def counting_about(self, terms: Iterable[str]) -> list[Quest]:
        """The quests in which deeds count and which depend on any of these entities or topics, each once."""
        found = {quest.id: quest for term in terms for quest in self.live_about(term)}
        return [quest for quest in found.values() if quest.state in COUNTING]

    def live_about(self, term: str) -> list[Quest]:
        """The live quests that depend on an entity; ended ones are forgotten on the way."""
        ids = self._by_term.get(term, {})
        for id in [id for id in ids if self.records[id].state not in LIVE]:
            del ids[id]
        return [self.quest(id) for id in ids]

    def live(self) -> Iterator[Quest]:
        """Every live quest."""
        return (self.quest(id) for id in list(self._read))

    def counting(self) -> Iterator[Quest]:
        """Every quest in which deeds count."""
        return (self.quest(id) for id, (record, _) in list(self._read.items()) if record.state in COUNTING)

    def wake(self, quest: Quest, game_s: float) -> None:
        """Remember when time next does something to the quest."""
        when = due_s(quest, game_s)
        if when is not None:
            heapq.heappush(self._due, (when, quest.id))

    def due(self, game_s: float, *, most: int) -> list[str]:
        """The ids of up to `most` quests whose moment has come; each is told once, stale ones too."""
        found: dict[str, None] = {}
        while self._due and self._due[0][0] <= game_s and len(found) < most:
            found[heapq.heappop(self._due)[1]] = None
        return list(found)


class Books:
    """One book for each world that has been looked at and is still here."""

    def __init__(self, vocabulary: Vocabulary, worlds: Worlds) -> None:
        self._vocabulary = vocabulary
        self._worlds = worlds
        self._books: dict[tuple[str, str], Book] = {}

    def of(self, world: World) -> Book:
        """The world's book, up to date."""
        key = world.tenant, world.id
        book = self._books.get(key)
        if book is None or book.records is not world.state.quests:
            self._books = {place: one for place, one in self._books.items() if self._worlds.has(*place)}
            book = self._books[key] = Book(world.state.quests, self._vocabulary)
        book.catch_up(world.state.game_s)
        return book

    def held(self, tenant: str, world: str, player: str) -> list[Beat]:
        """The beats of a player, which no world holds; all else is read from the world's quests."""
        book = self._books.get((tenant, world))
        return book.moods.held(player) if book is not None else []

    def forget(self, tenant: str, world: str, player: str) -> None:
        """Let go of a player: the world's book is made anew from what it still holds, with the moods of the others."""
        book = self._books.pop((tenant, world), None)
        if book is None or not self._worlds.has(tenant, world):
            return
        fresh = Book(self._worlds.get(tenant, world).state.quests, self._vocabulary)
        fresh.moods = book.moods
        fresh.moods.forget(player)
        self._books[tenant, world] = fresh
