"""Squads, schedules and steering in a world's state: who is in them, who leaves, and whose word counts."""

from __future__ import annotations

import pytest

from app.core.errors import Conflict, Invalid, NotFound
from app.world import reducers
from app.world.entities import Squad
from app.world.events import (
    EntityRemoved,
    IntentSet,
    ScheduleSet,
    SquadDisbanded,
    SquadSet,
    SteeringSet,
    SubjectErased,
    decoder,
    encoder,
)
from app.world.personal import known_in
from tests.world.test_reducers import happen, village

DUO = Squad(id="duo", members=("mara", "tom"), leader="mara", roles={"mara": "tank"}, focus="ann", board={"of": "ann"})


def test_a_squad_knows_its_members_and_they_their_squad() -> None:
    world = happen(village(), SquadSet(squad=DUO))
    assert world.state.squad_of == {"mara": "duo", "tom": "duo"}
    happen(world, SquadSet(squad=Squad(id="duo", members=("tom",))))
    assert world.state.squad_of == {"tom": "duo"}
    happen(world, SquadDisbanded(id="duo"))
    assert (world.state.squads, world.state.squad_of) == ({}, {})


def test_nobody_is_in_two_squads_and_what_is_not_there_is_not_led() -> None:
    world = happen(village(), SquadSet(squad=DUO))
    for squad, error in (
        (Squad(id="solo", members=("tom",)), Conflict),
        (Squad(id="duo", members=()), Invalid),
        (Squad(id="duo", members=("tom", "tom")), Invalid),
        (Squad(id="duo", members=("tom",), leader="mara"), Invalid),
        (Squad(id="duo", members=("tom",), focus="nobody"), NotFound),
        (Squad(id="duo", members=("ann",)), NotFound),
        (Squad(id="duo", members=("tom",), board={"x": float("nan")}), Invalid),
    ):
        with pytest.raises(error):
            reducers.check(world, SquadSet(squad=squad))
    with pytest.raises(NotFound):
        reducers.check(world, SquadDisbanded(id="trio"))


def test_the_removed_leave_their_squad_and_their_hours() -> None:
    world = happen(village(), SquadSet(squad=DUO), ScheduleSet(npc="mara", schedule="night watch"))
    happen(world, EntityRemoved(entity_kind="npc", id="mara"))
    left = world.state.squads["duo"]
    assert (left.members, left.leader, left.roles, world.state.schedules) == (("tom",), "", {}, {})
    happen(world, EntityRemoved(entity_kind="npc", id="tom"))
    assert world.state.squads == {}


def test_an_erased_person_is_no_longer_named_by_a_squad() -> None:
    world = happen(village(), SquadSet(squad=DUO))
    assert known_in(world.state, "ann")
    happen(world, SubjectErased(subject="ann", alias="gone-1"))
    squad = world.state.squads["duo"]
    assert (squad.focus, squad.board, squad.members) == ("gone-1", {"of": "gone-1"}, DUO.members)
    assert not known_in(world.state, "ann")


def test_a_planner_gives_way_to_an_author_until_the_author_s_word_has_ended() -> None:
    world = happen(village(), IntentSet(npc="tom", intent="rest", source="planner"))
    happen(world, IntentSet(npc="tom", intent="eat", source="quest", until_s=50.0), game_s=10.0)
    for source in ("planner", "schedule"):
        with pytest.raises(Conflict, match="follows quest"):
            reducers.check(world, IntentSet(npc="tom", intent="rest", source=source))
    happen(world, IntentSet(npc="mara", intent="eat"), game_s=60.0)
    assert world.directive("tom") is None
    happen(world, IntentSet(npc="tom", intent="rest", source="planner"))
    told = world.directive("tom")
    assert told is not None
    assert told.source == "planner"


def test_steering_is_set_replaced_and_cleared_and_old_intents_read_as_the_author_s() -> None:
    world = happen(village(), SteeringSet(name="a", rule=b"1"), SteeringSet(name="a", rule=b"2"))
    assert world.state.steering == {"a": b"2"}
    happen(world, SteeringSet(name="a"))
    with pytest.raises(NotFound):
        reducers.check(world, SteeringSet(name="a"))
    assert decoder.decode(encoder.encode({"kind": "intent.set", "npc": "tom", "intent": "rest"})) == IntentSet(
        npc="tom", intent="rest"
    )
