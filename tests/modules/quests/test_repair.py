"""A quest goes on while anything can be made of it, tells why it changed, and ends fairly when nothing can."""

from __future__ import annotations

import msgspec
import pytest

from app.core.errors import Conflict
from app.modules.quests.codec import push_of
from app.modules.quests.messages import Accept, Offer, Quest
from app.modules.quests.settings import Settings
from app.world.entities import Faction, Location, Npc
from app.world.events import EntityUpserted
from app.world.state import World
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.test_lifecycle import HERBS, SWORD, begun, draft, hamlet

TELL = (
    {"id": "look", "action": "explore", "location": "mill"},
    {"id": "tell", "action": "report", "target": "anna", "topic": "seen mill", "after": ["look"]},
)


def town() -> World:
    """The hamlet, with Anna's sister Berta in her house, a wolf pack, and a stranger nearer than the sister."""
    world = hamlet()
    state = world.state
    state.locations["mill"] = Location(id="mill", connects=("square", "wood", "house"))
    state.locations["house"] = Location(id="house", connects=("mill",))
    state.npcs["anna"] = Npc(id="anna", name="Anna", location="square", home="house", archetype="elder")
    state.npcs["berta"] = Npc(id="berta", name="Berta", location="house", home="house")
    state.npcs["carl"] = Npc(id="carl", name="Carl", location="square")
    state.npcs["wolf2"] = Npc(id="wolf2", name="Grey", location="wood", archetype="wolf")
    return world


def kinds(quest: Quest) -> list[str]:
    return [repair.kind for repair in quest.repairs]


async def test_who_is_of_the_house_inherits_before_who_stands_nearer() -> None:
    stage = Stage(town())
    quest = await begun(stage, *TELL)
    await stage.post(happened("died", actor="anna"))
    mended = stage.now(quest.id)
    assert (mended.state, kinds(mended)) == ("repaired", ["heir"])
    assert mended.giver == "berta"
    assert (await stage.play(mended)).state == "completed"


async def test_the_deed_alone_is_enough_where_nobody_is_left_to_hear_of_it() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *TELL)
    await stage.post(happened("moved", location="mill"), happened("explored", location="mill"))
    await stage.post(happened("died", actor="smith"), happened("died", actor="anna"))
    ended = stage.now(quest.id)
    assert (ended.state, kinds(ended)[-1]) == ("completed", "ending")
    (owed,) = ended.payouts
    assert 0 < owed.experience < quest.reward.experience
    assert "anna" in ended.repairs[-1].text.lower()


async def test_nothing_is_paid_for_telling_alone_when_the_deed_is_not_done() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *TELL)
    await stage.post(happened("died", actor="smith"), happened("died", actor="anna"))
    ended = stage.now(quest.id)
    assert (ended.state, ended.payouts) == ("compensated", ())


async def test_what_the_world_ends_is_paid_by_what_was_done() -> None:
    stage = Stage(hamlet())
    rare = {"id": "rob", "action": "steal", "item": "sword", "target": "smith"}
    quest = await begun(stage, HERBS[0], rare)
    await stage.post(happened("moved", location="wood"), happened("took", item="herb1", location="wood"))
    await stage.post(happened("destroyed", actor="smith", item="sword"))
    ended = stage.now(quest.id)
    assert ended.state == "compensated"
    (owed,) = ended.payouts
    assert owed.experience == int(quest.reward.experience * 0.5)


async def test_what_players_spoil_themselves_is_lost_without_pay() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, HERBS[0], SWORD)
    await stage.post(happened("moved", location="wood"), happened("took", item="herb1", location="wood"))
    await stage.post(happened("destroyed", item="sword"))
    ended = stage.now(quest.id)
    assert (ended.state, ended.payouts) == ("failed", ())
    assert ended.reason


async def test_a_foe_that_another_slew_is_replaced_by_one_of_its_kind() -> None:
    stage = Stage(town())
    hunt = {"id": "hunt", "action": "kill", "kind": "wolf"}
    quest = await begun(stage, hunt)
    first = quest.goals[0].deed[1]
    await stage.post(happened("killed", actor="rival", target=first))
    mended = stage.now(quest.id)
    assert mended.state == "repaired"
    assert mended.goals[0].deed[1] != first
    assert (await stage.play(mended)).state == "completed"


async def test_any_of_the_kind_counts_and_none_twice() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, {"id": "pick", "action": "gather", "kind": "herb", "count": 2})
    await stage.post(happened("moved", location="wood"))
    took = happened("took", item="herb3", location="wood")
    await stage.post(took, happened("dropped", item="herb3", location="wood"), took)
    assert stage.now(quest.id).goals[0].got == 1
    assert (await stage.play(quest)).state == "completed"


async def test_too_few_left_of_a_kind_end_a_quest_for_several() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, {"id": "pick", "action": "gather", "kind": "herb", "count": 3})
    await stage.post(happened("took", actor="rival", item="herb2", location="wood"))
    assert stage.now(quest.id).state == "compensated"


async def test_a_sibling_branch_takes_over() -> None:
    stage = Stage(town())
    force = {"id": "force", "text": "by force", "steps": [{"id": "hunt", "action": "kill", "target": "wolf"}]}
    craft = {"id": "craft", "text": "with herbs", "steps": [{"id": "pick", "action": "gather", "item": "herb1"}]}
    look = {"id": "look", "action": "explore", "location": "mill"}
    quest = await begun(stage, look, branches=[force, craft], failures=[{"entity": "wolf"}, {"entity": "herb1"}])
    assert quest.branches
    await stage.post(happened("killed", actor="rival", target="wolf"))
    mended = stage.now(quest.id)
    assert (mended.state, kinds(mended)) == ("repaired", ["branched"])
    assert mended.branch == quest.branches[0].id
    assert (await stage.play(mended)).state == "completed"


async def test_the_goals_of_any_branch_complete_the_quest() -> None:
    stage = Stage(town())
    force = {"id": "force", "steps": [{"id": "hunt", "action": "kill", "target": "wolf"}]}
    craft = {"id": "craft", "steps": [{"id": "pick", "action": "gather", "item": "herb1"}]}
    look = {"id": "look", "action": "explore", "location": "mill"}
    quest = await begun(stage, look, branches=[force, craft], failures=[{"entity": "wolf"}, {"entity": "herb1"}])
    other = quest.branches[0]
    await stage.post(happened("moved", location="mill"), happened("explored", location="mill"))
    for step in other.steps:
        await stage.post(step.event)
    ended = stage.now(quest.id)
    assert (ended.state, ended.branch) == ("completed", other.id)


async def test_a_way_barred_in_between_is_noticed_and_deeds_count_all_the_same() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, *HERBS)
    mill = stage.world.state.locations["mill"]
    await stage.post(EntityUpserted(entity=msgspec.structs.replace(mill, open=False)))
    assert stage.now(quest.id).state == "suspended"
    await stage.post(*(happened("took", item=herb, location="wood") for herb in ("herb1", "herb2")))
    assert stage.now(quest.id).state == "completed"


async def test_patience_ends_and_is_paid_for() -> None:
    stage = Stage(hamlet(), Settings(suspended_s_max=100.0))
    quest = await begun(stage, *HERBS)
    await stage.post(happened("moved", location="wood"), happened("took", item="herb1", location="wood"))
    await stage.post(happened("moved", location="square"))
    mill = stage.world.state.locations["mill"]
    await stage.post(EntityUpserted(entity=msgspec.structs.replace(mill, open=False)), game_s=10.0)
    assert stage.now(quest.id).state == "suspended"
    await stage.post(happened("talked", target="anna"), game_s=109.0)
    assert stage.now(quest.id).state == "suspended"
    await stage.post(happened("talked", target="anna"), game_s=110.0)
    ended = stage.now(quest.id)
    assert ended.state == "compensated"
    assert sum(owed.experience for owed in ended.payouts) == int(quest.reward.experience * 0.5)


async def test_time_runs_out_with_an_event_and_when_somebody_looks() -> None:
    stage = Stage(hamlet())
    one = await begun(stage, SWORD, until_s=50.0)
    two = await stage.quest(Offer(quest=draft(*HERBS, title="Herbs", until_s=60.0)))
    await stage.post(happened("talked", target="anna"), game_s=50.0)
    assert (stage.now(one.id).state, stage.now(two.id).state) == ("expired", "offered")
    stage.world.state.game_s = 60.0  # time that no event has told of yet
    with pytest.raises(Conflict, match="already expired"):
        await stage.ask(Accept(quest=two.id))
    assert stage.now(two.id).state == "expired"


async def test_what_is_accepted_early_waits_for_its_time_and_counts_nothing_before() -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD, from_s=30.0)
    assert quest.state == "suspended"
    await stage.post(happened("gave", item="sword", target="anna"), game_s=29.0)
    assert not stage.now(quest.id).goals[0].done
    await stage.post(happened("talked", target="anna"), game_s=30.0)
    assert stage.now(quest.id).state in ("active", "repaired")
    assert (await stage.play(quest)).state == "completed"


async def test_a_worker_finds_what_the_event_had_no_time_for() -> None:
    stage = Stage(town(), Settings(recheck_proofs_max=0))
    quest = await begun(stage, *TELL)
    await stage.journal.append("studio", "vale", [happened("died", actor="anna")])
    assert stage.now(quest.id).state == "suspended"
    await stage.settled()
    mended = stage.now(quest.id)
    assert (mended.state, kinds(mended)) == ("repaired", ["suspended", "heir"])


async def test_a_module_that_starts_anew_looks_for_the_ways_that_were_being_looked_for() -> None:
    before = Stage(town(), Settings(recheck_proofs_max=0))
    quest = await begun(before, *TELL)
    await before.journal.append("studio", "vale", [happened("died", actor="anna")])
    assert before.module.close is not None
    await before.module.close()
    assert before.now(quest.id).state == "suspended"
    after = Stage(before.world)
    await after.post(happened("talked", target="carl"))
    assert after.now(quest.id).state == "repaired"


async def test_clients_are_told_why_a_quest_changed() -> None:
    stage = Stage(town())
    quest = await begun(stage, *TELL)
    await stage.post(happened("died", actor="anna"))
    push = push_of(stage.world.state.quests[quest.id])
    assert push.state == "repaired"
    assert push.repair is not None
    assert push.repair.lost == "anna"
    assert push.next_step is not None


async def test_a_faction_that_turns_hostile_is_noticed() -> None:
    world = hamlet()
    state = world.state
    for id in ("guard", "folk"):
        state.factions[id] = Faction(id=id)
    state.npcs["smith"] = msgspec.structs.replace(state.npcs["smith"], faction="guard")
    state.players["hero"] = msgspec.structs.replace(state.players["hero"], faction="folk")
    stage = Stage(world)
    quest = await begun(stage, SWORD)
    await stage.post(EntityUpserted(entity=Faction(id="guard", relations={"folk": -1.0})))
    smith = state.npcs["smith"]
    await stage.post(EntityUpserted(entity=smith))
    mended = stage.now(quest.id)
    assert mended.state == "repaired"
    assert "trade" not in [step.action for step in mended.steps]


async def test_what_a_quest_does_not_need_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(town())
    quest = await begun(stage, SWORD)
    looks: list[str] = []
    from app.modules.quests.lifecycle import repair

    monkeypatch.setattr(repair.Mender, "mended", lambda _self, quest, **_more: looks.append(quest.id) or quest)
    sword, smith = stage.world.state.items["sword"], stage.world.state.npcs["smith"]
    await stage.post(
        EntityUpserted(entity=msgspec.structs.replace(sword, value=99.0)),
        EntityUpserted(entity=msgspec.structs.replace(smith, level=9)),
        happened("traded", actor="smith", target="rival", item="herb1"),
        happened("gave", actor="anna", target="smith", item="herb2"),
        happened("died", actor="wolf"),
    )
    assert looks == []
    await stage.post(happened("gave", actor="smith", target="wolf2", item="sword"))
    assert looks == [quest.id]


async def test_the_declared_loss_that_came_true_is_told_and_no_other() -> None:
    stage = Stage(hamlet())
    failures = [{"entity": id, "text": f"No more {id}."} for id in ("anna", "smith", "sword")]
    quest = await begun(stage, SWORD, failures=failures)
    for step in quest.steps[:2]:
        await stage.post(step.event)
    await stage.post(happened("destroyed", item="sword"))
    assert (stage.now(quest.id).state, stage.now(quest.id).reason) == ("failed", "No more sword.")


async def test_harm_done_on_purpose_is_not_paid_for_because_the_look_took_long() -> None:
    stage = Stage(hamlet(), Settings(recheck_proofs_max=0))
    quest = await begun(stage, SWORD)
    for step in quest.steps[:2]:
        await stage.post(step.event)
    await stage.post(happened("destroyed", item="sword"))
    ended = stage.now(quest.id)
    assert (ended.state, ended.payouts, ended.blamed) == ("failed", (), False)
    assert kinds(ended) == ["suspended"]


@pytest.mark.parametrize("proofs", [3, 0])
@pytest.mark.parametrize(("doer", "state"), [("hero", "failed"), ("rival", "compensated")])
async def test_who_breaks_a_quest_that_waits_has_failed_it(proofs: int, doer: str, state: str) -> None:
    stage = Stage(hamlet(), Settings(recheck_proofs_max=proofs))
    quest = await begun(stage, {"id": "look", "action": "explore", "location": "wood"}, SWORD)
    wood = stage.world.state.locations["wood"]
    await stage.post(EntityUpserted(entity=msgspec.structs.replace(wood, open=False)))
    assert (stage.now(quest.id).state, stage.now(quest.id).blamed) == ("suspended", False)
    await stage.post(happened("destroyed", actor=doer, item="sword"))
    assert (stage.now(quest.id).state, stage.now(quest.id).payouts) == (state, ())


async def test_what_a_member_does_to_a_quest_that_waits_is_no_fault_where_it_can_be_mended() -> None:
    stage = Stage(hamlet(), Settings(recheck_proofs_max=0))
    quest = await begun(stage, {"id": "look", "action": "explore", "location": "wood"}, SWORD)
    wood = stage.world.state.locations["wood"]
    await stage.post(EntityUpserted(entity=msgspec.structs.replace(wood, open=False)))
    await stage.post(happened("killed", target="smith"))
    waiting = stage.now(quest.id)
    assert (waiting.state, waiting.blamed) == ("suspended", False)
    await stage.post(happened("destroyed", actor="rival", item="sword"))
    assert stage.now(quest.id).state == "compensated"


@pytest.mark.parametrize(("doer", "state"), [("hero", "failed"), ("rival", "compensated")])
async def test_who_breaks_a_quest_before_its_time_has_failed_it_when_the_time_comes(doer: str, state: str) -> None:
    stage = Stage(hamlet())
    quest = await begun(stage, SWORD, from_s=30.0)
    await stage.post(happened("destroyed", actor=doer, item="sword"), game_s=5.0)
    assert stage.now(quest.id).state == "suspended"
    await stage.post(happened("talked", target="anna"), game_s=40.0)
    assert (stage.now(quest.id).state, stage.now(quest.id).payouts) == (state, ())


async def test_what_is_gone_keeps_its_name_in_what_the_giver_says() -> None:
    world = hamlet()
    for id, name in (("herb1", "garden sage"), ("herb2", "rosemary"), ("herb3", "thyme")):
        world.state.items[id] = msgspec.structs.replace(world.state.items[id], name=name)
    stage = Stage(world)
    quest = await begun(stage, {"id": "bring", "action": "give", "kind": "herb", "target": "anna"})
    lost = quest.goals[0].deed[1]
    name = world.state.items[lost].name
    await stage.post(happened("destroyed", actor="rival", item=lost))
    (repair,) = [repair for repair in stage.now(quest.id).repairs if repair.lost == lost]
    assert f"the {name}" in repair.text.lower()
    assert not set(stage.now(quest.id).names) & {"hero", "rival"}
