"""Where a player stands in a story: kept, sealed for them, set aside and gone with them, and gone with the NPC."""

from __future__ import annotations

import msgspec
import pytest

from app.core.errors import NotFound
from app.core.messages import Change, Event
from app.world import personal, reducers
from app.world.entities import Npc, Player
from app.world.events import EntityRemoved, EntityUpserted, StoryMoved, SubjectErased, SubjectRestricted
from app.world.state import World, pair

MOVED = StoryMoved(npc="mara", player="p1", story="inn", run=b"what p1 said and chose")


def happen(world: World, *changes: Change) -> None:
    for change in changes:
        reducers.check(world, change)
        seq = world.state.seq + 1
        reducers.apply(world.state, Event(seq=seq, id=str(seq), wall_ms=seq, game_s=float(seq), change=change))


def told() -> World:
    world = World("t", "w")
    people = (Npc(id="mara"), Npc(id="tom"), Player(id="p1"), Player(id="p2"))
    happen(world, *(EntityUpserted(entity=person) for person in people))
    happen(world, MOVED, msgspec.structs.replace(MOVED, player="p2", run=b"p2's"))
    return world


def test_the_latest_move_is_where_they_stand_and_an_empty_one_is_nowhere() -> None:
    world = told()
    happen(world, msgspec.structs.replace(MOVED, run=b"further"))
    assert world.state.stories[pair("mara", "p1")].run == b"further"
    happen(world, msgspec.structs.replace(MOVED, run=b""))
    assert list(world.state.stories) == [pair("mara", "p2")]


def test_a_move_of_nobody_is_refused() -> None:
    for change in (msgspec.structs.replace(MOVED, npc="ghost"), msgspec.structs.replace(MOVED, player="ghost")):
        with pytest.raises(NotFound):
            happen(told(), change)


def test_it_is_sealed_for_its_player_and_comes_back_whole() -> None:
    world = told()
    assert personal.persons_of(world, MOVED) == ("p1",)
    bare, leaves = personal.taken_out(MOVED)
    assert b"chose" not in msgspec.msgpack.encode(bare)
    assert personal.put_back(bare, leaves) == MOVED
    assert personal.swapped(MOVED, "mara", "x") == MOVED, "an NPC of that name is no player"
    assert personal.swapped(MOVED, "p1", "x") == msgspec.structs.replace(MOVED, player="x")


@pytest.mark.parametrize("left", ["totals", "numbers"])
def test_it_goes_with_its_player(left: str) -> None:
    world = told()
    happen(world, SubjectErased(subject="p1", alias="x", left=left))  # type: ignore[arg-type]  # one of two words
    assert list(world.state.stories) == [pair("mara", "p2")]
    assert b"p1" not in msgspec.msgpack.encode(world.state)


def test_it_is_set_aside_while_nothing_of_a_person_may_be_used() -> None:
    world = told()
    happen(world, SubjectRestricted(subject="p1", restricted=True))
    assert list(world.state.stories) == [pair("mara", "p2")]
    happen(world, SubjectRestricted(subject="p1", restricted=False))
    assert world.state.stories[pair("mara", "p1")] == MOVED


def test_it_goes_with_its_npc() -> None:
    world = told()
    happen(world, EntityRemoved(entity_kind="npc", id="mara"))
    assert world.state.stories == {}
