"""Authored brains that lead NPCs beside the ladder: who is led, what they remember, how it is told and repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.core.clock import SystemClock
from app.core.errors import Invalid, NotFound
from app.modules.behavior import messages
from app.modules.behavior.minds import open_minds
from app.modules.behavior.recordings import Reader
from app.modules.behavior.replay import replay
from app.modules.behavior.schema import F32
from app.modules.behavior.settings import Settings
from app.world.entities import Npc
from app.world.events import EntityRemoved, EntityUpserted
from tests.modules.behavior.playing import decide, recording
from tests.modules.behavior.stage import LAYOUT, Stage, Watch, asked, observations, stage

BELL = """
schema = "open_world"
root = "watch"
blackboard = { alarm = 0 }

[trees.watch]
kind = "selector"
memory = false
children = [
    { kind = "sequence", memory = false, name = "answer the bell", children = [
        { kind = "condition", when = "alarm > 0" },
        { kind = "action", intent = "patrol", seconds = 1000 },
    ] },
    { kind = "sequence", memory = true, name = "sit, then walk", children = [
        { kind = "action", intent = "rest", seconds = 10 },
        { kind = "action", intent = "wander", seconds = 10 },
    ] },
]
"""


@pytest.fixture
def content(tmp_path: Path) -> Settings:
    (tmp_path / "trees").mkdir()
    (tmp_path / "trees" / "bell.toml").write_text(BELL)
    return Settings(content_folder=str(tmp_path))


def calm(count: int = 5) -> F32:
    """Nobody is in sight and nothing presses."""
    obs = observations(count)
    obs[:, LAYOUT.slot_columns] = 0.0
    return obs


async def tick(on: Stage, number: int, **fields: object) -> messages.Lists:
    fields.setdefault("obs", calm().tobytes())
    reply = await asked(on, tick=number, format="lists", **fields)
    assert reply.lists is not None
    return reply.lists


async def test_a_tree_leads_whom_it_was_given_and_the_ladder_all_others(content: Settings) -> None:
    on = await stage(settings=content)
    before = await tick(on, 1)
    done = await on.ask(messages.Assign(npcs=("npc-2",), brain="tree:bell"))
    assert (done.npcs, done.brain) == (1, "tree:bell")
    after = await tick(on, 1, dt_s=1.0)
    assert after.rungs == (*before.rungs[:2], "tree", *before.rungs[3:])
    assert after.intents[2] == "rest"
    others = [0, 1, 3, 4]
    assert [after.intents[at] for at in others] == [before.intents[at] for at in others]
    await on.ask(messages.Assign(npcs=("npc-2",), brain=""))
    assert await tick(on, 1) == before


async def test_a_tree_goes_on_where_it_was_and_by_the_time_it_is_told(content: Settings) -> None:
    on = await stage(settings=content)
    await on.ask(messages.Assign(npcs=("npc-0",), brain="tree:bell"))
    seen = [await tick(on, number, dt_s=4.0) for number in range(1, 9)]
    intents = [found.intents[0] if found.rungs[0] == "tree" else "done" for found in seen]
    assert intents == ["rest", "rest", "rest", "wander", "wander", "wander", "done", "rest"]


async def test_what_the_game_writes_on_the_board_is_read_and_kept(content: Settings) -> None:
    on = await stage(settings=content)
    await on.ask(messages.WriteBoard(npcs=("npc-1",), values={"alarm": 1.0}))
    await on.ask(messages.Assign(npcs=("npc-0", "npc-1"), brain="tree:bell"))
    assert (await tick(on, 1, dt_s=1.0)).intents[:2] == ("rest", "patrol"), "also what was written before"
    await on.ask(messages.WriteBoard(npcs=("npc-0",), values={"alarm": 1.0}))
    await on.ask(messages.WriteBoard(npcs=("npc-1",), values={"alarm": 0.0}))
    assert (await tick(on, 2, dt_s=1.0)).intents[:2] == ("patrol", "rest")
    assert on.world.state.boards == {"npc-0": {"alarm": 1.0}, "npc-1": {"alarm": 0.0}}


async def test_an_archetype_has_its_usual_brain_and_an_npc_its_own() -> None:
    on = await stage(settings=Settings(leads={"guard": "tree:guard", "villager": "goals:villager"}))
    await on.ask(messages.Assign(npcs=("npc-0",), brain="reflex"))
    rungs = (await tick(on, 1, dt_s=1.0)).rungs
    kinds = {npc.id: npc.archetype for npc in on.world.state.npcs.values()}
    assert (kinds["npc-0"], rungs[0]) == ("guard", "reflex")
    assert {rungs[at] for at in range(5) if kinds[f"npc-{at}"] == "villager"} <= {"goals", "utility"}
    await on.ask(messages.Assign(npcs=("npc-0",)))
    assert (await tick(on, 2, dt_s=1.0)).rungs[0] == "tree"


async def test_whoever_a_tree_is_unsure_of_follows_the_ladder(content: Settings) -> None:
    on = await stage(settings=content)
    await on.ask(messages.Assign(npcs=("npc-0",), brain="tree:bell"))
    mask = np.ones((5, 12), np.uint8)
    mask[0, [LAYOUT.intent_index[name] for name in ("rest", "wander", "patrol")]] = 0
    found = await tick(on, 1, dt_s=1.0, mask=mask.tobytes())
    assert found.rungs[0] == "utility"
    assert found.intents[0] not in ("rest", "wander", "patrol", "")


async def test_explain_names_the_node_and_the_way_there(content: Settings) -> None:
    on = await stage(settings=content)
    await on.ask(messages.Assign(npcs=("npc-3",), brain="tree:bell"))
    await tick(on, 1, dt_s=1.0)
    told = await on.ask(messages.Explain(npc="npc-3"))
    assert (told.rung, told.intent) == ("tree", "rest")
    assert told.rule.startswith("tree:bell, ")
    assert any("alarm > 0" in step and step.endswith("failure") for step in told.steps)
    assert told.steps[0].endswith("running")
    again = await on.ask(messages.Explain(npc="npc-3"))
    assert again == told, "to ask changes nothing"


async def test_explain_tells_facts_goals_and_the_plan() -> None:
    on = await stage(settings=Settings(leads={"villager": "goals:villager"}))
    hungry = calm()
    hungry[:, LAYOUT.columns["hunger"]] = 0.95
    found = await tick(on, 1, obs=hungry.tobytes())
    led = next(at for at, rung in enumerate(found.rungs) if rung == "goals")
    told = await on.ask(messages.Explain(npc=f"npc-{led}"))
    assert told.rule.startswith("goals:villager, ")
    assert any(step.startswith("fact ") for step in told.steps)
    assert any("chosen" in step for step in told.steps)
    assert any(step.startswith("plan: ") for step in told.steps)


async def test_an_npc_that_stands_twice_in_a_tick_is_ticked_once(content: Settings) -> None:
    on = await stage(settings=content)
    await on.ask(messages.Assign(npcs=("npc-0",), brain="tree:bell"))
    handles = np.array([0, 1, 0, 2, 3], np.uint32).tobytes()
    rungs = [(await tick(on, number, dt_s=4.0, handles=handles)).rungs[:3] for number in (1, 2)]
    assert rungs == [("tree", "utility", "utility")] * 2
    assert (await tick(on, 3, dt_s=4.0)).intents[0] == "rest", "12 of 10 s are over with this tick, not before"
    assert (await tick(on, 4, dt_s=4.0)).intents[0] == "wander"


async def test_what_is_wrong_is_told_and_changes_nothing(content: Settings, tmp_path: Path) -> None:
    on = await stage(settings=content)
    with pytest.raises(NotFound, match=r"tree:bel'") as unknown:
        await on.ask(messages.Assign(npcs=("npc-0",), brain="tree:bel"))
    assert "tree:bell" in unknown.value.hint
    with pytest.raises(NotFound, match="ghost"):
        await on.ask(messages.Assign(npcs=("npc-0", "ghost"), brain="tree:bell"))
    with pytest.raises(Invalid, match="alarm"):
        await on.ask(messages.WriteBoard(npcs=("npc-0",), values={"alarm": float("nan")}))
    assert not on.world.state.brains
    assert not on.world.state.boards
    (tmp_path / "trees" / "bad.toml").write_text(BELL.replace("patrol", "patrole"))
    with pytest.raises(Invalid, match=r"trees/bad\.toml.*patrole"):
        await stage(settings=content)


async def test_a_removed_npc_takes_brain_and_board_with_it(content: Settings) -> None:
    on = await stage(settings=content)
    await on.ask(messages.Assign(npcs=("npc-0", "npc-1"), brain="tree:bell"))
    await on.ask(messages.WriteBoard(npcs=("npc-0",), values={"alarm": 1.0}))
    await on.journal.append("t", "w", [EntityRemoved(entity_kind="npc", id="npc-0")])
    assert (on.world.state.brains, on.world.state.boards) == ({"npc-1": "tree:bell"}, {})
    assert (await tick(on, 1, dt_s=1.0)).rungs[1] == "tree"
    await on.journal.append("t", "w", [EntityRemoved(entity_kind="npc", id="npc-1")])
    assert isinstance(on.world.state.npcs.get("npc-2"), Npc)
    assert "tree" not in (await tick(on, 2, dt_s=1.0)).rungs


async def test_recorded_trees_and_goals_are_repeated_bit_for_bit(tmp_path: Path) -> None:
    leads = {"guard": "tree:guard", "merchant": "tree:shopkeeper", "villager": "goals:villager"}
    async with recording(tmp_path, npcs=40, leads=leads) as on:
        for number in range(1, 30):
            await decide(on, 40, tick=number, seed=number, dt_s=3.0)
    settings = Settings(leads=leads)
    minds = open_minds(
        settings=settings, clock=SystemClock(), watcher=Watch(), policy=None, rungs=("utility", "reflex")
    )
    found = await replay(
        Reader(tmp_path), lambda context: minds[context.schema].brains, clock=SystemClock(),
        programs_of=lambda context: minds[context.schema].programs,
    )  # fmt: skip
    assert found.equal, found.differences
    assert {"tree", "goals", "utility"} <= set(found.rungs)


async def test_a_tick_of_nobody_is_answered_where_trees_lead() -> None:
    on = await stage(settings=Settings(leads={"guard": "tree:guard"}))
    reply = await on.ask(messages.Decide(tick=1))
    assert (reply.npcs, reply.intents) == (0, b"")


async def test_an_npc_that_was_removed_begins_its_tree_anew(content: Settings) -> None:
    on = await stage(settings=content)
    await on.ask(messages.Assign(npcs=("npc-0",), brain="tree:bell"))
    assert [(await tick(on, number, dt_s=6.0)).intents[0] for number in (1, 2, 3)] == ["rest", "rest", "wander"]
    await on.journal.append("t", "w", [EntityRemoved(entity_kind="npc", id="npc-0")])
    await on.journal.append("t", "w", [EntityUpserted(entity=Npc(id="npc-0", archetype="guard"))])
    await on.ask(messages.Assign(npcs=("npc-0",), brain="tree:bell"))
    assert (await tick(on, 4, dt_s=6.0)).intents[0] == "rest"
