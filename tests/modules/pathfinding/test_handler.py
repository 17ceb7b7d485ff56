"""The module from request to reply, over a real world and the real kernels."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zlib

import msgspec
import numpy as np
import pytest

from app.core.errors import Conflict, DeadlineExceeded, Invalid, NotFound, TooLarge
from app.modules.pathfinding import messages
from app.modules.pathfinding.settings import Settings
from tests.doubles import ManualClock
from tests.modules.pathfinding.bench import DOOR, MAP, Bench, packed


async def test_an_uploaded_map_answers_paths(bench: Bench) -> None:
    uploaded = await bench.upload()
    assert (uploaded.version, uploaded.width, uploaded.height) == (1, 5, 5)
    assert (uploaded.passable_cells, uploaded.components) == (18, 2)
    assert uploaded.preprocess_ms > 0
    found = await bench.find(((0, 0), (4, 0)), ((0, 0), (4, 4)), ((2, 0), (0, 0)))
    assert found.status == ("found", "unreachable", "invalid")
    assert isinstance(found.cost, tuple)
    assert found.cost[0] == pytest.approx(4 + 2 * 2**0.5)
    assert found.cost[1:] == (None, None)
    assert isinstance(found.waypoints, tuple)
    assert found.waypoints[0][0] == (0, 0)
    assert found.waypoints[0][-1] == (4, 0)
    assert found.waypoints[1:] == ((), ())
    assert bench.notes["rung"] == "exact"


async def test_packed_and_listed_answers_say_the_same(bench: Bench) -> None:
    await bench.upload()
    starts, goals = ((0, 0), (0, 0), (0, 4)), ((4, 1), (4, 4), (3, 4))
    request = messages.Find(map="valley", starts=packed(*starts), goals=packed(*goals))
    raw = await bench.ask(request, messages.Found)
    listed = await bench.find(*zip(starts, goals, strict=True))
    assert isinstance(raw.status, bytes)
    assert isinstance(raw.cost, bytes)
    assert isinstance(raw.expansions, bytes)
    assert isinstance(raw.waypoints, bytes)
    assert tuple(messages.STATUSES[code] for code in raw.status) == listed.status
    assert tuple(None if np.isnan(cost) else cost for cost in np.frombuffer(raw.cost, "<f8")) == listed.cost
    assert tuple(np.frombuffer(raw.expansions, "<i4")) == listed.expansions
    offsets, cells = np.frombuffer(raw.offsets, "<i4"), np.frombuffer(raw.waypoints, "<i2").reshape(-1, 2).tolist()
    split = tuple(tuple((x, y) for x, y in cells[offsets[i] : offsets[i + 1]]) for i in range(3))
    assert split == listed.waypoints


async def test_a_batch_of_many_chunks_equals_its_queries_alone() -> None:
    bench = Bench(settings=Settings(chunk_pairs=2))
    await bench.upload()
    pairs = [((0, 0), (4, 0)), ((0, 4), (4, 4)), ((0, 0), (4, 4)), ((4, 1), (0, 2)), ((1, 1), (3, 1))]
    together = await bench.find(*pairs)
    alone = [await bench.find(pair) for pair in pairs]
    assert together.waypoints == tuple(answer.waypoints[0] for answer in alone)
    assert together.cost == tuple(answer.cost[0] for answer in alone)
    await bench.close()


async def test_the_version_before_answers_until_the_new_one_is_ready(bench: Bench) -> None:
    await bench.upload(MAP)
    storing = asyncio.create_task(bench.upload(DOOR))
    while not storing.done():
        found = await bench.find(((0, 0), (4, 0)))
        shorter = found.version == 2
        assert isinstance(found.cost, tuple)
        assert found.cost[0] == pytest.approx(2 + 2 * 2**0.5 if shorter else 4 + 2 * 2**0.5)
    assert (await storing).version == 2
    assert (await bench.find(((0, 0), (4, 0)))).version == 2


async def test_a_malformed_upload_changes_nothing(bench: Bench) -> None:
    await bench.upload()
    with pytest.raises(Invalid, match="line 2, column 3"):
        await bench.upload(b"...\n..x\n...")
    assert len(bench.journal.events) == 1
    assert (await bench.find(((0, 0), (1, 1)))).version == 1


async def test_an_upload_that_is_sent_again_with_its_key_stays_one_version(bench: Bench) -> None:
    assert (await bench.upload(key="k")).version == 1
    assert (await bench.upload(key="k")).version == 1
    assert (await bench.upload()).version == 2
    assert len(bench.journal.events) == 2


async def test_two_uploads_at_once_become_two_versions(bench: Bench) -> None:
    uploaded = await asyncio.gather(bench.upload(MAP), bench.upload(DOOR))
    assert sorted(one.version for one in uploaded) == [1, 2]


async def test_a_map_stored_before_a_restart_is_prepared_at_its_first_query(bench: Bench) -> None:
    await bench.upload()
    stored = bench.worlds.get("studio", "vale").state.maps["valley"]
    assert zlib.decompress(stored.data) == MAP
    before = await bench.find(((0, 0), (4, 0)))
    await bench.close()
    bench.module = bench.build()
    assert await bench.find(((0, 0), (4, 0))) == before


async def test_preparing_goes_on_when_the_query_that_began_it_is_late(bench: Bench) -> None:
    await bench.upload()
    await bench.close()
    bench.module = bench.build()
    late = messages.Find(map="valley", starts=((0, 0),), goals=((4, 0),))
    with pytest.raises(DeadlineExceeded):
        await asyncio.gather(*(bench.ask(late, messages.Found, deadline_ms=0) for _ in range(3)))
    assert (await bench.find(((0, 0), (4, 0)))).status == ("found",)


async def test_maps_beyond_the_memory_limit_are_prepared_again() -> None:
    bench = Bench(settings=Settings(prepared_bytes_max=1))
    await bench.upload(MAP, map="a")
    await bench.upload(DOOR, map="b")
    for map, cost in (("a", 4 + 2 * 2**0.5), ("b", 2 + 2 * 2**0.5), ("a", 4 + 2 * 2**0.5)):
        found = await bench.find(((0, 0), (4, 0)), map=map)
        assert isinstance(found.cost, tuple)
        assert found.cost[0] == pytest.approx(cost)
    await bench.close()


async def test_queries_not_begun_before_the_deadline_are_over_budget() -> None:
    bench = Bench(settings=Settings(reply_reserve_ms=1_000))
    await bench.upload()
    request = messages.Find(map="valley", starts=((0, 0), (0, 1)), goals=((4, 0), (4, 1)), format="lists")
    found = await bench.ask(request, messages.Found, deadline_ms=900)
    assert found.status == ("over_budget", "over_budget")
    assert found.cost == (None, None)
    assert found.waypoints == ((), ())
    await bench.close()


async def test_a_deadline_that_passed_is_an_error_not_a_wait() -> None:
    bench = Bench(clock=ManualClock())
    await bench.upload()
    with pytest.raises(DeadlineExceeded):
        await bench.ask(messages.Nearest(map="valley", cells=((0, 0),)), messages.PlacesAnswer, deadline_ms=0)
    await bench.close()


async def test_unknown_maps_are_named_with_the_nearest_known_one(bench: Bench) -> None:
    await bench.upload()
    with pytest.raises(NotFound) as caught:
        await bench.find(((0, 0), (1, 1)), map="valey")
    assert "'valley'" in caught.value.hint


async def test_a_world_takes_no_more_maps_than_its_limit() -> None:
    bench = Bench(settings=Settings(maps_max=1))
    await bench.upload(map="a")
    with pytest.raises(Conflict, match="1 maps already"):
        await bench.upload(map="b")
    assert (await bench.upload(map="a")).version == 2
    await bench.close()


async def test_reachable_reads_labels(bench: Bench) -> None:
    await bench.upload()
    starts, goals = ((0, 0), (0, 0), (2, 0), (0, 4)), ((4, 0), (4, 4), (2, 0), (-1, 4))
    request = messages.Reachable(map="valley", starts=starts, goals=goals, format="lists")
    answer = await bench.ask(request, messages.ReachableAnswer)
    assert answer.reachable == (True, False, False, False)
    request = messages.Reachable(map="valley", starts=packed(*starts), goals=packed(*goals))
    assert (await bench.ask(request, messages.ReachableAnswer)).reachable == b"\1\0\0\0"


async def test_nearest_finds_cells_that_can_be_walked_to(bench: Bench) -> None:
    await bench.upload()
    request = messages.Nearest(map="valley", cells=((2, 0), (9, 9), (0, 3)), format="lists")
    assert (await bench.ask(request, messages.PlacesAnswer)).cells == ((1, 0), (4, 4), (0, 2))
    request = messages.Nearest(map="valley", cells=((9, 9),), reach_from=(0, 0), format="lists")
    assert (await bench.ask(request, messages.PlacesAnswer)).cells == ((4, 2),)
    with pytest.raises(Invalid, match="is blocked"):
        await bench.ask(messages.Nearest(map="valley", cells=(), reach_from=(2, 0)), messages.PlacesAnswer)
    with pytest.raises(Invalid, match="outside the map"):
        await bench.ask(messages.Nearest(map="valley", cells=(), reach_from=(5, 0)), messages.PlacesAnswer)


async def test_random_points_repeat_with_their_seed(bench: Bench) -> None:
    await bench.upload()

    async def draw(**fields: object) -> tuple[messages.Place, ...]:
        request = msgspec.convert({"map": "valley", "count": 200, "format": "lists"} | fields, messages.RandomPoint)
        cells = (await bench.ask(request, messages.PlacesAnswer)).cells
        assert isinstance(cells, tuple)
        return cells

    anywhere = await draw(seed=1)
    assert anywhere == await draw(seed=1) != await draw(seed=2)
    assert len(set(anywhere)) == 18
    assert set(await draw(reach_from=(0, 4))) == {(x, 4) for x in range(5)}
    assert set(await draw(around=(0, 0), radius_cells=1)) == {(0, 0), (1, 0), (0, 1)}
    assert set(await draw(around=(-9, -9), radius_cells=1)) == {(-1, -1)}


async def test_requests_beyond_their_limits_are_refused(bench: Bench) -> None:
    await bench.upload()
    with pytest.raises(TooLarge, match="257 queries"):
        await bench.find(*[((0, 0), (1, 1))] * 257)
    endless = messages.Find(map="valley", starts=(), goals=(), max_cost=float("nan"))
    with pytest.raises(Invalid, match="max_cost is nan"):
        await bench.ask(endless, messages.Found)
    with pytest.raises(Invalid, match="radius_cells"):
        await bench.ask(messages.RandomPoint(map="valley", radius_cells=9_999), messages.PlacesAnswer)


async def test_an_empty_batch_gets_an_empty_answer(bench: Bench) -> None:
    await bench.upload()
    found = await bench.ask(messages.Find(map="valley", starts=b"", goals=b""), messages.Found)
    assert (found.queries, found.status, len(found.offsets)) == (0, b"", 4)


def test_warming_leaves_nothing_to_compile() -> None:
    from app.modules.pathfinding.grids import search

    warm = Bench().module.warm
    assert warm is not None
    warm()
    assert len(search.find_paths.signatures) == 1  # type: ignore[attr-defined]  # numba's own attribute


def test_the_module_is_built_without_importing_numba() -> None:
    program = "import sys, app.modules.pathfinding.module; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
