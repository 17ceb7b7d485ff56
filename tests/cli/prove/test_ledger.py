"""The instrument itself: a ledger that misses what it is there for would prove nothing."""

from __future__ import annotations

from sqlalchemy import text

from app.build.access import DEFAULT_TENANT
from app.cli.prove.ledger import EVENTS_PER_WRITE, WORLD, Acknowledged, Clients, Verdict, _judged
from app.stores.tenancy import EVERY_TENANT
from app.world.entities import Npc
from app.world.events import EntityUpserted, Happened
from tests.stores.conftest import Opener, Store


async def write(store: Store, clients: Clients, key: str, *, parts: int = EVENTS_PER_WRITE) -> None:
    """A write as a client makes it, noted as the server answers it."""
    changes = [Happened(verb="learned", actor="a", topic=f"{key}/{part}") for part in range(parts)]
    events = await store.journal.append(DEFAULT_TENANT, WORLD, changes)
    clients.acknowledged[key] = Acknowledged(events[-1].seq, 0.0, 0.0)


async def judged(opened: Opener, damage: str) -> Verdict:
    """The verdict on three good writes and a damage to the log, as SQL."""
    clients = Clients(0, 0)
    async with opened() as store:
        await store.journal.create_world(DEFAULT_TENANT, WORLD)
        clients.worlds.append(WORLD)
        await store.journal.append(DEFAULT_TENANT, WORLD, [EntityUpserted(entity=Npc(id="a"))])
        for key in ("c0-0", "c0-1", "c1-0"):
            await write(store, clients, key)
        await store.journal.checkpoint()
        if damage:
            await store.database.run(EVERY_TENANT, lambda c: c.execute(text(damage)) and None)
        return await store.database.run(EVERY_TENANT, lambda c: _judged(clients, c))


async def test_a_whole_log_has_nothing_against_it(opened: Opener) -> None:
    verdict = await judged(opened, "")
    assert verdict == Verdict(writes=3, events=10)


async def test_a_lost_write_is_found(opened: Opener) -> None:
    verdict = await judged(opened, "DELETE FROM events WHERE seq > 7")
    assert verdict.lost == ["c1-0"]
    assert verdict.faults, "and the checkpoint is ahead of the log"


async def test_a_torn_write_is_found(opened: Opener) -> None:
    verdict = await judged(opened, "DELETE FROM events WHERE seq = 10")
    assert verdict.torn == ["c1-0"]
    assert verdict.lost == ["c1-0"]


async def test_a_doubled_effect_is_found(opened: Opener) -> None:
    columns = "tenant, world, 11, 'again', wall_ms, game_s, version, body"
    again = f"INSERT INTO events SELECT {columns} FROM events WHERE seq = 10"  # noqa: S608  # a constant
    assert (await judged(opened, again)).doubled == ["c1-0/2"]


async def test_a_lost_world_is_found(opened: Opener) -> None:
    assert (await judged(opened, "DELETE FROM worlds")).worlds_lost == [WORLD]


def test_a_retry_with_another_answer_is_found() -> None:
    clients = Clients(0, 0)
    clients._note("c0-0", Acknowledged(4, 0.0, 0.0))
    clients._note("c0-0", Acknowledged(4, 0.0, 0.0))
    assert clients.answers_that_differ == []
    clients._note("c0-0", Acknowledged(7, 0.0, 0.0))
    assert clients.answers_that_differ == ["c0-0"]
