"""The next quest suits what a player has been through; a seed makes it what the world alone says."""

from __future__ import annotations

import msgspec

from app.modules.quests.codec import record
from app.modules.quests.messages import Generate, Quest
from app.world.events import EntityRemoved, EntityUpserted
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.villages import village

REST_S = 1_900.0
"""Game seconds after a peak in which it has turned into a rest."""


async def fought(seed: int = 1) -> Stage:
    """A village whose hero was beaten up six times, a while ago."""
    stage = Stage(village(seed))
    for _ in range(6):
        await stage.post(happened("attacked", "npc3", target="hero"))
    await stage.post(happened("talked", "rival", target="npc0"), game_s=REST_S)
    return stage


async def made(stage: Stage, seed: int | None = None) -> Quest:
    return await stage.quest(Generate(giver="npc0", player="hero", seed=seed))


async def test_who_has_fought_is_given_something_lighter() -> None:
    assert (await made(Stage(village(1)))).level == 3
    assert (await made(await fought())).level == 2


async def test_another_player_s_fights_change_nothing() -> None:
    stage = await fought()
    stage.world.state.players["rival"] = msgspec.structs.replace(stage.world.state.players["rival"], level=3)
    assert (await stage.quest(Generate(giver="npc0", player="rival"))).level == 3


async def test_a_seed_gives_what_the_world_alone_says() -> None:
    stage = await fought()
    again = Stage(stage.world)
    assert again.module.react is not None
    quest = await made(stage, 5)
    del stage.world.state.quests[quest.id]
    stage.world.state.seq -= 1
    assert record(await made(again, 5)) == record(quest)


async def test_ends_of_quests_are_remembered_by_the_world_itself() -> None:
    stage = Stage(village(1))
    first = await made(stage, 1)
    for number in range(5):
        lost = msgspec.structs.replace(first, id=f"lost{number}", state="failed", ended_s=0.0)
        await stage.post(record(lost))
    await stage.post(happened("talked", "rival", target="npc0"), game_s=REST_S)
    assert (await made(Stage(stage.world), 2)).level == 2


async def test_a_player_who_is_gone_is_forgotten() -> None:
    stage = await fought()
    hero = stage.world.state.players["hero"]
    await stage.post(EntityRemoved(entity_kind="player", id="hero"), EntityUpserted(entity=hero))
    assert (await made(stage)).level == 3
