"""The journal: what was acknowledged is there after a restart, once, and whole."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from app.core.errors import Conflict, Invalid, NotFound, Overloaded, StoreDown
from app.core.messages import Change, Event
from app.stores import repositories
from app.stores.tenancy import EVERY_TENANT
from app.world.entities import Fact, Item, Npc, Player
from app.world.events import EntityRemoved, EntityUpserted, FactAsserted, Happened, RelationChanged
from app.world.state import State, World
from tests.stores.conftest import Opener


def npc(id: str) -> EntityUpserted:
    return EntityUpserted(entity=Npc(id=id, name=id.title()))


def encoded(state: State) -> bytes:
    return msgspec.msgpack.encode(state)


async def test_a_restart_restores_the_world_to_the_same_bytes(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await store.journal.append("t", "w", [npc("a"), npc("b"), EntityUpserted(entity=Item(id="cup", holder="a"))])
        for number in range(60):
            fact = Fact(subject="a", predicate="gold", value=float(number), from_s=float(number))
            await store.journal.append("t", "w", [FactAsserted(fact=fact)], game_s=float(number))
        await store.journal.append("t", "w", [Happened(verb="gave", actor="a", target="b", item="cup")])
        before = encoded(store.world().state)
    async with opened() as store:
        assert encoded(store.world().state) == before
    async with opened() as store:
        assert encoded(store.world().state) == before, "from the checkpoint that the long replay wrote"


async def test_a_checkpoint_and_the_events_after_it_give_the_same_state(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await store.journal.append("t", "w", [npc("a")])
        await store.journal.checkpoint()
        await store.journal.append("t", "w", [npc("b"), RelationChanged(npc="a", other="b", delta=0.5)])
        before = encoded(store.world().state)
    async with opened() as store:
        assert encoded(store.world().state) == before


async def test_a_batch_is_applied_whole_or_not_at_all(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await store.journal.append("t", "w", [npc("a")])
        before = encoded(store.world().state)
        bad = FactAsserted(fact=Fact(subject="a", predicate="x", value=float("nan")))
        with pytest.raises(Invalid):
            await store.journal.append("t", "w", [npc("b"), EntityRemoved(entity_kind="npc", id="a"), bad])
        assert encoded(store.world().state) == before
        assert len(store.told) == 1


async def test_a_later_change_may_build_on_an_earlier_one_of_its_batch(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await store.journal.append("t", "w", [npc("a"), Happened(verb="died", actor="a")])
        assert not store.world().npc("a").alive


async def test_a_key_makes_a_retry_harmless_also_after_a_restart(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        first = tuple(await store.journal.append("t", "w", [npc("a")], key="k"))
        assert await store.journal.append("t", "w", [npc("a")], key="k") == first
    async with opened() as store:
        again = await store.journal.append("t", "w", [npc("a")], key="k")
        assert again == first
        assert store.world().state.seq == 1


async def test_parallel_calls_with_one_key_have_one_effect(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        calls = (store.journal.append("t", "w", [npc("a")], key="k") for _ in range(50))
        answers = await asyncio.gather(*calls)
        assert {answer[0].seq for answer in answers} == {1}
        assert store.world().state.seq == 1


async def test_events_are_told_after_their_commit_and_in_order(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await asyncio.gather(*(store.journal.append("t", "w", [npc(f"n{i}")]) for i in range(100)))
        assert [event.seq for event in store.told] == list(range(1, 101))
        rows = await store.database.run(EVERY_TENANT, lambda c: list(repositories.events_between(c, "t", "w", 1)))
        assert rows == store.told


async def test_what_modules_derive_is_committed_with_its_cause(opened: Opener) -> None:
    def grieve(world: World, event: Event) -> list[Change]:
        if isinstance(event.change, Happened) and event.change.verb == "died":
            return [RelationChanged(npc="b", other=event.change.actor, delta=0.25)]
        return []

    async with opened(grieve) as store:
        await store.journal.create_world("t", "w")
        await store.journal.append("t", "w", [npc("a"), npc("b")])
        events = await store.journal.append("t", "w", [Happened(verb="died", actor="a")])
        assert [type(event.change).__name__ for event in events] == ["Happened", "RelationChanged"]
    async with opened() as store:
        assert store.world().relation("b", "a") == 0.25


async def test_a_module_that_breaks_on_an_event_loses_only_its_own_reaction(opened: Opener) -> None:
    def broken(world: World, event: Event) -> list[Change]:
        raise ZeroDivisionError

    def refused(world: World, event: Event) -> list[Change]:
        return [RelationChanged(npc="nobody", other="a", delta=1.0)]

    async with opened(broken, refused) as store:
        await store.journal.create_world("t", "w")
        assert len(await store.journal.append("t", "w", [npc("a")])) == 1


async def test_a_reaction_that_feeds_itself_is_stopped(opened: Opener) -> None:
    def echo(world: World, event: Event) -> list[Change]:
        return [RelationChanged(npc="a", other="b", delta=0.001)]

    async with opened(echo) as store:
        await store.journal.create_world("t", "w")
        assert len(await store.journal.append("t", "w", [npc("a")])) == 257


async def test_an_unknown_world_is_refused(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        with pytest.raises(NotFound):
            await store.journal.append("other tenant", "w", [npc("a")])


async def test_a_failing_database_acknowledges_nothing_and_loses_nothing(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await store.as_owner("ALTER TABLE events RENAME TO away")
        call = asyncio.create_task(store.journal.append("t", "w", [npc("a")]))
        await asyncio.sleep(0.1)
        assert not call.done()
        assert store.writer.fault
        assert store.world().npc("a"), "reads are served from RAM"
        await store.as_owner("ALTER TABLE away RENAME TO events")
        assert len(await asyncio.wait_for(call, 5)) == 1
        assert not store.writer.fault


async def test_a_full_queue_refuses_before_anything_is_applied(opened: Opener) -> None:
    async with opened(queue_events_max=5) as store:
        await store.journal.create_world("t", "w")
        await store.as_owner("ALTER TABLE events RENAME TO away")
        waiting = [asyncio.create_task(store.journal.append("t", "w", [npc(f"n{i}")])) for i in range(5)]
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded) as refused:
            await store.journal.append("t", "w", [npc("late")])
        assert refused.value.retry_after_s
        assert "late" not in store.world().state.npcs
        await store.as_owner("ALTER TABLE away RENAME TO events")
        await asyncio.gather(*waiting)


async def test_stopping_with_a_dead_database_fails_what_waits(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        await store.as_owner("ALTER TABLE events RENAME TO away")
        call = asyncio.create_task(store.journal.append("t", "w", [npc("a")]))
        await asyncio.sleep(0.05)
        assert not await store.writer.close(patience_s=0.2)
        with pytest.raises(StoreDown):
            await call


async def test_players_and_npcs_may_move_things(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        entities = [npc("a"), EntityUpserted(entity=Player(id="p")), EntityUpserted(entity=Item(id="cup", holder="a"))]
        await store.journal.append("t", "w", entities)
        await store.journal.append("t", "w", [Happened(verb="stole", actor="p", target="a", item="cup")])
        assert [item.id for item in store.world().held_by("p")] == ["cup"]


async def test_a_key_that_comes_with_another_request_is_refused_also_after_a_restart(opened: Opener) -> None:
    first, other = b"1" * 16, b"2" * 16
    async with opened() as store:
        await store.journal.create_world("t", "w")
        events = tuple(await store.journal.append("t", "w", [npc("a")], key="k", request=first))
        assert await store.journal.append("t", "w", [npc("a")], key="k", request=first) == events
        assert await store.journal.append("t", "w", (), key="k", request=first) == events
        assert await store.journal.append("t", "w", (), key="unknown", request=first) == ()
        with pytest.raises(Conflict, match="'k' was used for another request"):
            await store.journal.append("t", "w", [npc("b")], key="k", request=other)
    async with opened() as store:
        assert await store.journal.append("t", "w", [npc("a")], key="k", request=first) == events
        with pytest.raises(Conflict):
            await store.journal.append("t", "w", (), key="k", request=other)
        for number in range(120):  # more keys than RAM keeps, so that only the database knows the first
            await store.journal.append("t", "w", [npc("a")], key=f"more-{number}", request=other)
        with pytest.raises(Conflict):
            await store.journal.append("t", "w", [npc("b")], key="k", request=other)
        assert store.world().state.seq == 121


async def test_a_key_of_the_release_before_is_repeated_whatever_came_with_it(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        events = tuple(await store.journal.append("t", "w", [npc("a")], key="k"))
        assert await store.journal.append("t", "w", [npc("b")], key="k", request=b"2" * 16) == events
