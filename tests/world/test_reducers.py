"""Reducers: what each event does to a world, and that replay is exact."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Error, Invalid, NotFound
from app.core.messages import Change, Event
from app.world import reducers
from app.world.entities import Fact, Item, Location, Npc, Player
from app.world.events import (
    EntityRemoved,
    EntityUpserted,
    FactAsserted,
    Happened,
    IntentSet,
    ProposalOffered,
    ProposalSettled,
    RelationChanged,
    decoder,
    encoder,
)
from app.world.state import State, World


def happen(world: World, *changes: Change, game_s: float = 0.0) -> World:
    """Check and apply changes as the journal does."""
    for change in changes:
        reducers.check(world, change)
        seq = world.state.seq + 1
        reducers.apply(world.state, Event(seq=seq, id=str(seq), wall_ms=seq, game_s=game_s, change=change))
    return world


def village() -> World:
    entities = [
        Npc(id="mara", location="inn"),
        Npc(id="tom", location="smithy"),
        Player(id="ann", location="inn"),
        Item(id="cup", holder="mara"),
        Location(id="inn", connects=("smithy",)),
        Location(id="smithy", open=False),
    ]
    return happen(World("t", "w"), *(EntityUpserted(entity=entity) for entity in entities))


@pytest.mark.parametrize(
    ("change", "holder"),
    [
        (Happened(verb="took", actor="ann", item="cup"), "ann"),
        (Happened(verb="stole", actor="ann", target="mara", item="cup"), "ann"),
        (Happened(verb="gave", actor="mara", target="tom", item="cup"), "tom"),
        (Happened(verb="traded", actor="mara", target="ann", item="cup"), "ann"),
        (Happened(verb="dropped", actor="mara", item="cup", location="inn"), "inn"),
        (Happened(verb="talked", actor="ann", target="mara", topic="give me the cup"), "mara"),
    ],
    ids=lambda value: value.verb if isinstance(value, Happened) else "",
)
def test_things_change_hands_by_deeds_and_never_by_talk(change: Happened, holder: str) -> None:
    assert happen(village(), change).state.items["cup"].holder == holder


def test_deeds_move_open_kill_and_destroy() -> None:
    world = happen(
        village(),
        Happened(verb="moved", actor="ann", location="smithy"),
        Happened(verb="unlocked", actor="ann", location="smithy"),
        Happened(verb="killed", actor="ann", target="tom"),
        Happened(verb="destroyed", actor="ann", item="cup"),
    )
    assert world.state.players["ann"].location == "smithy"
    assert world.state.locations["smithy"].open
    assert not world.npc("tom").alive
    assert "cup" not in world.state.items


def test_who_is_captured_is_a_captive_until_rescued() -> None:
    world = happen(village(), Happened(verb="captured", actor="ann", target="tom"))
    assert world.npc("tom").tags == ("captive",)
    assert world.npc("tom").alive
    happen(world, Happened(verb="captured", actor="ann", target="tom"))
    assert world.npc("tom").tags == ("captive",)
    happen(
        world, Happened(verb="rescued", actor="mara", target="tom"), Happened(verb="rescued", actor="ann", target="ann")
    )
    assert world.npc("tom").tags == ()


def test_the_newest_fact_wins_and_older_ones_keep_their_interval() -> None:
    world = village()
    for day, weather in enumerate(("rain", "sun", "snow")):
        fact = Fact(subject="inn", predicate="weather", value=weather, from_s=day * 10.0)
        happen(world, FactAsserted(fact=fact), game_s=day * 10.0)
    now = world.fact("inn", "weather")
    assert now is not None
    assert now.value == "snow"
    world.state.game_s = 15.0
    then = world.fact("inn", "weather")
    assert then is not None
    assert then.value == "sun"


def test_a_fact_that_has_ended_does_not_hold() -> None:
    world = village()
    happen(world, FactAsserted(fact=Fact(subject="inn", predicate="full", value=True, until_s=5.0)))
    assert world.fact("inn", "full")
    happen(world, RelationChanged(npc="mara", other="ann", delta=0.1), game_s=6.0)
    assert world.fact("inn", "full") is None


def test_facts_may_be_told_out_of_order() -> None:
    world = village()
    for day in (2, 0, 1):
        happen(world, FactAsserted(fact=Fact(subject="inn", predicate="day", value=float(day), from_s=float(day))))
    world.state.game_s = 9.0
    found = world.fact("inn", "day")
    assert found is not None
    assert found.value == 2.0


def test_versions_of_one_fact_are_bounded() -> None:
    world = village()
    for number in range(100):
        happen(world, FactAsserted(fact=Fact(subject="a", predicate="b", value=float(number), from_s=float(number))))
    assert [len(history) for history in world.state.facts.values()] == [reducers.FACTS_KEPT_MAX]


def test_a_relation_stays_within_its_bounds() -> None:
    world = happen(village(), *(RelationChanged(npc="mara", other="ann", delta=0.4) for _ in range(5)))
    assert world.relation("mara", "ann") == 1.0
    assert world.relation("ann", "mara") == 0.0


def test_a_proposal_is_settled_once() -> None:
    world = happen(village(), ProposalOffered(id="p", npc="mara", player="ann", action="give_item"))
    happen(world, ProposalSettled(id="p", accepted=True))
    with pytest.raises(NotFound):
        happen(world, ProposalSettled(id="p", accepted=True))
    assert world.state.items["cup"].holder == "mara", "only the game's own event moves the cup"


def test_a_handle_is_never_given_twice() -> None:
    world = village()
    happen(world, EntityRemoved(entity_kind="npc", id="tom"), EntityUpserted(entity=Npc(id="new")))
    handles = world.state.handles
    assert len(set(handles.values())) == len(handles)
    happen(world, EntityUpserted(entity=Npc(id="tom")))
    assert handles["tom"] == 1


NAN = math.nan


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (Happened(verb="took", actor="nobody", item="cup"), NotFound),
        (Happened(verb="took", actor="ann", item="nothing"), NotFound),
        (Happened(verb="moved", actor="ann", location="nowhere"), NotFound),
        (Happened(verb="gave", actor="ann", target="mara", item="cup", quantity=NAN), Invalid),
        (EntityRemoved(entity_kind="item", id="mara"), NotFound),
        (EntityUpserted(entity=Npc(id="x", attributes={"hp": NAN})), Invalid),
        (EntityUpserted(entity=Location(id="x", x=math.inf)), Invalid),
        (EntityUpserted(entity=Item(id="x", value=NAN)), Invalid),
        (FactAsserted(fact=Fact(subject="a", predicate="b", value=NAN)), Invalid),
        (FactAsserted(fact=Fact(subject="a", predicate="b", value=1.0, from_s=2.0, until_s=1.0)), Invalid),
        (RelationChanged(npc="mara", other="ann", delta=NAN), Invalid),
        (IntentSet(npc="nobody", intent="guard"), NotFound),
    ],
    ids=str,
)
def test_what_cannot_happen_is_refused_and_changes_nothing(change: Change, error: type[Error]) -> None:
    world = village()
    before = msgspec.msgpack.encode(world.state)
    with pytest.raises(error):
        happen(world, change)
    assert msgspec.msgpack.encode(world.state) == before


IDS = st.sampled_from(["mara", "tom", "ann", "cup", "inn", "smithy", "ghost"])


def changes() -> st.SearchStrategy[Any]:
    happened = st.builds(
        Happened,
        verb=st.sampled_from(["moved", "took", "gave", "dropped", "killed", "died", "destroyed", "unlocked", "stole"]),
        actor=IDS,
        target=IDS | st.just(""),
        item=IDS | st.just(""),
        location=IDS | st.just(""),
        quantity=st.floats(),
    )
    fact = st.builds(Fact, subject=IDS, predicate=st.sampled_from("ab"), value=st.floats(), from_s=st.floats(0, 9))
    return st.one_of(
        happened,
        st.builds(FactAsserted, fact=fact),
        st.builds(RelationChanged, npc=IDS, other=IDS, delta=st.floats()),
        st.builds(EntityRemoved, entity_kind=st.sampled_from(["npc", "item", "player"]), id=IDS),
        st.builds(EntityUpserted, entity=st.builds(Npc, id=IDS, level=st.integers(0, 9))),
    )


@given(st.lists(changes(), max_size=40))
def test_replaying_the_log_gives_the_same_bytes(attempts: list[Change]) -> None:
    world = World("t", "w")
    log: list[Event] = []
    for change in attempts:
        try:
            reducers.check(world, change)
        except Error:
            continue
        seq = world.state.seq + 1
        log.append(Event(seq=seq, id=str(seq), wall_ms=seq, game_s=float(seq), change=change))
        reducers.apply(world.state, log[-1])
    again = State()
    for event in log:
        stored = decoder.decode(encoder.encode(event.change))
        reducers.apply(again, msgspec.structs.replace(event, change=stored))
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(world.state)
