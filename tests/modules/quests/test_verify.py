"""The verdict on hand-written quests: what is wrong, where, and what would mend it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library
from app.modules.quests.messages import Draft, Verdict, Verify
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.writer import load_grammar
from app.modules.quests.settings import Settings
from app.modules.quests.verification.verify import examine
from app.world.entities import Item, Location, Npc
from app.world.state import World
from tests.modules.quests.stage import Stage
from tests.modules.quests.villages import village

LIBRARY = Library(load_vocabulary(), load_strategies(), load_grammar())


def shire() -> World:
    """A square, a mill, a gate before a closed crypt, and an isle that nothing leads to."""
    world = World("studio", "vale")
    places = {
        "square": ("mill", "gate"),
        "mill": ("square",),
        "gate": ("square", "crypt"),
        "crypt": ("gate",),
        "isle": (),
    }
    for id, ways in places.items():
        world.state.locations[id] = Location(id=id, connects=ways, open=id != "crypt")
    people = {
        "anna": ("square", "elder"),
        "bob": ("mill", "smith"),
        "wolf": ("crypt", "wolf"),
        "carl": ("isle", "villager"),
    }
    for id, (place, kind) in people.items():
        world.state.npcs[id] = Npc(id=id, location=place, archetype=kind)
    world.state.items["key"] = Item(id="key", holder="isle", attributes={"opens": "crypt"})
    world.state.items["sword"] = Item(id="sword", holder="bob", value=10.0)
    world.state.items["book"] = Item(id="book", holder="mill")
    world.state.items["gem"] = Item(id="gem", holder="wolf", value=90.0)
    return world


def judged(world: World, *steps: dict[str, object], **more: object) -> Verdict:
    draft = msgspec.convert({"title": "A Test", "giver": "anna", "steps": steps, **more}, Draft)
    return examine(LIBRARY, View(world.state, Settings()), draft).verdict


def test_a_quest_that_can_be_done_is_verified_with_its_plan() -> None:
    found = judged(shire(), {"id": "a", "action": "give", "item": "book", "target": "anna"})
    assert found.verdict == "verified"
    assert [step.action for step in found.steps] == ["goto", "take", "goto", "give"]
    assert found.certificate is not None
    assert found.certificate.checks == ("V0", "V1", "V2", "V3", "V4", "V5", "V6", "V7")


def test_what_the_world_does_not_say_is_listed_as_an_assumption() -> None:
    found = judged(shire(), {"id": "a", "action": "trade", "item": "sword", "target": "bob"})
    assert found.verdict == "verified_with_assumptions"
    assert found.certificate is not None
    assert found.certificate.assumptions == ("the player can pay for sword",)


@pytest.mark.parametrize(
    ("step", "near"),
    [
        ({"action": "giv", "item": "sword", "target": "anna"}, {"giv": "did you mean 'give'?"}),
        ({"action": "goto", "item": "sword", "location": "mill"}, {}),
        ({"action": "give", "item": "sword"}, {}),
        ({"action": "kill", "target": "wolf"}, {}),
    ],
)
def test_v0_rejects_what_is_not_in_the_vocabulary(step: dict[str, object], near: dict[str, str]) -> None:
    found = judged(shire(), {"id": "a", **step}, forbid=["kill"])
    assert (found.verdict, found.check, found.nearest) == ("rejected", "V0", near)


def test_v1_names_the_nearest_known_id() -> None:
    found = judged(shire(), {"id": "a", "action": "give", "item": "swrod", "target": "ana"})
    assert (found.verdict, found.check) == ("rejected", "V1")
    assert found.nearest == {"swrod": "did you mean 'sword'?", "ana": "did you mean 'anna'?"}


@pytest.mark.parametrize(
    "afters",
    [({"a": ["b"], "b": ["a"]}), ({"a": ["a"], "b": []}), ({"a": ["c"], "b": []})],
    ids=["circle", "self", "none"],
)
def test_v1_rejects_steps_that_wait_for_each_other_or_for_nothing(afters: dict[str, list[str]]) -> None:
    steps = [{"id": id, "action": "goto", "location": "mill", "after": after} for id, after in afters.items()]
    assert judged(shire(), *steps).check == "V1"


@pytest.mark.parametrize(
    ("step", "missing"),
    [
        ({"action": "kill", "target": "wolf"}, ("open(crypt)",)),
        ({"action": "explore", "location": "isle"}, ("path(square, isle)",)),
        ({"action": "learn", "target": "bob", "topic": "the truth"}, ("tells(bob, the truth)",)),
        ({"action": "train", "target": "bob", "topic": "archery"}, ("teaches(bob, archery)",)),
        ({"action": "report", "target": "anna", "topic": "the truth"}, ("tells(anna, the truth)",)),
        ({"action": "give", "item": "gem", "target": "anna"}, ("lies(gem, square)",)),
    ],
)
def test_v2_proves_that_a_step_cannot_be_done_and_says_what_is_missing(
    step: dict[str, object], missing: tuple[str, ...]
) -> None:
    found = judged(shire(), {"id": "a", **step})
    assert (found.verdict, found.check, found.unreachable, found.missing) == ("rejected", "V2", ("a",), missing)


def test_v2_names_the_first_steps_that_fail_and_not_those_that_wait_for_them() -> None:
    found = judged(
        shire(),
        {"id": "sail", "action": "goto", "location": "isle"},
        {"id": "walk", "action": "goto", "location": "mill"},
        {"id": "tell", "action": "report", "target": "anna", "topic": "seen mill", "after": ["sail", "walk"]},
    )
    assert found.unreachable == ("sail",)


def test_v2_rejects_steps_that_exclude_each_other() -> None:
    found = judged(
        shire(),
        {"id": "a", "action": "gather", "item": "book"},
        {"id": "b", "action": "take", "item": "book"},
    )
    assert found.verdict == "rejected"
    both = judged(
        shire(),
        {"id": "a", "action": "kill", "target": "bob"},
        {"id": "b", "action": "escort", "target": "bob", "location": "square", "after": ["a"]},
    )
    assert (both.verdict, both.check) == ("rejected", "V2")
    assert "no way does all of them" in both.reason


def test_order_is_part_of_the_proof() -> None:
    found = judged(
        shire(),
        {"id": "out", "action": "goto", "location": "mill"},
        {"id": "home", "action": "goto", "location": "square", "after": ["out"]},
        {"id": "again", "action": "goto", "location": "mill", "after": ["home"]},
    )
    assert [step.event.location for step in found.steps] == ["mill", "square", "mill"]


def test_a_thing_given_away_may_be_stolen_back_where_an_author_wants_it() -> None:
    steps = (
        {"id": "give", "action": "give", "item": "book", "target": "anna"},
        {"id": "back", "action": "steal", "item": "book", "target": "anna", "after": ["give"]},
    )
    assert judged(shire(), *steps).verdict == "verified"
    assert judged(shire(), steps[0], {**steps[1], "action": "take", "target": ""}).verdict == "rejected"


def test_a_search_that_gives_up_is_unknown_not_unsolvable() -> None:
    draft = {"id": "a", "action": "give", "item": "book", "target": "anna"}
    world = shire()
    tight = View(world.state, Settings(states_max=1))
    found = examine(LIBRARY, tight, msgspec.convert({"title": "T", "giver": "anna", "steps": [draft]}, Draft))
    assert (found.verdict.verdict, found.verdict.check) == ("unknown", "V2")
    narrow = View(world.state, Settings(focus_entities_max=1))
    found = examine(LIBRARY, narrow, msgspec.convert({"title": "T", "giver": "anna", "steps": [draft]}, Draft))
    assert found.verdict.verdict == "unknown"


@settings(max_examples=40, deadline=None)
@given(world_seed=st.integers(0, 10_000), item=st.integers(0, 13))
def test_what_lies_where_nobody_can_go_is_rejected(world_seed: int, item: int) -> None:
    world = village(world_seed)
    world.state.locations["moon"] = Location(id="moon")
    id = f"item{item}"
    world.state.items[id] = msgspec.structs.replace(world.state.items[id], holder="moon", attributes={})
    found = judged(world, {"id": "a", "action": "give", "item": id, "target": "npc0"}, giver="npc0")
    assert found.verdict == "rejected"
    assert found.missing


@settings(max_examples=40, deadline=None)
@given(world_seed=st.integers(0, 10_000), item=st.integers(0, 13))
def test_the_missing_facts_are_not_wanted_where_a_plan_exists(world_seed: int, item: int) -> None:
    world = village(world_seed)
    id = f"item{item}"
    world.state.items[id] = msgspec.structs.replace(world.state.items[id], holder="place0", attributes={})
    found = judged(world, {"id": "a", "action": "give", "item": id, "target": "npc0"}, giver="npc0")
    assert (found.verdict, found.missing) == ("verified", ())


async def test_a_rejection_is_an_answer_not_an_error() -> None:
    stage = Stage(shire())
    draft = {"title": "T", "giver": "nobody", "steps": [{"id": "a", "action": "kill", "target": "wolf"}]}
    found = await stage.ask(Verify(quest=msgspec.convert(draft, Draft)))
    assert isinstance(found, Verdict)
    assert (found.verdict, found.check) == ("rejected", "V1")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"scope": "guild"}, "scope 'guild' names no guild"),
        ({"from_s": 9.0, "until_s": 9.0}, "until_s 9 is not after from_s 9"),
        ({"from_s": 9.0, "until_s": 3.0}, "until_s 3 is not after from_s 9"),
    ],
)
def test_whose_it_is_and_when_must_make_sense(more: dict[str, object], reason: str) -> None:
    step = {"id": "a", "action": "give", "item": "book", "target": "anna"}
    found = judged(shire(), step, **more)
    assert (found.verdict, found.check) == ("rejected", "V0")
    assert reason in found.reason
    assert judged(shire(), step, from_s=3.0, until_s=9.0).verdict == "verified"
