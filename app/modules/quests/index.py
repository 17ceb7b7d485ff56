"""Which quests an entity or a player matters to, so that an event finds its quests without a search.

A cache over a world's recorded quests: it can be dropped at any time and holds nothing that they do not.
An entry too many is harmless, since the quest itself is always read from the world.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from app.modules.quests.codec import LIVE, read
from app.modules.quests.logic import touched_by
from app.modules.quests.messages import Quest
from app.world.events import QuestRecorded
from app.world.state import World


class Book:
    """The index of one world's quests."""

    def __init__(self, records: dict[str, QuestRecorded]) -> None:
        self.records = records
        self._known: dict[str, None] = {}
        self._by_player: dict[str, dict[str, None]] = {}
        self._used: dict[tuple[str, str], dict[str, None]] = {}
        self._by_entity: dict[str, dict[str, None]] = {}
        self._read: dict[str, tuple[QuestRecorded, Quest]] = {}

    def catch_up(self) -> None:
        """Take in quests recorded since the last look; they lie at the end of the table."""
        if len(self._known) == len(self.records):
            return
        for id in reversed(list(takewhile(lambda id: id not in self._known, reversed(self.records)))):
            self._known[id] = None
            quest = self.quest(id)
            self._by_player.setdefault(quest.player, {})[id] = None
            self._used.setdefault((quest.giver, quest.player), {})[quest.strategy] = None

    def quest(self, id: str) -> Quest:
        """The present version; decoded once for each version of a live quest."""
        record = self.records[id]
        kept = self._read.get(id)
        if kept is not None and kept[0] is record:
            return kept[1]
        quest = read(record)
        if record.state in LIVE:
            self._read[id] = record, quest
            for entity in touched_by(quest):
                self._by_entity.setdefault(entity, {})[id] = None
        else:
            self._read.pop(id, None)
        return quest

    def strategies_of(self, giver: str, player: str) -> frozenset[str]:
        """The strategies of every quest that `giver` ever offered `player`."""
        return frozenset(self._used.get((giver, player), ()))

    def ids_of(self, player: str) -> list[str]:
        """The ids of a player's quests, in order of their making."""
        return list(self._by_player.get(player, ()))

    def active_of(self, players: Iterable[str]) -> list[Quest]:
        """The active quests of these players, each once."""
        ids = dict.fromkeys(id for player in players for id in self._by_player.get(player, ()))
        return [self.quest(id) for id in ids if self.records[id].state == "active"]

    def live_of(self, player: str) -> list[Quest]:
        """The offered and active quests of a player."""
        return [self.quest(id) for id in self._by_player.get(player, ()) if self.records[id].state in LIVE]

    def active_about(self, entities: Iterable[str]) -> list[Quest]:
        """The active quests that depend on any of these entities, each once."""
        found = {quest.id: quest for entity in entities for quest in self.live_about(entity)}
        return [quest for quest in found.values() if quest.state == "active"]

    def live_about(self, entity: str) -> list[Quest]:
        """The offered and active quests that depend on an entity; ended ones are forgotten on the way."""
        ids = self._by_entity.get(entity, {})
        for id in [id for id in ids if self.records[id].state not in LIVE]:
            del ids[id]
        return [self.quest(id) for id in ids]


class Books:
    """One book for each world that has been looked at."""

    def __init__(self) -> None:
        self._books: dict[tuple[str, str], Book] = {}

    def of(self, world: World) -> Book:
        """The world's book, up to date."""
        key = world.tenant, world.id
        book = self._books.get(key)
        if book is None or book.records is not world.state.quests:
            book = self._books[key] = Book(world.state.quests)
        book.catch_up()
        return book
