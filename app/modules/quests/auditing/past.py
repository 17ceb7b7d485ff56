"""The world that earlier quests leave behind: what differs from the base, by entity.

Plans are turned into the game's own events and applied with the world's own reducers, so a chain is judged by the same
rules as a world that lives. What respawns comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from app.core.messages import Event
from app.modules.quests.auditing.entry import Deed
from app.modules.quests.planning.domain import PLAYER, Vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.planning.recipes import Recipe
from app.world import reducers
from app.world.entities import AnyEntity, Item, Npc, Player
from app.world.events import Happened
from app.world.state import State

TABLES = ("npcs", "players", "items", "locations")
"""The tables of a state that a quest's events can change."""


@dataclass(frozen=True, slots=True)
class Past:
    """What has been done, by number, and what is no longer as the base has it; None where it is gone."""

    quests: tuple[int, ...] = ()
    changed: dict[str, dict[str, AnyEntity | None]] = field(default_factory=dict)
    deeds: dict[str, int] = field(default_factory=dict)
    """Entity -> the quest that last changed it."""

    def state(self, base: State) -> State:
        """The base with the changes applied; only tables that changed are copied."""
        tables = {}
        for name, entities in self.changed.items():
            table = dict(getattr(base, name))
            for id, entity in entities.items():
                if entity is None:
                    table.pop(id, None)
                else:
                    table[id] = entity
            tables[name] = table
        return msgspec.structs.replace(base, **tables)


def newcomer(base: State) -> str:
    """An id for a player that the world does not know."""
    id = PLAYER
    while id in base.players:
        id += "_"
    return id


def placed(past: Past, player: Player) -> Past:
    """The past with that player as it is given."""
    return Past(
        past.quests, {**past.changed, "players": {**past.changed.get("players", {}), player.id: player}}, past.deeds
    )


def after(view: View, base: State, past: Past, events: Sequence[Happened], quest: int) -> Past:
    """The past once `events` have happened too; what cannot be applied is left out."""
    state = past.state(base)
    state = msgspec.structs.replace(state, **{name: dict(getattr(state, name)) for name in TABLES})
    touched: dict[str, None] = {}
    for change in events:
        if _possible(state, change):
            reducers.apply(state, Event(seq=state.seq, id="", game_s=state.game_s, wall_ms=0, change=change))
            touched.update(dict.fromkeys((change.actor, change.target, change.item, change.location)))
    changed = {name: dict(entities) for name, entities in past.changed.items()}
    deeds = dict(past.deeds)
    for name in TABLES:
        table = getattr(state, name)
        before = getattr(base, name)
        for id in touched:
            if id not in table and id not in before:
                continue
            entity = _revived(view, table.get(id), before.get(id))
            if entity != before.get(id) or id in changed.get(name, {}):
                changed.setdefault(name, {})[id] = entity
                if name != "players":
                    deeds[id] = quest
    return Past((*past.quests, quest), changed, deeds)


def events_of(
    vocabulary: Vocabulary, recipes: Mapping[str, Recipe], plan: Iterable[Deed], player: str
) -> list[Happened]:
    """What the game tells while a plan is carried out: who is led somewhere arrives, what is put in is used up."""
    events: list[Happened] = []
    for name, *args in plan:
        schema = vocabulary.schemas[name]
        many = len(schema.params)
        event = schema.happened(args[:many], player)
        if event.verb == "escorted":
            events.append(Happened(verb="moved", actor=event.target, location=event.location))
            events.append(Happened(verb="moved", actor=event.actor, location=event.location))
        events.append(event)
        if event.verb == "crafted" and event.item in recipes:
            parts = args[many : many + len(recipes[event.item].parts)]
            events.extend(Happened(verb="destroyed", actor=player, item=part) for part in parts)
    return events


def _possible(state: State, change: Happened) -> bool:
    """Whether each id that a reducer would look up is there."""
    item = not change.item or change.item in state.items
    return item and (not change.location or change.location in state.locations)


def _revived(view: View, entity: AnyEntity | None, before: AnyEntity | None) -> AnyEntity | None:
    """The entity once the game has brought it back, if it does; an item that someone has stays with them."""
    if isinstance(before, Npc) and view.respawns(before):
        return before
    return before if isinstance(before, Item) and entity is None and view.respawns(before) else entity
