"""A quest moves by game events alone, in any order, and ends with a reason when the world ends it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Conflict, Invalid, NotFound
from app.modules.quests.codec import push_of
from app.modules.quests.messages import (
    Abandon,
    Accept,
    Draft,
    Generate,
    Get,
    List,
    Listed,
    Offer,
    Quest,
    QuestUpdated,
)
from app.modules.quests.settings import Settings
from app.world.entities import Item, Location, Npc, Player
from app.world.events import EntityRemoved, EntityUpserted, Happened, QuestRecorded, Verb
from app.world.state import World
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.villages import friends, village


def hamlet() -> World:
    """A square, a mill and a wood in a row; a smith sells a sword, herbs grow in the wood, a wolf waits there."""
    world = World("studio", "vale")
    state = world.state
    for id, ways in (("square", ("mill",)), ("mill", ("square", "wood")), ("wood", ("mill",))):
        state.locations[id] = Location(id=id, connects=ways)
    for id, place, kind in (("anna", "square", "elder"), ("smith", "mill", "smith"), ("wolf", "wood", "wolf")):
        state.npcs[id] = Npc(id=id, location=place, archetype=kind)
    for player in ("hero", "rival"):
        state.players[player] = Player(id=player, location="square", level=2)
    state.items["sword"] = Item(id="sword", holder="smith", value=10.0)
    for herb in ("herb1", "herb2", "herb3"):
        state.items[herb] = Item(id=herb, item_kind="herb", holder="wood")
    return world


def draft(*steps: dict[str, object], **more: object) -> Draft:
    fields = {"title": "An Errand", "giver": "anna", "player": "hero", "steps": steps, **more}
    return msgspec.convert(fields, Draft)


SWORD = {"id": "bring", "action": "give", "item": "sword", "target": "anna"}
HERBS = (
    {"id": "first", "action": "gather", "item": "herb1"},
    {"id": "second", "action": "gather", "item": "herb2"},
)


async def begun(stage: Stage, *steps: dict[str, object], **more: object) -> Quest:
    offered = await stage.quest(Offer(quest=draft(*steps, **more)))
    return await stage.quest(Accept(quest=offered.id))


async def test_posting_the_events_of_the_steps_completes_the_quest() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    assert [step.action for step in quest.steps] == ["goto", "trade", "goto", "give"]
    for step in quest.steps:
        assert stage.now(quest.id).state == "active"
        await stage.post(step.event)
    assert stage.now(quest.id).state == "completed"


async def test_steps_may_be_skipped_when_the_goal_is_met() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("gave", item="sword", target="anna"))
    assert stage.now(quest.id).state == "completed"


async def test_progress_out_of_order_counts() -> None:
    stage = Stage(hamlet())
    quest = await begun(
        stage,
        {"id": "look", "action": "explore", "location": "mill"},
        {"id": "tell", "action": "report", "target": "anna", "topic": "seen mill", "after": ["look"]},
    )
    await stage.post(happened("learned", actor="anna", target="hero", topic="seen mill"))
    assert [goal.done for goal in stage.now(quest.id).goals] == [False, True]
    await stage.post(happened("explored", location="mill"))
    assert stage.now(quest.id).state == "completed"


@pytest.mark.parametrize("world_seed", range(6))
async def test_talk_alone_never_moves_a_quest(world_seed: int) -> None:
    stage = Stage(village(world_seed))
    quest = await stage.begun("npc0", world_seed)
    everyone = [*stage.world.state.npcs, "hero"]
    topics = {"", *(term for goal in quest.goals for term in goal.deed)}
    for npc in everyone:
        for topic in sorted(topics):
            await stage.post(happened("talked", target=npc, topic=topic), happened("talked", actor=npc, topic=topic))
    assert stage.now(quest.id) == quest


async def test_what_another_player_does_is_nobody_elses_deed() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    await stage.post(happened("took", actor="rival", item="herb1", location="wood"))
    assert not any(goal.done for goal in stage.now(quest.id).goals)


async def test_an_item_of_the_same_kind_may_stand_in_for_what_is_gathered() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    await stage.post(happened("took", item="herb3", location="wood"), happened("took", item="herb2", location="wood"))
    assert stage.now(quest.id).state == "completed"


async def test_what_stood_in_is_what_the_rest_of_the_quest_asks_for() -> None:
    stage = Stage(hamlet())
    gather = {"id": "get", "action": "gather", "item": "herb1"}
    quest = await begun(stage, gather, {"id": "bring", "action": "give", "item": "herb1", "target": "anna"})
    await stage.post(happened("moved", location="wood"), happened("took", item="herb3", location="wood"))
    recast = stage.now(quest.id)
    assert [goal.deed for goal in recast.goals] == [("gathered", "herb3"), ("delivered", "herb3", "anna")]
    assert [step.event.item for step in recast.steps if not step.done] == ["", "herb3"]
    assert "herb3" in recast.goals[1].text
    assert (await stage.play(recast)).state == "completed"


async def test_an_item_that_was_dropped_and_taken_again_counts_once() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    took = happened("took", item="herb3", location="wood")
    await stage.post(happened("moved", location="wood"), took, happened("dropped", item="herb3", location="wood"), took)
    assert [goal.done for goal in stage.now(quest.id).goals] == [True, False]


async def test_an_item_that_another_took_is_replaced_by_one_of_its_kind() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    await stage.post(happened("took", actor="rival", item="herb1", location="wood"))
    recast = stage.now(quest.id)
    assert [goal.deed for goal in recast.goals] == [("gathered", "herb3"), ("gathered", "herb2")]
    assert (await stage.play(recast)).state == "completed"


async def test_without_any_left_of_its_kind_a_quest_for_two_is_compensated() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    for herb in ("herb1", "herb2"):
        await stage.post(happened("took", actor="rival", item=herb, location="wood"))
    assert stage.now(quest.id).state == "compensated"


async def test_a_dead_seller_sends_the_player_another_way() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("died", actor="smith"))
    rerouted = stage.now(quest.id)
    assert [step.action for step in rerouted.steps] == ["goto", "loot", "goto", "give"]
    assert (await stage.play(rerouted)).state == "completed"


async def test_a_new_way_is_watched_like_the_first() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("gave", actor="smith", target="wolf", item="sword"))
    assert "steal" in [step.action for step in stage.now(quest.id).steps]
    await stage.post(happened("died", actor="wolf"))
    assert "loot" in [step.action for step in stage.now(quest.id).steps]
    assert (await stage.play(quest)).state == "completed"


async def test_what_was_stolen_need_not_be_bought() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("moved", location="mill"), happened("stole", item="sword", target="smith"))
    assert [step.action for step in stage.now(quest.id).steps if not step.done] == ["goto", "give"]


async def test_a_thing_given_away_after_it_was_stolen_is_stolen_only_if_it_is_not_back() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, {"id": "rob", "action": "steal", "item": "sword", "target": "smith"}, SWORD)
    await stage.post(happened("moved", location="mill"), happened("stole", item="sword", target="smith"))
    await stage.post(happened("gave", item="sword", target="smith"))
    assert [step.action for step in stage.now(quest.id).steps if not step.done][-1] == "give"
    await stage.post(happened("traded", actor="smith", target="hero", item="sword"))
    assert [step.action for step in stage.now(quest.id).steps if not step.done] == ["goto", "give"]
    assert (await stage.play(quest)).state == "completed"


async def test_the_same_event_twice_counts_once() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    again = happened("took", item="herb1", location="wood")
    await stage.post(again)
    half = stage.now(quest.id)
    await stage.post(happened("moved", location="mill"), happened("moved", location="mill"))
    assert [goal.done for goal in half.goals] == [goal.done for goal in stage.now(quest.id).goals] == [True, False]


async def test_an_heir_takes_the_place_of_a_dead_receiver() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("died", actor="anna"))
    mended = stage.now(quest.id)
    assert mended.state == "repaired"
    assert [goal.deed for goal in mended.goals] == [("delivered", "sword", "smith")]
    (repair,) = mended.repairs
    assert (repair.kind, repair.lost, repair.instead) == ("heir", "anna", "smith")
    assert "smith" in repair.text.lower()


async def test_without_an_heir_a_dead_receiver_ends_the_quest_with_words_the_giver_can_say() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("died", actor="smith"), happened("died", actor="anna"))
    ended = stage.now(quest.id)
    assert ended.state == "compensated"
    assert "anna" in ended.reason.lower()
    assert any(word in ended.reason for word in ("dead", "death", "lost"))


@pytest.mark.parametrize("gone", ["destroyed", "removed"])
async def test_a_lost_item_ends_the_quest_through_no_fault_of_the_player(gone: str) -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    removed = EntityRemoved(entity_kind="item", id="sword")
    await stage.post(happened("destroyed", actor="smith", item="sword") if gone == "destroyed" else removed)
    failed = stage.now(quest.id)
    assert failed.state == "compensated"
    assert "sword" in failed.reason.lower()


async def test_a_quest_whose_way_is_lost_takes_another() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD, forbid=["kill", "steal"])
    await stage.post(happened("gave", actor="smith", target="wolf", item="sword"))
    assert stage.now(quest.id).state == "compensated"

    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("gave", actor="smith", target="wolf", item="sword"))
    rerouted = stage.now(quest.id)
    assert rerouted.state == "repaired"
    assert [repair.kind for repair in rerouted.repairs] == ["replanned"]
    assert rerouted.replanned == 1
    assert (await stage.play(rerouted)).state == "completed"


async def test_a_death_that_matters_to_nobody_changes_nothing() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(happened("died", actor="wolf"))
    assert stage.now(quest.id) == quest


async def test_a_closed_place_stops_what_lies_behind_it_until_it_opens() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    wood = stage.world.state.locations["wood"]
    await stage.post(EntityUpserted(entity=msgspec.structs.replace(wood, open=False)))
    assert stage.now(quest.id).state == "suspended"
    await stage.post(EntityUpserted(entity=wood))
    resumed = stage.now(quest.id)
    assert (resumed.state, [repair.kind for repair in resumed.repairs]) == ("active", ["suspended", "resumed"])
    assert (await stage.play(resumed)).state == "completed"


async def test_people_walking_about_write_no_quest_events() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.post(
        happened("moved", actor="smith", location="wood"), happened("moved", actor="anna", location="mill")
    )
    assert stage.now(quest.id) == quest


async def test_an_offer_that_cannot_be_kept_lapses_on_acceptance() -> None:
    stage = Stage(hamlet())
    offered = await stage.quest(Offer(quest=draft(SWORD)))
    await stage.post(happened("destroyed", actor="smith", item="sword"))
    with pytest.raises(Conflict, match="cannot be completed any more"):
        await stage.ask(Accept(quest=offered.id))
    assert stage.now(offered.id).state == "expired"


async def test_an_offered_quest_does_not_move_before_it_is_accepted() -> None:
    stage = Stage(hamlet())
    offered = await stage.quest(Offer(quest=draft(SWORD)))
    await stage.post(happened("moved", location="mill"))
    assert stage.now(offered.id) == offered


async def test_accepting_and_abandoning_twice_changes_nothing_and_the_ended_stay_ended() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    assert await stage.quest(Accept(quest=quest.id)) == quest
    ended = await stage.quest(Abandon(quest=quest.id))
    assert ended.state == "abandoned"
    assert await stage.quest(Abandon(quest=quest.id)) == ended
    with pytest.raises(Conflict, match="is already abandoned"):
        await stage.ask(Accept(quest=quest.id))
    await stage.post(happened("gave", item="sword", target="anna"))
    assert stage.now(quest.id) == ended


async def test_generating_twice_with_one_seed_in_one_world_offers_one_quest() -> None:
    stage = Stage(hamlet())
    request = Generate(giver="anna", player="hero", seed=5)
    seq = stage.world.state.seq
    first = await stage.quest(request)
    assert first.certificate.world_seq == seq
    stage.world.state.seq = seq
    assert await stage.quest(request) == first
    assert len(stage.world.state.quests) == 1


async def test_a_player_can_hold_only_so_many_quests() -> None:
    stage = Stage(hamlet(), Settings(open_per_player_max=2))
    for seed in range(2):
        await stage.ask(Generate(giver="anna", player="hero", seed=seed))
    with pytest.raises(Conflict, match="2 open quests"):
        await stage.ask(Generate(giver="anna", player="hero", seed=3))


async def test_two_who_accept_at_once_both_get_the_active_quest() -> None:
    stage = Stage(hamlet())
    offered = await stage.quest(Offer(quest=draft(SWORD)))
    both = await asyncio.gather(*(stage.quest(Accept(quest=offered.id)) for _ in range(2)))
    assert [quest.state for quest in both] == ["active", "active"]
    assert both[0] == both[1]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
async def test_whatever_happens_a_quest_ends_only_with_its_goals_or_with_a_reason(seed: int) -> None:
    chance = random.Random(seed)
    stage = Stage(village(seed))
    state = stage.world.state
    for number in range(4):
        with contextlib.suppress(Conflict):
            await stage.begun(chance.choice(friends(stage.world)), number)
    actors = [*state.npcs, "hero"]
    for _ in range(60):
        event = Happened(
            verb=chance.choice(get_args(Verb)),
            actor=chance.choice(actors),
            target=chance.choice([*actors, ""]),
            item=chance.choice([*state.items, ""]),
            location=chance.choice([*state.locations, ""]),
            topic=chance.choice(["", "seen place1", "news npc1", "slain npc2"]),
        )
        await stage.post(event)
    for id in state.quests:
        quest = stage.now(id)
        assert (quest.state == "completed") == all(goal.done for goal in quest.goals)
        assert (quest.state in ("failed", "compensated", "suspended")) == bool(quest.reason)


async def test_lists_page_and_filter() -> None:
    stage = Stage(village(4))
    made = [await stage.quest(Generate(giver="npc0", player="hero", seed=seed)) for seed in range(5)]
    await stage.ask(Accept(quest=made[2].id))

    async def listed(**filters: object) -> Listed:
        reply = await stage.ask(msgspec.convert(filters, List))
        assert isinstance(reply, Listed)
        return reply

    first = await listed(limit=3, player="hero")
    rest = await listed(limit=3, player="hero", after=first.next)
    assert [quest.id for quest in (*first.quests, *rest.quests)] == [quest.id for quest in made]
    assert rest.next == ""
    assert [quest.id for quest in (await listed(state="active")).quests] == [made[2].id]
    assert (await listed(giver="nobody")).quests == ()
    assert (await listed(player="nobody")).quests == ()


async def test_unknown_quests_and_drafts_without_a_player_are_refused() -> None:
    stage = Stage(hamlet())
    with pytest.raises(NotFound, match="no quest"):
        await stage.ask(Get(quest="quest-0"))
    with pytest.raises(Invalid, match="names no player"):
        await stage.ask(Offer(quest=draft(SWORD, player="")))
    with pytest.raises(Conflict, match="rejected at V1"):
        await stage.ask(Offer(quest=draft({**SWORD, "item": "swrod"})))


async def test_clients_are_told_of_progress_and_of_the_reward_at_the_end() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    await stage.play(quest)
    assert stage.module.announce is not None
    told = [push for event in stage.journal.events for push in stage.module.announce(event)]
    assert all(isinstance(push, QuestUpdated) for push in told)
    states = [push.state for push in told if isinstance(push, QuestUpdated)]
    assert states[:2] == ["offered", "active"]
    assert states[-1] == "completed"
    last = push_of(stage.world.state.quests[quest.id])
    assert (last.goals_done, last.goals, last.reward) == (1, 1, quest.reward)


async def test_a_module_that_starts_over_recorded_quests_goes_on_with_them() -> None:
    before = Stage(hamlet())
    quest = await begun(before, SWORD)
    after = Stage(before.world)
    await after.post(happened("gave", item="sword", target="anna"))
    assert after.now(quest.id).state == "completed"


async def test_replaying_the_log_rebuilds_every_quest() -> None:
    stage = Stage(village(7))
    for seed in range(3):
        await stage.play(await stage.begun(friends(stage.world)[0], seed))
    recorded = [event.change for event in stage.journal.events if isinstance(event.change, QuestRecorded)]
    assert {change.id: change for change in recorded} == stage.world.state.quests


async def test_the_console_sees_an_npcs_live_quests() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD)
    assert stage.module.describe is not None
    assert stage.module.describe("studio", "vale", "anna")["quests"][0]["id"] == quest.id
    await stage.quest(Abandon(quest=quest.id))
    assert stage.module.describe("studio", "vale", "anna") == {"quests": []}


async def test_a_quest_asked_for_again_with_its_key_is_made_once() -> None:
    stage = Stage(hamlet())
    request = Generate(giver="anna", player="hero", key="k")
    made = await stage.quest(request)
    await stage.post(EntityUpserted(entity=Player(id="stranger")))  # without a seed the world's newest event is one
    assert await stage.quest(request) == made
    assert list(stage.world.state.quests) == [made.id]
    with pytest.raises(Conflict, match="another request"):
        await stage.ask(Generate(giver="anna", player="stranger", key="k"))


async def test_a_retry_gets_its_quest_where_there_is_no_room_for_another() -> None:
    stage = Stage(hamlet(), Settings(open_per_player_max=1))
    request = Generate(giver="anna", player="hero", key="k")
    made = await stage.quest(request)
    assert await stage.quest(request) == made
    with pytest.raises(Conflict, match="open quests"):
        await stage.ask(Generate(giver="anna", player="hero", key="another"))
