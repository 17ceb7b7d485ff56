"""Who stands where is told as a look at every NPC would tell it, whatever happened and was taken back."""

from __future__ import annotations

import random

import pytest

from app.core.messages import Change, Event
from app.modules.memory.places import Places
from app.world import reducers
from app.world.entities import Location, Npc
from app.world.events import EntityRemoved, EntityUpserted, Happened
from app.world.memories import all_standing
from app.world.state import World
from app.world.undo import Undo

HERE = ("inn", "mill", "gate")


@pytest.mark.parametrize("seed", range(20))
def test_the_index_equals_a_look_at_everybody(seed: int) -> None:
    rng, world, places = random.Random(seed), World("t", "w"), Places()
    for place in HERE:
        world.state.locations[place] = Location(id=place)

    def apply(change: Change) -> None:
        event = Event(seq=world.state.seq + 1, id="e", wall_ms=0, game_s=0.0, change=change)
        reducers.apply(world.state, event)
        places.follow(world, event)

    def any_change() -> Change:
        id = f"n{rng.randrange(8)}"
        if id in world.state.npcs and rng.random() < 0.2:
            return EntityRemoved(entity_kind="npc", id=id)
        if id in world.state.npcs and rng.random() < 0.6:
            return Happened(verb="moved", actor=id, location=rng.choice(HERE))
        return EntityUpserted(entity=Npc(id=id, location=rng.choice(HERE)))

    for _ in range(200):
        change = any_change()
        if rng.random() < 0.3:
            undo = Undo(world.state)
            undo.note(change)
            apply(change)
            undo.back()
        else:
            apply(change)
        for place in HERE:
            assert sorted(places.standing(world, place)) == sorted(all_standing(world, place))
