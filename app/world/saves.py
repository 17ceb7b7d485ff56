"""Saves of a world: a state set aside under a name, and brought back.

Pure, and part of the reducers. A save shares its entities with the state, since what is in the tables is frozen, so it
costs a copy of the tables. What is no part of the story is neither saved nor brought back: maps, handles, money spent.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.world.state import State, copied

NOT_TURNED_BACK = ("seq", "maps", "handles", "usage", "saves", "obstacle_changes", "since_seq", "branches")
"""Fields that a restored save leaves as they are, or that are worked out anew."""


def save(state: State, slot: str) -> None:
    """Set the state aside as it is now, in the place of an earlier save of that name."""
    state.saves.pop(slot, None)
    state.saves[slot] = msgspec.structs.replace(copied(state), maps={}, handles={}, usage={}, saves={})


def restore(state: State, slot: str) -> None:
    """Bring a save back: what has happened since is no part of the past any more; the save stays.

    Events keep their places and their numbers go on, so `belongs` tells which of them the state comes from.
    """
    saved = state.saves[slot]
    for name in State.__struct_fields__:
        if name not in NOT_TURNED_BACK:
            _put(state, name, getattr(saved, name))
    # A count of changes never goes back: who keeps something by it must see that the map is another now.
    for name in state.maps:
        state.obstacle_changes[name] = state.obstacle_changes.get(name, 0) + 1
    state.branches = (*saved.branches, (saved.since_seq, saved.seq))
    state.since_seq = state.seq


def _put(state: State, name: str, value: Any) -> None:
    table = getattr(state, name)
    if name == "quests":  # whoever keeps an index of them makes it anew when the table is another one
        state.quests = dict(value)
    elif isinstance(table, dict):  # others hold the table itself
        table.clear()
        table.update(value)
    else:
        setattr(state, name, value)
