"""Checkpoints of a running server: equal to the log, never ahead of it, never going back, and no part of one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.core.errors import StoreDown
from app.stores import tables
from app.stores.checkpoints import Part, load_checkpoint, newest_checkpoint, save_checkpoint, save_part
from app.stores.pieces import parts_of, pieces_of, state_encoder
from app.stores.replay import check_world
from app.stores.tenancy import EVERY_TENANT
from app.world.entities import Fact, Item, Npc
from app.world.events import EntityUpserted, FactAsserted, Happened, QuestRecorded, RelationChanged
from app.world.state import State
from tests.stores.conftest import Opener, Store

ids = st.text(max_size=12)
facts = st.lists(st.builds(Fact, subject=st.just("a"), predicate=st.just("p"), value=st.floats(allow_nan=False)))
states = st.builds(
    State,
    seq=st.integers(0, 2**63 - 1),
    game_s=st.floats(),
    npcs=st.dictionaries(ids, st.builds(Npc, id=st.just("n"), attributes=st.dictionaries(ids, st.booleans()))),
    items=st.dictionaries(ids, st.builds(Item, id=st.just("i"), holder=ids), max_size=40),
    facts=st.dictionaries(ids, facts.map(tuple)),
    relations=st.dictionaries(ids, st.floats(-1, 1)),
    quests=st.dictionaries(
        ids, st.builds(QuestRecorded, id=st.just("q"), state=st.just("s"), body=st.binary(max_size=70_000))
    ),
)


@given(states, states)
def test_the_pieces_of_a_state_with_saves_are_its_encoding(state: State, save: State) -> None:
    state.saves["mine"] = save
    assert b"".join(pieces_of(state)) == state_encoder.encode(state)


@given(states)
def test_the_pieces_of_a_state_are_its_encoding(state: State) -> None:
    assert b"".join(pieces_of(state)) == state_encoder.encode(state)


@pytest.mark.parametrize("entries", [0, 15, 16, 17, 65_535, 65_536])
def test_the_pieces_are_equal_where_msgpack_changes_its_heads(entries: int) -> None:
    state = State(handles={str(number): number for number in range(entries)})
    assert b"".join(pieces_of(state)) == state_encoder.encode(state)


@given(states, st.integers(1, 5_000))
def test_parts_are_the_encoding_cut_into_equal_lengths(state: State, part_bytes: int) -> None:
    parts = list(parts_of(state, part_bytes))
    assert b"".join(parts) == state_encoder.encode(state)
    assert {len(part) for part in parts[:-1]} <= {part_bytes}
    assert 0 < len(parts[-1]) <= part_bytes


async def grow(store: Store, *, events: int, first: int = 0) -> None:
    """Changes of several kinds, some of which need what was before them."""
    for number in range(first, first + events):
        fact = Fact(subject="a", predicate=f"p{number % 7}", value=float(number), from_s=float(number))
        relation = RelationChanged(npc="a", other=f"p{number}", delta=0.1)
        await store.journal.append("t", "w", [FactAsserted(fact=fact), relation], key=f"k{number}")


async def begin(store: Store) -> None:
    await store.journal.create_world("t", "w")
    await store.journal.append("t", "w", [EntityUpserted(entity=Npc(id="a"))])


async def newest(store: Store) -> int:
    return await store.database.run(EVERY_TENANT, lambda c: newest_checkpoint(c, "t", "w"))


async def await_checkpoint(store: Store, at_least: int) -> int:
    async with asyncio.timeout(20):
        while (found := await newest(store)) < at_least:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.02)
    return found


async def rows(store: Store) -> tuple[int, int]:
    """(rows of whole checkpoints, parts of checkpoints)."""
    counts = [select(func.count()).select_from(table) for table in (tables.checkpoints, tables.sealed_checkpoints)]
    return tuple(await store.database.run(EVERY_TENANT, lambda c: [c.execute(count).scalar_one() for count in counts]))  # type: ignore[return-value]  # two of them


async def test_a_running_server_writes_checkpoints_that_equal_the_log(opened: Opener) -> None:
    async with opened(checkpoint_ms=20, part_bytes=500) as store:
        await begin(store)
        await grow(store, events=60)
        seq = await await_checkpoint(store, 50)
        kept = await store.database.run(EVERY_TENANT, lambda c: load_checkpoint(c, "t", "w"))
        assert kept.seq == seq
        assert (
            await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", lambda _steps: None))
        ).faults == ()
        await grow(store, events=60, first=60)
        later = await await_checkpoint(store, seq + 50)
        assert (await rows(store))[1] > 1, "in several parts"
        before = state_encoder.encode(store.world().state)
    # No clean stop: the writer and the task just ended.
    async with opened() as store:
        assert state_encoder.encode(store.world().state) == before
        assert await newest(store) >= later


async def test_too_few_events_or_too_little_time_write_none(opened: Opener) -> None:
    async with opened(checkpoint_ms=20) as store:
        await begin(store)
        await grow(store, events=20)
        await asyncio.sleep(0.2)
        assert await newest(store) == 0
    async with opened(checkpoint_ms=60_000) as store:
        await grow(store, events=80)
        await asyncio.sleep(0.2)
        assert await newest(store) == 0, "41 events were replayed, and a minute has not passed"


async def test_a_long_replay_at_start_is_the_last_one(opened: Opener) -> None:
    async with opened() as store:
        await begin(store)
        await grow(store, events=40)
    async with opened() as store:
        assert await await_checkpoint(store, 81) == 81


async def test_what_the_queue_cannot_hold_is_read_from_the_log(opened: Opener) -> None:
    async with opened(checkpoint_ms=20, queue_events_max=4, part_bytes=300) as store:
        await begin(store)
        await grow(store, events=100)
        await await_checkpoint(store, 150)
        assert (
            await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", lambda _steps: None))
        ).faults == ()


async def test_a_checkpoint_of_which_a_part_is_missing_does_not_count(opened: Opener) -> None:
    async with opened() as store:
        whole, torn = State(seq=5, game_s=1.0), State(seq=9, game_s=2.0)
        bodies = list(parts_of(torn, 8))

        def save(number: int, *, seq: int = 9) -> Callable[..., None]:
            part = Part(seq=seq, number=number, parts=len(bodies), body=bodies[number])
            return lambda connection: save_part(connection, "t", "w", part)

        await store.database.run(EVERY_TENANT, lambda c: save_checkpoint(c, "t", "w", state_encoder.encode(whole), 5))
        for number in range(len(bodies) - 1):
            await store.database.run(EVERY_TENANT, save(number))
        assert await store.database.run(EVERY_TENANT, lambda c: load_checkpoint(c, "t", "w")) == whole
        for number in range(len(bodies)):  # after the kill: from the beginning, in the place of what was left
            await store.database.run(EVERY_TENANT, save(number))
        assert await store.database.run(EVERY_TENANT, lambda c: load_checkpoint(c, "t", "w")) == torn
        await store.database.run(EVERY_TENANT, save(0))
        await store.database.run(EVERY_TENANT, save(0, seq=7))
        assert await newest(store) == 9, "it never goes back"
        assert await rows(store) == (0, len(bodies))


async def test_a_clean_stop_leaves_one_sealed_part(opened: Opener) -> None:
    async with opened(checkpoint_ms=20, part_bytes=500) as store:
        await begin(store)
        await grow(store, events=60)
        await await_checkpoint(store, 50)
        await store.checkpoints.close()
        await store.journal.checkpoint()
        assert await rows(store) == (0, 1)
        body = await store.database.run(
            EVERY_TENANT, lambda c: c.execute(select(tables.sealed_checkpoints.c.body)).scalar_one()
        )
        assert b"subject" not in body
        assert await store.database.run(EVERY_TENANT, lambda c: load_checkpoint(c, "t", "w")) == store.world().state


async def test_a_checkpoint_that_cannot_be_written_is_tried_again(opened: Opener) -> None:
    refused = iter([True, True])

    def fail(place: str) -> None:
        if place == "checkpoint.replaced" and next(refused, False):
            raise StoreDown("refused", hint="")

    async with opened(checkpoint_ms=20) as store:
        store.checkpoints._reached = fail
        await begin(store)
        await grow(store, events=60)
        await await_checkpoint(store, 50)
        assert next(refused, None) is None
        async with asyncio.timeout(20):
            while store.checkpoints.fault:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.02)


async def test_what_is_not_committed_is_in_no_checkpoint(opened: Opener) -> None:
    down = False

    def fail(place: str) -> None:
        if down and place == "batch.inserted":
            raise StoreDown("refused", hint="")

    async with opened(checkpoint_ms=20) as store:
        store.writer._reached = fail
        await begin(store)
        await grow(store, events=30)
        committed = store.world().state.seq
        seq = await await_checkpoint(store, 50)
        down = True
        waiting = asyncio.create_task(grow(store, events=60, first=30))
        for _ in range(20):
            await store.journal.append("t", "w", (), key="k0")
            await asyncio.sleep(0.02)
        assert store.world().state.seq > committed, "it is in RAM"
        assert seq <= await newest(store) <= committed
        down = False
        await waiting
        assert await await_checkpoint(store, committed + 50) <= store.world().state.seq


async def test_a_twin_that_broke_is_made_again_from_the_log(opened: Opener) -> None:
    async with opened(checkpoint_ms=20) as store:
        await begin(store)
        await store.journal.append("t", "w", [EntityUpserted(entity=Item(id="cup", holder="a"))])
        await grow(store, events=30)
        await await_checkpoint(store, 50)
        store.checkpoints._twins["t", "w"].state.items.clear()
        await store.journal.append("t", "w", [Happened(verb="dropped", actor="a", item="cup")])
        await asyncio.sleep(0.2)
        broke_at = store.world().state.seq
        await grow(store, events=40, first=30)
        await await_checkpoint(store, broke_at + 1)
        assert (
            await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", lambda _steps: None))
        ).faults == ()
