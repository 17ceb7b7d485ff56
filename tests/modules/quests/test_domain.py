"""The vocabulary of version 2: making things, taking foes alive, freeing friends, and what the game restricts."""

from __future__ import annotations

import msgspec
import pytest

from app.world.entities import Item, Npc, Player
from app.world.state import World, pair
from tests.modules.quests.test_verify import judged, shire


def kitchen() -> World:
    """The shire with herbs, a pot, and a soup that nobody has made yet."""
    world = shire()
    for id, place in (("mint", "mill"), ("sage", "square")):
        world.state.items[id] = Item(id=id, item_kind="herb", holder=place, tags=("wild",))
    world.state.items["pot"] = Item(id="pot", holder="mill")
    world.state.items["soup"] = Item(id="soup", attributes={"recipe": "herb, herb", "tool": "pot", "made_at": "square"})
    return world


def test_a_thing_is_made_of_different_things_where_its_recipe_says() -> None:
    found = judged(kitchen(), {"id": "a", "action": "craft", "item": "soup"})
    assert found.verdict == "verified"
    made = found.steps[-1]
    assert (made.action, made.event.verb, made.event.location) == ("craft", "crafted", "square")
    assert {step.event.item for step in found.steps if step.event.verb == "took"} == {"mint", "sage", "pot"}


@pytest.mark.parametrize("lost", ["mint", "pot"])
def test_without_a_part_or_the_tool_it_cannot_be_made(lost: str) -> None:
    world = kitchen()
    del world.state.items[lost]
    assert judged(world, {"id": "a", "action": "craft", "item": "soup"}).verdict == "rejected"


def test_parts_are_used_up_and_the_tool_is_not() -> None:
    world = kitchen()
    steps = (
        {"id": "a", "action": "craft", "item": "soup"},
        {"id": "b", "action": "give", "target": "bob", "after": ["a"]},
    )
    assert judged(world, steps[0], {**steps[1], "item": "pot"}).verdict == "verified"
    assert judged(world, steps[0], {**steps[1], "item": "sage"}).verdict != "verified"


def test_a_recipe_with_more_parts_is_not_made_of_fewer() -> None:
    world = kitchen()
    world.state.items["stew"] = Item(id="stew", attributes={"recipe": "mint, sage, pot"})
    world.state.items["tea"] = Item(id="tea", attributes={"recipe": "mint, pot"})
    del world.state.items["sage"]
    assert judged(world, {"id": "a", "action": "craft", "item": "stew"}).verdict == "rejected"
    assert judged(world, {"id": "a", "action": "craft", "item": "tea"}).verdict == "verified"


def test_a_foe_is_taken_alive_and_then_no_foe() -> None:
    world = shire()
    world.state.npcs["rob"] = Npc(id="rob", location="mill", archetype="bandit")
    capture = {"id": "a", "action": "capture", "target": "rob"}
    lost = [{"entity": "rob", "text": "Dead men do not talk."}]
    assert judged(world, capture, failures=lost).verdict == "verified"
    spied = {"id": "b", "action": "spy", "target": "rob", "topic": "news rob", "after": ["a"]}
    assert judged(world, capture, spied, failures=lost).verdict == "rejected"


def test_a_captive_friend_is_freed_before_it_goes_anywhere() -> None:
    world = shire()
    world.state.npcs["bob"] = Npc(id="bob", location="mill", tags=("captive",))
    found = judged(world, {"id": "a", "action": "escort", "target": "bob", "location": "square"})
    assert [step.action for step in found.steps] == ["goto", "rescue", "escort"]
    assert judged(world, {"id": "a", "action": "rescue", "target": "anna"}).verdict == "rejected"


def test_a_place_admits_only_players_of_its_level() -> None:
    world = shire()
    place = world.state.locations["mill"]
    world.state.locations["mill"] = msgspec.structs.replace(place, attributes={"level_min": 5.0})
    step = {"id": "a", "action": "goto", "location": "mill"}
    assert judged(world, step, level=4).verdict == "rejected"
    assert judged(world, step, level=5).verdict == "verified"


def test_who_deals_only_with_friends_wants_the_relation_first() -> None:
    world = shire()
    world.state.npcs["bob"] = Npc(id="bob", location="mill", attributes={"deals_from": 0.4})
    world.state.players["ada"] = Player(id="ada", location="square")
    step = {"id": "a", "action": "learn", "target": "bob", "topic": "news bob"}
    assert judged(world, step, player="ada").verdict == "rejected"
    world.state.relations[pair("bob", "ada")] = 0.5
    assert judged(world, step, player="ada").verdict == "verified"


def test_what_an_npc_offers_is_for_sale() -> None:
    world = shire()
    world.state.npcs["anna"] = Npc(id="anna", location="square", attributes={"offers": "jam"})
    world.state.items["jar"] = Item(id="jar", item_kind="jam", holder="anna")
    step = {"id": "a", "action": "trade", "item": "jar", "target": "anna"}
    assert judged(world, step).verdict == "verified_with_assumptions"
