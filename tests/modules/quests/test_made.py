"""What a quest is made of: other ways to its end, stand-ins, what the player did lately, quests of many players."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Conflict, NotFound
from app.core.messages import Event
from app.modules.quests.generation.generator import Wish, generate
from app.modules.quests.generation.history import Past, past_of
from app.modules.quests.messages import Quest, Step
from app.modules.quests.planning.domain import deeds_of
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from app.world import reducers
from app.world.entities import Faction, Item, Location, Npc, Player
from app.world.state import World
from tests.modules.quests.test_generated import LIBRARY, made
from tests.modules.quests.villages import Hero, troubled

HARM = {"no_kill": "kill", "no_steal": "steal", "no_spy": "spy", "no_capture": "capture"}


def many(count: int, **wish: object) -> list[Quest]:
    return [quest for seed in range(count) if (quest := made(seed % 40, seed, **wish)) is not None]


def asked(world: World, seed: int, giver: str = "anna", **wish: object) -> Quest:
    view = View(world.state, Settings())
    return generate(LIBRARY, view, Wish(giver=giver, player="hero", seed=seed, level=0, **wish))  # type: ignore[arg-type]  # fields by name


def walked(world: World, steps: tuple[Step, ...]) -> set[tuple[str, ...]]:
    """The deeds of a player who does these steps and breaks no rule of the world."""
    hero = Hero(world)
    done: set[tuple[str, ...]] = set()
    for step in steps:
        for change in hero.do(step):
            seq = world.state.seq + 1
            reducers.apply(world.state, Event(seq=seq, id=str(seq), wall_ms=0, game_s=0.0, change=change))
        done |= set(deeds_of(step.event, "hero"))
    return done


def hamlet() -> World:
    """Anna on the square; a mill one step off with apples, one jewel, and a friend."""
    world = World("studio", "hamlet")
    state = world.state
    for id, near in (("square", ("mill",)), ("mill", ("square",))):
        state.locations[id] = Location(id=id, connects=near)
    state.npcs["anna"] = Npc(id="anna", location="square")
    state.npcs["bob"] = Npc(id="bob", location="mill")
    for id, kind in (
        ("apple1", "apple"),
        ("apple2", "apple"),
        ("apple3", "apple"),
        ("apple4", "apple"),
        ("jewel", "jewel"),
    ):
        state.items[id] = Item(id=id, item_kind=kind, holder="mill", value=1.0)
    state.players["hero"] = Player(id="hero", location="square")
    return world


@settings(max_examples=150, deadline=None)
@given(world_seed=st.integers(0, 100_000), seed=st.integers(0, 100_000))
def test_every_way_leads_to_its_goals_without_what_it_forbids(world_seed: int, seed: int) -> None:
    quest = made(world_seed, seed)
    if quest is None:
        return
    proofs = {proof.branch: proof for proof in quest.certificate.branches}
    assert list(proofs) == [branch.id for branch in quest.branches]
    for branch in quest.branches:
        actions = {step.action for step in branch.steps}
        assert HARM[branch.id] in branch.forbid
        assert actions.isdisjoint(branch.forbid)
        assert branch.text
        done = walked(troubled(world_seed), branch.steps)
        assert {goal.deed for goal in branch.goals} <= done
        assert {goal.deed for goal in branch.goals} != {goal.deed for goal in quest.goals}


def test_whoever_is_to_kill_or_steal_is_nearly_always_shown_another_way() -> None:
    harmful = [quest for quest in many(300) if {"kill", "steal"} & {step.action for step in quest.steps}]
    assert len(harmful) > 30
    for quest in harmful:
        used = {step.action for step in quest.steps}
        offered = {HARM[branch.id] for branch in quest.branches}
        assert offered <= used
    assert sum(bool(quest.branches) for quest in harmful) >= 0.9 * len(harmful)


def test_some_errands_hold_an_errand_of_their_own() -> None:
    """To come by a thing, somebody else than the giver is pleased first (Doran and Parberry's compound quests)."""
    compound = [
        quest
        for quest in many(300)
        if any(goal.deed[0] == "told" and goal.deed[1] != quest.giver for goal in quest.goals)
        or any(
            goal.deed[0] == "delivered" and goal.deed[2] in (quest.roles.get("seller"), quest.roles.get("guide"))
            for goal in quest.goals
        )
    ]
    assert len(compound) >= 5
    assert {quest.certificate.rung for quest in compound} == {"strategy"}


def test_what_can_be_replaced_is_asked_for_more_often_than_its_share() -> None:
    world = hamlet()
    for number in range(3):
        world.state.items[f"gem{number}"] = Item(id=f"gem{number}", item_kind=f"gem{number}", holder="mill", value=1.0)
    quests = [asked(world, seed, motive="equipment") for seed in range(120)]
    items = [quest.roles["item"] for quest in quests if "item" in quest.roles]
    assert sum(item.startswith("apple") for item in items) > 0.65 * len(items)


def test_who_plays_a_part_in_a_live_quest_plays_none_in_another() -> None:
    for seed in range(60):
        first = made(seed % 10, seed)
        if first is None:
            continue
        taken = frozenset(first.roles.values()) - troubled(seed % 10).state.locations.keys()
        second = made(seed % 10, seed + 1_000, taken=taken)
        if second is not None:
            assert taken.isdisjoint(id for role, id in second.roles.items() if role != "giver")


def test_a_motive_strategy_and_cast_of_late_become_rarer() -> None:
    calm = many(200)
    common = max(LIBRARY.strategies.motives, key=lambda motive: sum(quest.motive == motive for quest in calm))
    worn = Past(giver="someone", motive=common, strategy="none", state="completed")
    assert sum(quest.motive == common for quest in many(200, history=(worn,) * 6)) < 0.6 * sum(
        quest.motive == common for quest in calm
    )
    world = hamlet()
    fresh = [asked(world, seed).roles.get("item") for seed in range(80)]
    had = Past(giver="bob", motive="x", strategy="x", state="failed", bound=("apple1", "apple2", "apple3", "apple4"))
    later = [asked(world, seed, history=(had,) * 8).roles.get("item") for seed in range(80)]
    assert later.count("jewel") > fresh.count("jewel")


def test_a_quest_that_was_given_up_wears_its_strategy_more() -> None:
    def share(state: str) -> int:
        past = Past(giver="g", motive="none", strategy="watch", state=state)  # type: ignore[arg-type]  # one of the states
        return sum(quest.strategy == "watch" for quest in many(200, motive="protection", history=(past,)))

    assert share("abandoned") < share("completed")


def test_what_was_handed_over_once_is_never_asked_for_again() -> None:
    world = hamlet()
    quest = next(quest for seed in range(50) if (quest := asked(world, seed)).goals[-1].deed[0] == "delivered")
    done = tuple(msgspec.structs.replace(goal, done=True) for goal in quest.goals)
    past = past_of(msgspec.structs.replace(quest, state="completed", goals=done))
    handed = quest.goals[-1].deed[1]
    assert past.handed == (handed,)
    for seed in range(60):
        assert handed not in asked(world, seed, history=(past,)).roles.values()


def test_a_quest_of_a_guild_or_the_server_names_no_player() -> None:
    world = hamlet()
    world.state.factions["watch"] = Faction(id="watch")
    for scope, guild in (("guild", "watch"), ("server", "")):
        quest = asked(world, 5, scope=scope, guild=guild, members_max=10)
        assert (quest.player, quest.scope, quest.guild, quest.members) == ("", scope, guild, ())
        assert quest.members_max == 10
        people = {step.event.actor for step in quest.steps} | {step.event.target for step in quest.steps}
        assert "player" in people
        assert "hero" not in people
    with pytest.raises(NotFound, match="no faction"):
        asked(world, 5, scope="guild", guild="watches")


def test_a_party_is_led_by_the_player_and_has_room_for_all_its_members() -> None:
    world = hamlet()
    world.state.players["eve"] = Player(id="eve", location="mill")
    quest = asked(world, 3, scope="party", members=("eve",), last_s=600.0, repeat_s=7_200.0)
    assert (quest.player, quest.members, quest.members_max) == ("hero", ("hero", "eve"), 2)
    assert (quest.until_s, quest.repeat_s) == (600.0, 7_200.0)
    assert {step.event.actor for step in quest.steps} <= {"hero", *world.state.npcs}
    with pytest.raises(NotFound, match="no player"):
        asked(world, 3, scope="party", members=("nobody",))


def test_nothing_is_asked_that_nobody_can_do_even_when_all_harm_is_forbidden() -> None:
    forbid = frozenset({"kill", "steal", "spy", "capture", "escort", "trade", "give", "take"})
    for seed in range(60):
        quest = made(seed % 20, seed, forbid=forbid)
        ways = [quest.steps, *(branch.steps for branch in quest.branches)] if quest is not None else []
        assert all(step.action not in forbid for steps in ways for step in steps)


def test_an_empty_world_still_has_the_last_rung() -> None:
    world = hamlet()
    world.state.items.clear()
    del world.state.npcs["bob"], world.state.locations["mill"]
    quest = asked(world, 1)
    assert quest.certificate.rung == "template"
    with pytest.raises(Conflict):
        asked(world, 1, forbid=frozenset({"explore"}))
