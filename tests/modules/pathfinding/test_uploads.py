"""Big maps come in with progress and within bounds, and no question about them holds up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import pytest

from app.core.errors import Invalid, Unavailable
from app.modules.pathfinding import messages
from app.modules.pathfinding.surfaces import AgentClass
from app.modules.pathfinding.warming import Warmth
from app.world.entities import Box, Obstacle
from tests.modules.pathfinding.bench import Bench


def noise(side: int, blocked: float) -> bytes:
    """A map of that many cells on a side, some of them blocked at random."""
    letters = np.where(np.random.default_rng(1).random((side, side)) < blocked, ord("@"), ord(".")).astype(np.uint8)
    return f"type octile\nheight {side}\nwidth {side}\nmap\n".encode() + b"\n".join(row.tobytes() for row in letters)


async def test_a_big_map_tells_how_far_it_is_and_what_it_takes(bench: Bench) -> None:
    swamp = {"ogre": AgentClass(size=2), "frog": AgentClass(costs={"swamp": 3.0})}
    data = noise(1_024, 0.02).replace(b"......", b"..SSSS")
    request = messages.Upload(map="wide", data=data, agent_classes=swamp)
    uploaded = await bench.ask(request, messages.Uploaded, deadline_ms=120_000)
    told = [chunk for chunk in bench.chunks if isinstance(chunk, messages.UploadProgress)]
    assert len(told) >= 3
    assert [chunk.share for chunk in told] == sorted(chunk.share for chunk in told)
    assert {chunk.agent_class for chunk in told} >= {"frog"}
    assert (uploaded.width, uploaded.height, uploaded.layers) == (1_024, 1_024, 1)
    assert "swamp" in uploaded.terrains
    assert uploaded.prepared_bytes < 3 * 200 * 1_024 * 1_024


async def test_a_claim_of_ten_gigabytes_is_refused_and_the_old_version_goes_on(bench: Bench) -> None:
    await bench.upload()
    with pytest.raises(Invalid, match="height"):
        await bench.upload(b"type octile\nheight 100000\nwidth 100000\nmap\n.", format="movingai")
    assert (await bench.find(((0, 0), (1, 1)))).version == 1


@contextmanager
def loop_cpu_ms() -> Iterator[list[float]]:
    """What each callback of the event loop took of its thread's processor time, in milliseconds.

    Processor time, so that a busy machine does not count against the code.
    """
    took: list[float] = []
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        began = time.thread_time_ns()
        run(handle)
        took.append((time.thread_time_ns() - began) / 1e6)

    asyncio.Handle._run = measured
    try:
        yield took
    finally:
        asyncio.Handle._run = run


async def test_no_question_keeps_the_event_loop_over_a_millisecond(bench: Bench) -> None:
    await bench.upload(noise(512, 0.1), map="valley", format="movingai")
    cells = np.random.default_rng(2).integers(0, 512, (4_096, 2)).astype("<i2")
    starts, goals = cells.tobytes(), cells[::-1].tobytes()
    listed = tuple((int(x), int(y)) for x, y in cells[:256])
    walkers = tuple(f"w{number}" for number in range(4_096))
    crate = Obstacle(id="crate", shape=Box(width=9, height=9), x=100, y=100)
    bodies = np.random.default_rng(3).random((4_096, 2), np.float32) * 500
    floats, one = bodies.astype("<f4").tobytes(), np.array([0.4], "<f4").tobytes()
    questions: list[tuple[messages.Request, type[msgspec.Struct]]] = [
        (messages.Find(map="valley", starts=starts, goals=goals), messages.Found),
        (messages.Find(map="valley", starts=starts, goals=goals, walkers=walkers, smooth=True), messages.Found),
        (messages.Find(map="valley", starts=listed, goals=listed[::-1], format="lists"), messages.Found),
        (messages.AddObstacles(map="valley", obstacles=(crate,)), messages.ObstaclesAccepted),
        (messages.Find(map="valley", starts=starts, goals=goals, partial=True), messages.Found),
        (messages.Reachable(map="valley", starts=starts, goals=goals), messages.ReachableAnswer),
        (messages.RandomPoint(map="valley", count=4_096), messages.PlacesAnswer),
        (messages.Field(map="valley", goals=(starts[:40],)), messages.FieldReady),
        (messages.Flee(map="valley", starts=starts[:400], threats=goals[:40]), messages.Fled),
        (messages.Preview(map="valley"), messages.Previewed),
        (
            messages.Steer(positions=floats, velocities=floats, preferred=floats, radii=one, speeds_max=one),
            messages.Steered,
        ),
    ]
    for request, reply in questions:
        await bench.ask(request, reply)  # type: ignore[type-var]  # whatever is built on the way is built now
        with loop_cpu_ms() as took:
            await bench.put(request)
        assert max(took) < 1.0, request.op


async def test_what_is_still_being_compiled_says_so_and_plain_paths_answer_meanwhile(bench: Bench) -> None:
    await bench.upload()
    warmth = Warmth()
    warmth.require()
    warmth.begin()
    with pytest.raises(Unavailable, match="being compiled") as caught:
        warmth.require()
    assert caught.value.retry_after_s
