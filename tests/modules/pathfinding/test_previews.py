"""A picture of a map shows its obstacles and the ways that were asked for."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from app.core.errors import Invalid, NotFound
from app.modules.pathfinding import messages
from app.world.entities import Box, Obstacle
from tests.modules.pathfinding.bench import Bench

OPEN = b"\n".join([b"." * 12] * 9)


async def draw(bench: Bench, **asked: object) -> messages.Previewed:
    return await bench.ask(messages.Preview(map="valley", **asked), messages.Previewed)


async def test_a_way_leads_around_what_stands_on_the_map(bench: Bench) -> None:
    await bench.upload(OPEN)
    plain = await draw(bench)
    image = Image.open(io.BytesIO(plain.data))
    assert image.format == "PNG"
    direct = await draw(bench, path="0,4;11,4", picture="svg")
    wall = Obstacle(id="wall", shape=Box(width=1, height=8), x=5, y=0)
    await bench.ask(messages.AddObstacles(map="valley", obstacles=(wall,)), messages.ObstaclesAccepted)
    around = await draw(bench, path="0,4;11,4", picture="svg")
    lines = [
        [node for node in ElementTree.fromstring(drawn.data).iter() if "path" in node.get("class", "")]  # noqa: S314
        for drawn in (direct, around)
    ]
    points = [len(found[-1].get("points", found[-1].get("d", "")).replace("M", " ").split()) for found in lines]
    assert points[0] == 2
    assert points[1] > 2
    assert (await draw(bench)).data != plain.data


async def test_what_cannot_be_drawn_is_refused(bench: Bench) -> None:
    await bench.upload()
    with pytest.raises(Invalid, match="is invalid"):
        await draw(bench, path="2,0;0,0")
    with pytest.raises(Invalid, match="path has"):
        await draw(bench, path="here;there")
    with pytest.raises(NotFound):
        await bench.ask(messages.Preview(map="nowhere"), messages.Previewed)
