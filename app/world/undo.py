"""The way back from a call of several changes of which one is refused: what each would alter is noted before it.

A copy of the whole state would cost a large world milliseconds for every call; a note costs a lookup. The order of
every table comes back too, since the bytes of a state depend on it. It applies nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.core.messages import Change
from app.world import events, reducers
from app.world.state import State, pair

_ABSENT: Any = object()
_WHOLE: Any = object()
"""In the place of a key: something is taken out of the table, whose order only a copy remembers."""


class Undo:
    """The state as it was when this was made."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seq, self._game_s, self._usage = state.seq, state.game_s, state.usage
        self._quests = state.quests
        self._notes: list[tuple[dict[str, Any], Any, Any]] = []
        """(table, key, what was there)."""

    def note(self, change: Change) -> None:
        """Remember what `change` is about to alter."""
        for table, key in _touched(self._state, change):
            before = dict(table) if key is _WHOLE else table.get(key, _ABSENT)
            self._notes.append((table, key, before))

    def back(self) -> None:
        """Bring the state to where it was; newest first."""
        for table, key, before in reversed(self._notes):
            if key is _WHOLE:
                table.clear()
                table.update(before)
            elif before is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = before
        self._notes.clear()
        self._state.quests = self._quests
        self._state.seq, self._state.game_s, self._state.usage = self._seq, self._game_s, self._usage


def _of_npcs(state: State) -> tuple[dict[str, Any], ...]:
    """What an NPC takes with it."""
    return state.intents, state.schedules, state.brains, state.boards, state.squads, state.squad_of, state.stories


def _touched(state: State, change: Change) -> Iterator[tuple[dict[str, Any], Any]]:
    """The tables and keys that the reducer of `change` may alter."""
    match change:
        case events.EntityUpserted(entity=entity):
            yield reducers.table(state, entity.__struct_config__.tag), entity.id  # type: ignore[arg-type]  # a Kind
            yield state.handles, entity.id
        case events.EntityRemoved(entity_kind=kind):
            yield reducers.table(state, kind), _WHOLE
            yield from ((table, _WHOLE) for table in _of_npcs(state))
        case events.FactAsserted(fact=fact):
            yield state.facts, pair(fact.subject, fact.predicate)
        case events.MapStored(map=stored):
            yield state.maps, stored.name
        case events.ObstaclesChanged(map=map, put=put, removed=removed):
            yield state.obstacle_changes, map
            yield from ((state.obstacles, pair(map, obstacle.id)) for obstacle in put)
            if removed:
                yield state.obstacles, _WHOLE
        case events.Happened():
            yield from _happened(state, change)
        case events.ProposalOffered(id=id):
            yield state.proposals, id
        case events.ProposalSettled():
            yield state.proposals, _WHOLE
        case events.RelationChanged(npc=npc, other=other):
            yield state.relations, pair(npc, other)
        case events.QuestRecorded(id=id):
            yield state.quests, id
        case events.StoryMoved(npc=npc, player=player, run=run):
            yield state.stories, pair(npc, player) if run else _WHOLE
        case events.IntentSet(npc=npc):
            yield state.intents, npc
        case events.ScheduleSet(npc=npc, schedule=schedule):
            yield state.schedules, npc if schedule else _WHOLE
        case events.BrainAssigned(npc=npc, brain=brain):
            yield state.brains, npc if brain else _WHOLE
        case events.BoardWritten(npc=npc):
            yield state.boards, npc
        case events.SteeringSet(name=name, rule=rule):
            yield state.steering, name if rule else _WHOLE
        case events.SquadSet(squad=squad):
            yield state.squads, squad.id
            yield state.squad_of, _WHOLE
        case events.SquadDisbanded():
            yield state.squads, _WHOLE
            yield state.squad_of, _WHOLE
        case events.SubjectErased() | events.SubjectRestricted():
            for name in State.__struct_fields__:
                if isinstance(table := getattr(state, name), dict) and name != "usage":
                    yield table, _WHOLE


def _happened(state: State, change: events.Happened) -> Iterator[tuple[dict[str, Any], Any]]:
    for id in (change.actor, change.target):
        yield state.npcs, id
        yield state.players, id
    yield state.items, _WHOLE if change.verb == "destroyed" else change.item
    yield state.locations, change.location
