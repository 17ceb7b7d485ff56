"""The governor hears repetition by one NPC and phrases that go round, and never across tenants."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.world import loops
from app.world.loops import Governor, overlap

LINE = "The rain gets into everything around here, even the bread and the cheese."
NEAR = "The rain gets into everything around here, even the bread and the butter."
OTHER = "I once walked to the coast and back in a single pair of boots."


def test_a_line_said_before_is_known_again_whatever_its_signs() -> None:
    governor = Governor()
    assert governor.judge("t", "w", "anna", LINE) == ""
    governor.said("t", "w", "anna", LINE)
    assert governor.judge("t", "w", "anna", LINE.upper().replace(",", "")) == "said before"
    assert governor.judge("t", "w", "anna", NEAR) == "said before in other words"
    assert governor.judge("t", "w", "anna", OTHER) == ""


def test_another_npc_another_world_and_another_tenant_may_say_it() -> None:
    governor = Governor()
    governor.said("t", "w", "anna", LINE)
    for tenant, world, npc in (("t", "w", "tom"), ("t", "v", "anna"), ("u", "w", "anna")):
        assert governor.judge(tenant, world, npc, LINE) == ""


def test_a_phrase_that_goes_round_is_heard_in_its_own_world_only() -> None:
    governor = Governor()
    for npc in ("anna", "tom", "mira"):
        governor.said("t", "w", npc, f"{npc} says that times are hard for all of us")
    fresh = "Well, times are hard for all of us, friend"
    assert governor.judge("t", "w", "borin", fresh) == "going round among NPCs"
    assert governor.judge("t", "v", "borin", fresh) == ""
    assert governor.judge("u", "w", "borin", fresh) == ""


def test_what_is_old_leaves_and_may_be_said_again() -> None:
    governor = Governor()
    governor.said("t", "w", "anna", LINE)
    for at in range(loops.LINES_OF_ONE_MAX):
        governor.said("t", "w", "anna", f"word{at} other{at} thing{at} more{at} last{at}")
    assert governor.judge("t", "w", "anna", LINE) == ""


def test_a_world_is_forgotten_as_a_whole_and_no_other() -> None:
    governor = Governor()
    for world in ("w", "v"):
        for npc in ("anna", "tom", "mira"):
            governor.said("t", world, npc, LINE)
    governor.forget("t", "w")
    assert governor.judge("t", "w", "anna", LINE) == ""
    assert governor.judge("t", "w", "borin", LINE) == ""
    assert governor.judge("t", "v", "borin", LINE) == "going round among NPCs"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text("xyz ,.", max_size=30)), max_size=60))
def test_it_keeps_as_much_as_it_says_and_counts_what_it_keeps(said: list[tuple[str, str]]) -> None:
    governor = Governor()
    for npc, text in said:
        governor.said("t", "w", npc, text)
    assert all(len(kept) <= loops.LINES_OF_ONE_MAX for kept in governor._said.values())
    for shared in governor._shared.values():
        counted = sum(sum(counts.values()) for counts in shared.speakers.values())
        assert counted == sum(len(phrases) for _, phrases in shared.lines)


def test_state_is_bounded() -> None:
    governor = Governor()
    for at in range(loops.SHARED_LINES_MAX + 50):
        governor.said("t", "w", f"npc{at}", f"one two three four five six {at}")
    (shared,) = governor._shared.values()
    assert len(shared.lines) == loops.SHARED_LINES_MAX


@given(st.text("ab ", max_size=40), st.text("ab ", max_size=40))
def test_overlap_is_a_share_and_whole_for_the_same(one: str, other: str) -> None:
    assert 0.0 <= overlap(one, other) <= 1.0
    assert overlap(one, one) == 1.0
