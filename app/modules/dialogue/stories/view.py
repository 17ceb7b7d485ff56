"""What a story may ask of a world, answered for one NPC and one player; it reads and never writes.

A fact counts only if the NPC may tell it to every player who hears, since a line may say what a condition has read.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.modules.dialogue.stories.model import Value
from app.world.gate.acts import may_tell
from app.world.gate.speech import clean_output
from app.world.scene import quest_head
from app.world.state import World

WORLD = "world"
"""The subject of facts about the whole world."""
PLAYER, NPC = "player", "npc"
"""What a story calls the two who talk."""


class WorldView:
    """The world as the story of `npc` sees it with the first of `players`, while the others hear it."""

    def __init__(self, world: World, npc: str, players: Sequence[str], *, day_s: float, day_start_share: float) -> None:
        self._world, self._npc, self._player = world, npc, players[0]
        self._hearers = [world.state.players[id] for id in players if id in world.state.players]
        self._day_s, self._day_start_share = day_s, day_start_share

    def named(self, id: str) -> str:
        """The id that `player` or `npc` stands for, or the id itself."""
        return {PLAYER: self._player, NPC: self._npc}.get(id, id)

    def fact(self, subject: str, predicate: str) -> Value:
        found = self._world.fact(self.named(subject), predicate)
        npc = self._world.state.npcs.get(self._npc)
        if found is None or npc is None:
            return ""
        if not all(may_tell(self._world, npc, player, found) for player in self._hearers):
            return ""
        return clean_output(found.value) if isinstance(found.value, str) else found.value

    def relation(self) -> float:
        return self._world.relation(self._npc, self._player)

    def has_item(self, item: str) -> bool:
        return any(item in (held.id, held.item_kind) for held in self._world.held_by(self._player))

    def quest_state(self, quest: str) -> str:
        record = self._world.state.quests.get(quest)
        if record is None or quest_head(record).player not in ("", self._player):
            return ""
        return "active" if record.state == "repaired" else record.state

    def hour(self) -> float:
        fact = self._world.fact(WORLD, "hour")
        if fact is not None and isinstance(fact.value, int | float):
            return float(fact.value) % 24.0
        return (self._day_start_share + self._world.state.game_s / self._day_s) % 1.0 * 24.0


class Table:
    """A world of facts by (subject, predicate), for trying a story out; `player has ITEM` is a fact, too."""

    def __init__(self, facts: dict[tuple[str, str], Value]) -> None:
        self._facts = facts

    def fact(self, subject: str, predicate: str) -> Value:
        return self._facts.get((subject, predicate), "")

    def relation(self) -> float:
        value = self._facts.get((NPC, "relation"), 0.0)
        return float(value) if isinstance(value, int | float) else 0.0

    def has_item(self, item: str) -> bool:
        return self._facts.get((PLAYER, f"has {item}"), False) is True

    def quest_state(self, quest: str) -> str:
        return str(self._facts.get((quest, "quest"), ""))

    def hour(self) -> float:
        value = self._facts.get((WORLD, "hour"), 12.0)
        return float(value) % 24.0 if isinstance(value, int | float) else 12.0
