"""How a state forgets a person, and how it sets aside what is known of one.

Pure, and part of the reducers: an erasure in the log has the same effect before and after its earlier events were
brought to the alias, so that replay gives the state that a running server has.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.world import events
from app.world.entities import Player
from app.world.personal import PLAYER_EMPTY, mentions, swapped
from app.world.scene import quest_head
from app.world.state import State, Withheld, pair

SWAPPED = ("npcs", "items", "locations", "factions", "maps", "intents", "quests", "proposals", "withheld", "squads")


def quests_of(state: State, subject: str) -> tuple[str, ...]:
    """The ids of a person's own quests, those that are set aside too."""
    held = state.withheld.get(subject, Withheld()).quests
    return tuple(id for id, record in (*state.quests.items(), *held.items()) if quest_head(record).player == subject)


def erase(state: State, change: events.SubjectErased) -> None:
    """Take the content of a person out, and leave the alias where only an id was."""
    old, new = change.subject, change.alias
    state.withheld.pop(old, None)
    # A new table, not a shorter one: whoever keeps an index of the quests then makes it anew.
    state.quests = {id: record for id, record in state.quests.items() if id not in change.quests}
    for id in [id for id, offered in state.proposals.items() if offered.player == old]:
        del state.proposals[id]
    for key in [key for key, moved in state.stories.items() if moved.player == old]:
        del state.stories[key]
    for key in [key for key in state.facts if key.startswith(pair(old, ""))]:
        del state.facts[key]
    _leave(state, change)
    for name in SWAPPED:
        table: dict[str, Any] = getattr(state, name)
        for id in [id for id, value in table.items() if mentions(value, old)]:
            table[id] = swapped(table[id], old, new)
    for key in [key for key, known in state.facts.items() if mentions(known, old)]:
        state.facts[key] = swapped(state.facts[key], old, new)
    if mentions(state.usage, old):
        state.usage = {period: _keys_swapped(rows, old, new) for period, rows in state.usage.items()}


def _leave(state: State, change: events.SubjectErased) -> None:
    """The player and its relations: gone, or bare numbers under the alias in the same place."""
    old, new = change.subject, change.alias
    if change.left == "totals":
        state.players.pop(old, None)
        relations = {key: felt for key, felt in state.relations.items() if old not in key.split("\x1f")[1:]}
    else:
        players = {
            new if id == old else id: msgspec.structs.replace(player, id=new, **PLAYER_EMPTY) if id == old else player
            for id, player in state.players.items()
        }
        _refill(state.players, players)
        relations = _keys_swapped(state.relations, old, new)
    _refill(state.relations, relations)


def restrict(state: State, change: events.SubjectRestricted) -> None:
    """Set aside what is known of a person, or bring it back; nobody who reads the state looks there."""
    id = change.subject
    if change.restricted and id not in state.withheld:
        _set_aside(state, id)
    elif not change.restricted and id in state.withheld:
        _bring_back(state, id, state.withheld.pop(id))


def _set_aside(state: State, id: str) -> None:
    player = state.players.get(id)
    content = {name: getattr(player, name) for name in PLAYER_EMPTY} if player is not None else {}
    facts = {key: known for key, known in state.facts.items() if key.startswith(pair(id, ""))}
    quests = {quest: record for quest, record in state.quests.items() if quest_head(record).player == id}
    stories = {key: moved for key, moved in state.stories.items() if moved.player == id}
    for key in facts:
        del state.facts[key]
    for key in stories:
        del state.stories[key]
    state.quests = {quest: record for quest, record in state.quests.items() if quest not in quests}
    state.withheld[id] = Withheld(**content, facts=facts, quests=quests, stories=stories)
    if player is not None:
        state.players[id] = msgspec.structs.replace(player, **PLAYER_EMPTY)


def _bring_back(state: State, id: str, held: Withheld) -> None:
    player = state.players.get(id)
    if isinstance(player, Player):
        state.players[id] = msgspec.structs.replace(player, name=held.name, tags=held.tags, attributes=held.attributes)
    for key, known in held.facts.items():
        state.facts[key] = (*known, *state.facts.get(key, ()))
    state.quests = {**state.quests, **held.quests}
    state.stories |= {key: moved for key, moved in held.stories.items() if moved.npc in state.npcs}


def _refill(table: dict[str, Any], rows: dict[str, Any]) -> None:
    """Others hold the table itself, so it is filled anew and not replaced."""
    table.clear()
    table.update(rows)


def _keys_swapped(rows: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The rows with the alias in composite keys, after the first part, which names an NPC."""

    def renamed(key: str) -> str:
        first, *rest = key.split("\x1f")
        return "\x1f".join((first, *(new if part == old else part for part in rest)))

    return {renamed(key): value for key, value in rows.items()}
