"""A call that is refused in its middle leaves the world as it was, to the byte and in the same order."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Error
from app.core.messages import Change, Event
from app.world import reducers
from app.world.entities import Circle, Faction, Item, Location, Obstacle, Player, Squad, StoredMap
from app.world.events import (
    AnyChange,
    BoardWritten,
    BrainAssigned,
    EntityRemoved,
    EntityUpserted,
    FactAsserted,
    Happened,
    IntentSet,
    MapStored,
    MemoryForgotten,
    MemoryNoted,
    ObstaclesChanged,
    ProposalOffered,
    ProposalSettled,
    QuestRecorded,
    RelationChanged,
    ScheduleSet,
    SquadDisbanded,
    SquadSet,
    SteeringSet,
    StoryMoved,
    SubjectErased,
    SubjectRestricted,
    WordsUsed,
)
from app.world.state import World
from app.world.undo import Undo
from tests.world.test_reducers import IDS, changes, village

stored = st.builds(
    StoredMap, name=IDS, version=st.just(1), sha256=st.just(""), width=st.just(1), height=st.just(1), data=st.just(b"")
)
MORE: dict[type[Change], st.SearchStrategy[Any]] = {
    EntityUpserted: st.builds(
        EntityUpserted, entity=st.one_of(*(st.builds(kind, id=IDS) for kind in (Player, Item, Location, Faction)))
    ),
    MapStored: st.builds(MapStored, map=stored),
    ObstaclesChanged: st.builds(
        ObstaclesChanged,
        map=IDS,
        put=st.tuples(st.builds(Obstacle, id=IDS, shape=st.just(Circle(radius=1.0)))) | st.just(()),
        removed=st.tuples(IDS) | st.just(()),
    ),
    ProposalOffered: st.builds(ProposalOffered, id=IDS, npc=IDS, player=IDS, action=st.just("trade")),
    ProposalSettled: st.builds(ProposalSettled, id=IDS, accepted=st.booleans()),
    QuestRecorded: st.builds(QuestRecorded, id=IDS, state=st.just("active"), body=st.binary(max_size=3)),
    IntentSet: st.builds(
        IntentSet, npc=IDS, intent=st.just("rest"), source=st.sampled_from(["author", "quest", "planner", "schedule"])
    ),
    ScheduleSet: st.builds(ScheduleSet, npc=IDS, schedule=st.sampled_from(["", "a"])),
    BrainAssigned: st.builds(BrainAssigned, npc=IDS, brain=st.sampled_from(["", "tree:guard"])),
    BoardWritten: st.builds(BoardWritten, npc=IDS, values=st.dictionaries(st.sampled_from(["a", "b"]), st.just(1.0))),
    SteeringSet: st.builds(SteeringSet, name=IDS, rule=st.binary(max_size=2)),
    SquadSet: st.builds(
        SquadSet,
        squad=st.builds(
            Squad,
            id=st.sampled_from(["blue", "red"]),
            members=st.lists(st.sampled_from(["mara", "tom"]), min_size=1, max_size=2, unique=True).map(tuple),
        ),
    ),
    SquadDisbanded: st.builds(SquadDisbanded, id=st.sampled_from(["blue", "red"])),
    WordsUsed: st.builds(
        WordsUsed,
        npc=IDS,
        player=IDS,
        engine=st.just("e"),
        model=st.just("m"),
        tokens_in=st.integers(0, 9),
        tokens_out=st.just(1),
        cached_tokens_in=st.just(0),
        cost_nano_usd=st.just(7),
    ),
}
MORE[SubjectErased] = st.builds(
    SubjectErased, subject=IDS, alias=st.just("x"), left=st.sampled_from(["totals", "numbers"]), quests=st.tuples(IDS)
)
MORE[MemoryNoted] = st.builds(
    MemoryNoted, id=IDS, holders=st.tuples(IDS), source=st.just("witnessed"), text=st.text(max_size=20), speaker=IDS
)
MORE[MemoryForgotten] = st.builds(MemoryForgotten, holder=IDS, ids=st.tuples(IDS))
MORE[StoryMoved] = st.builds(StoryMoved, npc=IDS, player=IDS, story=st.just("s"), run=st.sampled_from([b"", b"r"]))
MORE[SubjectRestricted] = st.builds(SubjectRestricted, subject=IDS, restricted=st.booleans())
ELSEWHERE = {Happened, FactAsserted, RelationChanged, EntityRemoved}
"""What `changes` of the reducers' tests draws."""
EVERY = st.one_of(changes(), *MORE.values())


def happen(world: World, change: Change, undo: Undo | None = None) -> None:
    with suppress(Error):
        reducers.check(world, change)
        if undo is not None:
            undo.note(change)
        seq = world.state.seq + 1
        reducers.apply(world.state, Event(seq=seq, id=str(seq), wall_ms=seq, game_s=float(seq), change=change))


@given(st.lists(EVERY, max_size=30), st.lists(EVERY, max_size=15))
def test_what_was_before_a_call_comes_back(earlier: list[Change], call: list[Change]) -> None:
    world = village()
    for change in earlier:
        happen(world, change)
    before = msgspec.msgpack.encode(world.state)
    tables = {name: id(getattr(world.state, name)) for name in ("npcs", "quests", "items")}
    undo = Undo(world.state)
    for change in call:
        happen(world, change, undo)
    undo.back()
    assert msgspec.msgpack.encode(world.state) == before
    assert {name: id(getattr(world.state, name)) for name in tables} == tables, "whoever holds a table still does"


def test_every_kind_of_change_is_among_those_tried() -> None:
    assert {*MORE, *ELSEWHERE} == set(AnyChange.__args__)
