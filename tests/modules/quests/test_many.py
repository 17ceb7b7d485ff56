"""Many quests at once: no quest stays active on a broken way, and none undoes another of the same player."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from app.core.errors import Conflict, StoreDown
from app.modules.quests.codec import record
from app.modules.quests.lifecycle.states import PLAYED
from app.modules.quests.logic import rechecked
from app.modules.quests.messages import Generate, Quest
from app.modules.quests.module import load_library
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from app.world.entities import Player
from app.world.state import World
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.test_lifecycle import begun, hamlet
from tests.modules.quests.villages import village

LIBRARY = load_library()
REPORT = (
    {"id": "look", "action": "explore", "location": "mill"},
    {"id": "tell", "action": "report", "target": "anna", "topic": "seen mill", "after": ["look"]},
)


async def crowded(players: int = 200) -> Stage:
    """As many players as wanted, each to look at the mill and to tell Anna of it."""
    stage = Stage(hamlet())
    first = await begun(stage, *REPORT)
    for number in range(1, players):
        id = f"p{number}"
        stage.world.state.players[id] = Player(id=id, location="square", level=2)
        steps = tuple(
            msgspec.structs.replace(step, event=msgspec.structs.replace(step.event, **_renamed(step.event, id)))
            for step in first.steps
        )
        await stage.post(record(msgspec.structs.replace(first, id=f"{first.id}-{number}", player=id, steps=steps)))
    return stage


def _renamed(event: object, player: str) -> dict[str, str]:
    return {role: player for role in ("actor", "target") if getattr(event, role) == "hero"}


def stale(world: World) -> list[str]:
    """The quests that are active on a way which does not work any more."""
    stage_view = View(world.state, Settings())
    quests = [Stage(world).now(id) for id in world.state.quests]
    return [
        quest.id
        for quest in quests
        if quest.state in PLAYED and rechecked(LIBRARY, stage_view, quest, states_max=4_000) is not quest
    ]


async def test_of_two_hundred_quests_of_one_giver_none_stays_active_when_it_dies() -> None:
    stage = await crowded()
    await stage.post(happened("died", actor="anna"))
    assert len(stage.world.state.quests) == 200
    assert stale(stage.world) == []


async def test_those_that_a_dying_process_had_not_looked_at_are_found_by_the_next() -> None:
    stage = await crowded(100)
    await stage.journal.append("studio", "vale", [happened("died", actor="anna")])
    assert stage.module.close is not None
    await stage.module.close()
    assert stale(stage.world)
    after = Stage(stage.world)
    await after.post(happened("talked", actor="rival", target="smith"))
    assert stale(stage.world) == []


async def test_those_that_could_not_be_recorded_are_looked_at_with_the_next_event() -> None:
    stage = await crowded(100)

    async def down() -> None:
        if asyncio.current_task() is not None and "mend" in (asyncio.current_task() or asyncio.Task).get_name():
            raise StoreDown("the store is down")

    stage.journal.commit = down
    await stage.post(happened("died", actor="anna"))
    stage.journal.commit = None
    await stage.post(happened("talked", actor="rival", target="smith"))
    assert stale(stage.world) == []


def deaths(quest: Quest, *, branches: bool = True) -> set[str]:
    proofs = quest.certificate.branches if branches else ()
    plans = (quest.certificate.plan, *(proof.plan for proof in proofs))
    return {act[1] for plan in plans for act in plan if act[0] in ("kill", "capture")}


async def test_no_quest_kills_whom_another_of_the_player_needs() -> None:
    fights = 0
    for seed in range(10):
        stage = Stage(village(seed))
        live: list[Quest] = []
        for giver in list(stage.world.state.npcs):
            try:
                quest = await stage.quest(Generate(giver=giver, player="hero", seed=seed, motive="conquest"))
            except Conflict:
                continue
            fights += bool(deaths(quest))
            assert not deaths(quest) & {other.giver for other in live}
            assert all(quest.giver not in deaths(other, branches=False) for other in live)
            live.append(quest)
    assert fights > 0


async def test_who_is_to_be_killed_gives_no_quest_to_the_killer() -> None:
    stage = Stage(hamlet())
    await begun(stage, {"id": "end", "action": "kill", "target": "smith"})
    with pytest.raises(Conflict, match="is to harm 'smith'"):
        await stage.quest(Generate(giver="smith", player="hero", seed=1))
    assert (await stage.quest(Generate(giver="smith", player="rival", seed=1))).giver == "smith"


async def test_a_draft_that_undoes_a_live_quest_is_refused() -> None:
    stage = Stage(hamlet())
    await begun(stage, *REPORT)
    with pytest.raises(Conflict, match=r"V7.*it kills 'anna'"):
        await begun(stage, {"id": "end", "action": "kill", "target": "anna"}, title="Murder", giver="smith")
