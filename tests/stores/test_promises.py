"""What was once broken in the journal and the writer: a lost answer, an old key, a reaction that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from app.core.errors import StoreDown
from app.core.messages import Change, Event
from app.stores import repositories
from app.stores.tenancy import EVERY_TENANT, Tenants
from app.world.entities import Item, Npc
from app.world.events import EntityRemoved, EntityUpserted, Happened
from app.world.state import World
from tests.stores.conftest import Opener, Store

T = TypeVar("T")
KEYS_MAX = 100
"""As many keys a world of these tests keeps in memory."""


def npc(id: str) -> EntityUpserted:
    return EntityUpserted(entity=Npc(id=id))


def lose_the_next_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commit succeeds and its connection breaks before it says so."""
    run = store.database.run
    lost: list[bool] = []

    async def losing(tenants: Tenants, work: Callable[[Connection], T]) -> T:
        result = await run(tenants, work)
        if not lost:
            lost.append(True)
            raise StoreDown("the connection was lost after COMMIT")
        return result

    monkeypatch.setattr(store.database, "run", losing)


async def test_a_commit_whose_answer_is_lost_counts_once(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        lose_the_next_answer(store, monkeypatch)
        await asyncio.wait_for(store.journal.append("t", "w", [npc("a"), npc("b")], key="k"), 5)
        await asyncio.wait_for(store.journal.append("t", "w", [npc("c")]), 5)
        assert [event.seq for event in store.told] == [1, 2, 3]


async def test_a_world_whose_answer_is_lost_can_be_asked_for_again(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as store:
        lose_the_next_answer(store, monkeypatch)
        with pytest.raises(StoreDown):
            await store.journal.create_world("t", "w")
        assert await store.journal.create_world("t", "w")


async def test_a_key_older_than_those_in_memory_is_still_known(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        first = tuple(await store.journal.append("t", "w", [npc("a")], key="first"))
        for number in range(120):
            await store.journal.append("t", "w", [npc("b")], key=f"k{number}")
        again = await asyncio.wait_for(store.journal.append("t", "w", [npc("a")], key="first"), 5)
        assert again == first
    async with opened() as store:
        again = await asyncio.wait_for(store.journal.append("t", "w", [npc("a")], key="first"), 5)
        assert again == first
        assert store.world().state.seq == 121


async def test_a_reaction_that_takes_its_own_ground_away_leaves_no_gap(opened: Opener) -> None:
    def twice(world: World, event: Event) -> list[Change]:
        if isinstance(event.change, Happened):
            return [EntityRemoved(entity_kind="item", id="cup"), EntityRemoved(entity_kind="item", id="cup")]
        return []

    async with opened(twice) as store:
        await store.journal.create_world("t", "w")
        await store.journal.append("t", "w", [npc("a"), EntityUpserted(entity=Item(id="cup"))])
        assert len(await store.journal.append("t", "w", [Happened(verb="learned", actor="a")])) == 2
        assert len(await store.journal.append("t", "w", [npc("b")])) == 1
        rows: list[Any] = await store.database.run(
            EVERY_TENANT, lambda c: list(repositories.events_between(c, "t", "w", 1))
        )
        assert [event.seq for event in rows] == [1, 2, 3, 4, 5]


async def test_a_batch_that_another_wrote_in_our_place_is_not_taken_for_ours(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await store.journal.append("t", "w", [npc("a")])
        stranger = text(
            "INSERT INTO events SELECT tenant, world, 2, 'stranger', wall_ms, game_s, version, body FROM events"
        )
        await store.database.run(EVERY_TENANT, lambda c: c.execute(stranger) and None)
        call = asyncio.create_task(store.journal.append("t", "w", [npc("b")]))
        for _ in range(500):
            if store.writer.fault:
                break
            await asyncio.sleep(0.02)
        assert store.writer.fault
        assert not call.done()
        call.cancel()


async def test_a_commit_that_hangs_as_the_server_stops_is_no_clean_end(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hanging(_tenants: object, _work: object) -> None:
        await asyncio.sleep(60)

    async with opened() as store:
        await store.journal.create_world("t", "w")
        with monkeypatch.context() as patched:
            patched.setattr(store.database, "run", hanging)
            call = asyncio.create_task(store.journal.append("t", "w", [npc("a")]))
            await asyncio.sleep(0.05)
            assert not await store.writer.close(patience_s=0.1), "or a checkpoint would be written ahead of the log"
            with pytest.raises(StoreDown):
                await call


async def test_many_new_keys_at_once_cost_a_world_with_forgotten_ones_few_looks(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        for number in range(KEYS_MAX + 1):
            await store.journal.append("t", "w", [npc("a")], key=f"old{number}")
        run, runs = store.database.run, 0

        async def counted(tenants: Tenants, work: Callable[[Connection], T]) -> T:
            nonlocal runs
            runs += 1
            return await run(tenants, work)

        monkeypatch.setattr(store.database, "run", counted)
        seq = store.world().state.seq
        wrote = await asyncio.gather(*(store.journal.append("t", "w", [npc("a")], key=f"new{n}") for n in range(60)))
        assert runs < 20
        assert {events[0].seq for events in wrote} == set(range(seq + 1, seq + 61))
        again = await asyncio.gather(*(store.journal.append("t", "w", [npc("a")], key="old0") for _ in range(9)))
        assert {events[0].seq for events in again} == {1}
        assert store.world().state.seq == seq + 60
