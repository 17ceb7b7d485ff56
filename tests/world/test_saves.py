"""Saves: a world set aside and brought back, whatever happened in between."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Error, NotFound
from app.core.messages import Change
from app.world.entities import Circle, Fact, Npc, Obstacle, Player, StoredMap
from app.world.events import (
    EntityRemoved,
    EntityUpserted,
    FactAsserted,
    Happened,
    MapStored,
    ObstaclesChanged,
    SaveDiscarded,
    SubjectErased,
    SubjectRestricted,
    WordsUsed,
    WorldRestored,
    WorldSaved,
)
from app.world.saves import NOT_TURNED_BACK
from app.world.state import State, World, belongs
from app.world.undo import Undo
from tests.world.test_reducers import happen, village
from tests.world.test_undo import EVERY

SLOTS = ("a", "b")
encoder = msgspec.msgpack.Encoder()


def try_all(world: World, changes: list[Change]) -> None:
    for change in changes:
        with suppress(Error):
            happen(world, change)


def story(state: State) -> bytes:
    """What a save brings back, as bytes; the order of tables counts."""
    return encoder.encode(
        {name: getattr(state, name) for name in State.__struct_fields__ if name not in NOT_TURNED_BACK}
    )


@given(st.lists(EVERY, max_size=20), st.lists(EVERY, max_size=20))
def test_a_restored_world_is_what_it_was_when_it_was_saved(before: list[Change], after: list[Change]) -> None:
    world = village()
    try_all(world, before)
    happen(world, WorldSaved(slot="mine"))
    saved = story(world.state)
    kept = (Player, SubjectErased, SubjectRestricted)  # what is asked about a person holds for saves as well
    try_all(world, [change for change in after if not isinstance(change, kept)])
    happen(world, WorldRestored(slot="mine"))
    assert story(world.state) == saved


def test_a_save_can_be_restored_more_than_once_and_others_beside_it() -> None:
    world = happen(village(), WorldSaved(slot="morning"))
    happen(world, Happened(verb="took", actor="ann", item="cup"), WorldSaved(slot="noon"))
    happen(world, Happened(verb="destroyed", actor="ann", item="cup"), WorldRestored(slot="morning"))
    assert world.state.items["cup"].holder == "mara"
    happen(world, WorldRestored(slot="noon"))
    assert world.state.items["cup"].holder == "ann"
    happen(world, WorldRestored(slot="morning"))
    assert world.state.items["cup"].holder == "mara"
    happen(world, SaveDiscarded(slot="morning"))
    with pytest.raises(NotFound, match="nonn"):
        happen(world, WorldRestored(slot="nonn"))


def test_which_events_belong_to_the_past_follows_the_branch_that_was_taken() -> None:
    world = happen(village(), WorldSaved(slot="fork"))
    fork = world.state.seq
    happen(world, Happened(verb="took", actor="ann", item="cup"))
    left = world.state.seq
    happen(world, WorldSaved(slot="left"), WorldRestored(slot="fork"))
    assert belongs(world.state, fork)
    assert not belongs(world.state, left)
    happen(world, Happened(verb="took", actor="tom", item="cup"))
    right = world.state.seq
    assert belongs(world.state, right)
    happen(world, WorldRestored(slot="left"))
    assert belongs(world.state, left)
    assert belongs(world.state, fork)
    assert not belongs(world.state, right)
    happen(world, WorldRestored(slot="fork"))
    assert belongs(world.state, fork)
    assert not belongs(world.state, left)
    assert not belongs(world.state, right)


def test_money_and_numbers_of_npcs_do_not_go_back() -> None:
    world = happen(village(), WorldSaved(slot="mine"), EntityUpserted(entity=Npc(id="new")))
    number = world.state.handles["new"]
    used = WordsUsed(
        npc="new", player="ann", engine="e", model="m", tokens_in=1, tokens_out=1, cached_tokens_in=0, cost_nano_usd=7
    )
    happen(world, used, WorldRestored(slot="mine"))
    assert "new" not in world.state.npcs
    assert world.state.handles["new"] == number
    assert world.state.usage


def test_obstacles_come_back_and_whoever_counts_their_changes_sees_it() -> None:
    stored = StoredMap(name="m", version=1, format="f", sha256="0", width=1, height=1, data=b"")
    crate = Obstacle(id="crate", shape=Circle(radius=1.0))
    world = happen(village(), MapStored(map=stored), WorldSaved(slot="mine"))
    happen(world, ObstaclesChanged(map="m", put=(crate,)))
    seen = world.state.obstacle_changes["m"]
    happen(world, WorldRestored(slot="mine"))
    assert not world.state.obstacles
    assert world.state.obstacle_changes["m"] > seen
    assert "m" in world.state.maps


def test_who_was_erased_does_not_come_back_with_a_save() -> None:
    debt = FactAsserted(fact=Fact(subject="ann", predicate="debt", value="eleven coins"))
    world = happen(village(), debt, WorldSaved(slot="mine"), WorldSaved(slot="other"))
    happen(world, SubjectErased(subject="ann", alias="x1"))
    assert b"eleven" not in encoder.encode(world.state)
    assert b"ann" not in encoder.encode(world.state.saves)
    happen(world, WorldRestored(slot="mine"))
    assert "ann" not in world.state.players
    assert not world.state.facts


def test_who_is_restricted_stays_so_after_a_restore() -> None:
    debt = FactAsserted(fact=Fact(subject="ann", predicate="debt", value="eleven coins"))
    world = happen(village(), debt, WorldSaved(slot="mine"), SubjectRestricted(subject="ann", restricted=True))
    happen(world, WorldRestored(slot="mine"))
    assert world.fact("ann", "debt") is None
    assert "ann" in world.state.withheld
    happen(world, SubjectRestricted(subject="ann", restricted=False))
    assert world.fact("ann", "debt") is not None


def test_a_refused_call_leaves_no_trace_of_a_restore() -> None:
    world = happen(village(), WorldSaved(slot="mine"), Happened(verb="took", actor="ann", item="cup"))
    before = encoder.encode(world.state)
    undo = Undo(world.state)
    for change in (WorldRestored(slot="mine"), WorldSaved(slot="mine"), EntityRemoved(entity_kind="npc", id="tom")):
        undo.note(change)
        happen(world, change)
    undo.back()
    assert encoder.encode(world.state) == before
