"""NPCs learn which road is deadly from what happens there, and forget it again."""

from __future__ import annotations

import asyncio
import math

import pytest

from app.modules.pathfinding import messages
from app.modules.pathfinding.overlays.settings import OverlaySettings
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.surfaces import AgentClass
from app.world.entities import Box, Npc, Obstacle
from app.world.events import EntityUpserted, Happened
from tests.modules.pathfinding.bench import Bench

ROADS = b"\n".join([b"." * 40, *[b"." * 8 + b"#" * 24 + b"." * 8] * 16, *[b"." * 40] * 3])
"""Two roads around a hill: a short one along the top edge and a longer one below it."""
START, GOAL = (4, 4), (35, 4)


async def way(bench: Bench, *, overlay: messages.Overlay = "danger", agent_class: str = "") -> messages.Found:
    request = messages.Find(
        map="valley",
        starts=(START,),
        goals=(GOAL,),
        overlay=overlay,
        agent_class=agent_class,
        weight=1.0,
        format="lists",
    )
    return await bench.ask(request, messages.Found)


def highest(found: messages.Found) -> float:
    """The greatest y of a way."""
    assert isinstance(found.waypoints, tuple)
    return max(place[1] for place in found.waypoints[0])


async def ambush(bench: Bench, count: int) -> None:
    npc = Npc(id="ada")
    await bench.tell(EntityUpserted(entity=npc))
    for turn in range(count):
        place = {"map": "valley", "x": float(10 + turn % 20), "y": 0.0}
        await bench.tell(Happened(verb="attacked", actor="ada", target="ada", details=place))
        await bench.tell(Happened(verb="killed", actor="ada", target="ada", details=place))


async def settled(bench: Bench, version: int) -> messages.Found:
    """The way once learned dangers of at least that version are in it."""
    for _ in range(200):
        found = await way(bench)
        if found.overlay_version >= version:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("the dangers were never weighed")


@pytest.fixture
async def roads() -> Bench:
    bench = Bench(settings=Settings(dangers=OverlaySettings(refresh_s=0.0, half_life_s=60.0)))
    request = messages.Upload(map="valley", format="rows", data=ROADS, agent_classes={"hero": AgentClass(caution=0.0)})
    await bench.ask(request, messages.Uploaded)
    return bench


async def test_a_deadly_road_is_left_for_a_longer_one_and_taken_again_when_it_is_forgotten(roads: Bench) -> None:
    calm = await way(roads)
    assert (highest(calm), calm.overlay_version) == (4, 0)
    await ambush(roads, 60)
    wary = await settled(roads, 1)
    assert highest(wary) > 16
    assert (await way(roads, overlay="none")).cost == calm.cost
    assert highest(await way(roads, agent_class="hero")) == 4, "whoever fears nothing goes on there"
    world = roads.worlds.get("studio", "vale")
    world.state.game_s += 60.0 * 20
    again = await settled(roads, wary.overlay_version + 1)
    assert highest(again) == 4
    await roads.close()


async def test_what_the_log_tells_is_learned_after_a_restart(roads: Bench) -> None:
    await ambush(roads, 60)
    await roads.close()
    roads.module = roads.build()
    assert highest(await settled(roads, 1)) > 16
    await roads.close()


async def test_obstacles_and_dangers_count_together(roads: Bench) -> None:
    await ambush(roads, 60)
    assert highest(await settled(roads, 1)) > 16
    wall = Obstacle(id="wall", shape=Box(width=1, height=3), x=20, y=17)
    await roads.ask(messages.AddObstacles(map="valley", obstacles=(wall,)), messages.ObstaclesAccepted)
    found = await way(roads)
    assert highest(found) == 4, "the only way left is the deadly one"
    assert isinstance(found.cost, tuple)
    plain = (await way(roads, overlay="none")).cost
    assert isinstance(plain, tuple)
    assert found.cost[0] is not None
    assert plain[0] is not None
    assert found.cost[0] > 1.2 * plain[0]
    assert not math.isnan(plain[0])
    await roads.close()


async def test_a_new_version_and_a_navmesh_beside_it_keep_what_was_learned(roads: Bench) -> None:
    await ambush(roads, 60)
    wary = await settled(roads, 1)
    mesh = b'{"vertices":[[0,0,0],[4,0,0],[4,0,4],[0,0,4]],"polygons":[[0,1,2,3]]}'
    await roads.ask(messages.Upload(map="mesh", format="godot", data=mesh), messages.Uploaded)
    asked = messages.Find(map="mesh", starts=((1, 0, 1),), goals=((3, 0, 3),), overlay="danger")
    assert (await roads.ask(asked, messages.Found)).overlay_version == 0
    await roads.upload(ROADS, map="valley")
    again = await settled(roads, wary.overlay_version)
    assert again.version == 2
    assert highest(again) > 16
    await roads.close()
