"""Memories in the database: read back by holder, proved against the log, and gone with the person they are of."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, insert, select, update

from app.stores import repositories, tables
from app.stores.memories import READ_ROWS, DatabaseMemories, MindsProjection
from app.stores.replay import Replayed
from app.stores.tenancy import EVERY_TENANT
from app.world.entities import Npc, Player
from app.world.events import EntityUpserted, MemoryForgotten, MemoryNoted, SubjectRestricted
from tests.stores.conftest import Opener, Store
from tests.stores.test_erasure import erase, holds, persons_of

ADAS = "adas-own-words"
BOBS = "bobs-own-words"
CYS = "cys-own-words"


def noted(id: str, text: str, *, holders: tuple[str, ...] = ("mara",), **more: object) -> MemoryNoted:
    return MemoryNoted(id=id, holders=holders, source="witnessed", text=text, **more)  # type: ignore[arg-type]  # its fields


async def fill(store: Store) -> None:
    """Ada is called Adalind; what she said, what was said to her, and what others say of her."""
    await store.journal.create_world("t", "w")
    people = [
        EntityUpserted(entity=Player(id=id, name=name))
        for id, name in (("ada", "Adalind"), ("bob", "Bob"), ("cy", "Cy"))
    ]
    await store.journal.append("t", "w", [*(EntityUpserted(entity=Npc(id=id)) for id in ("mara", "otto")), *people])
    memories = [
        noted("m1", ADAS, speaker="ada", participants=("mara",), known_by=("ada", "mara")),
        noted("m2", BOBS, speaker="bob", participants=("mara",), known_by=("bob", "mara")),
        noted("m3", f"{BOBS} in a round", speaker="bob", participants=("cy", "mara", "ada"),
              known_by=("bob", "cy", "mara", "ada")),
        noted("m4", f"{CYS} of Adalind", speaker="cy", participants=("bob", "mara"),
              known_by=("cy", "bob", "ada", "mara")),
        noted("m5", "I saw Adalind dance.", holders=("mara", "otto", "mara")),
        noted("m6", "Nothing happened."),
    ]  # fmt: skip
    await store.journal.append("t", "w", memories)
    await store.journal.append("t", "w", [MemoryForgotten(holder="mara", ids=("m6",))])


async def texts(store: Store, *holders: str) -> list[str]:
    events = await DatabaseMemories(store.database).of("t", "w", holders)
    return [event.change.text for event in events if isinstance(event.change, MemoryNoted)]


async def proof(store: Store, *, rebuild: bool = False) -> Replayed:
    projection = MindsProjection()
    work = projection.rebuild if rebuild else projection.check
    return await store.database.run(EVERY_TENANT, lambda c: work(c, "t", "w", lambda _steps: None))


async def test_a_holder_has_what_it_noted_and_forgot_in_order(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        events = await DatabaseMemories(store.database).of("t", "w", ("mara",))
        assert [getattr(event.change, "id", "forgot") for event in events] == [
            "m1",
            "m2",
            "m3",
            "m4",
            "m5",
            "m6",
            "forgot",
        ]
        assert events[0].change.text == ADAS
        assert await texts(store, "otto") == ["I saw Adalind dance."]
        assert len(await texts(store, "mara", "otto")) == 6, "an event of two holders comes once"
        assert await texts(store, "nobody") == []
        assert await DatabaseMemories(store.database).of("other", "w", ("mara",)) == []


async def test_the_end_of_the_log_says_what_was_noted_of_late(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        kept = DatabaseMemories(store.database)
        newest = await kept.newest("t", "w", 3)
        assert [getattr(event.change, "id", "forgot") for event in newest] == ["m5", "m6", "forgot"]
        whole = await kept.newest("t", "w", 1_000)
        assert [event.seq for event in whole] == [event.seq for event in await kept.of("t", "w", ("mara", "otto"))]
        assert await kept.newest("t", "elsewhere", 10) == []


async def test_a_mind_of_several_pages_is_read_whole(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        more = [noted(f"n{number}", f"number {number}", holders=("otto", "mara")) for number in range(READ_ROWS + 30)]
        for at in range(0, len(more), 100):
            await store.journal.append("t", "w", more[at : at + 100])
        found = await texts(store, "otto", "mara")
        assert found[-len(more) :] == [memory.text for memory in more]


async def test_acknowledged_memories_are_there_after_a_restart(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        before = await texts(store, "mara")
    async with opened() as store:
        assert await texts(store, "mara") == before


async def test_the_log_gives_the_minds_again(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        assert (await proof(store)).faults == ()
        table = tables.minds

        def spoil(connection: object) -> None:
            connection.execute(delete(table).where(table.c.holder == "otto"))  # type: ignore[attr-defined]  # a Connection
            connection.execute(insert(table).values(tenant="t", world="w", holder="mara", seq=1))

        await store.database.run("t", spoil)
        found = await proof(store)
        assert len(found.faults) == 2
        await proof(store, rebuild=True)
        assert (await proof(store)).faults == ()
        assert await texts(store, "otto") == ["I saw Adalind dance."]


async def test_an_erased_person_leaves_nothing_in_memories(opened: Opener, tmp_path: Path) -> None:
    async with opened(checkpoint_ms=20) as store:
        await fill(store)
        change = await erase(store, tmp_path)
        left = await texts(store, "mara")
        assert left == [BOBS, f"{CYS} of someone", "I saw someone dance.", "Nothing happened."]
        events = await DatabaseMemories(store.database).of("t", "w", ("mara",))
        told = {event.change.id: event.change for event in events if isinstance(event.change, MemoryNoted)}
        assert change.alias in told["m4"].known_by
        rows = await store.database.run("t", lambda c: c.execute(select(tables.minds.c.seq)).scalars().all())
        logged = await store.database.run("t", lambda c: list(repositories.events_between(c, "t", "w", 1)))
        gone = [event.seq for event in logged if isinstance(event.change, MemoryNoted) and not event.change.text]
        assert len(gone) == 2
        assert not set(gone) & set(rows), "a projection has no row of what is gone"
        raw = await store.database.run(EVERY_TENANT, lambda c: c.execute(select(tables.events.c.body)).scalars().all())
        assert not [body for body in raw if b"ada" in body or b"Adalind" in body or ADAS.encode() in body]
        assert (await proof(store)).faults == ()
    if "sqlite" in store.url:
        assert [name for name in holds(tmp_path, "Adalind", ADAS, "\x03ada") if name.startswith("innkeeper.db")] == []
        assert holds(tmp_path, "\x03ada") == []


async def test_while_a_person_is_being_erased_nothing_of_theirs_is_read(opened: Opener, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store)
        await persons_of(store, tmp_path).begin("t", "ada", "totals")
        assert await texts(store, "mara") == [BOBS, "I saw Adalind dance.", "Nothing happened."]


async def test_an_export_tells_a_person_what_was_remembered_of_their_words(opened: Opener, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store)
        held = await persons_of(store, tmp_path).held("t", "ada")
        told = [row["change"].text for row in held["events"] if isinstance(row["change"], MemoryNoted)]
        assert ADAS in told
        assert BOBS not in told


async def test_what_is_noted_of_a_restricted_person_is_empty_and_nobody_s(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        await store.journal.append("t", "w", [SubjectRestricted(subject="ada", restricted=True)])
        await store.journal.append("t", "w", [noted("m7", "more of hers", speaker="ada")])
        assert "more of hers" not in await texts(store, "mara")
        assert "" not in await texts(store, "mara")
        assert (await proof(store)).faults == ()


async def test_one_tenant_cannot_see_the_minds_of_another(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        assert await DatabaseMemories(store.database).of("other", "w", ("mara",)) == []
        if "sqlite" in store.url:
            return  # what follows asks the database behind the store's back, which PostgreSQL alone refuses
        count = await store.database.run("other", lambda c: len(c.execute(select(tables.minds)).all()))
        assert count == 0
        changed = await store.database.run("other", lambda c: c.execute(update(tables.minds).values(seq=1)).rowcount)
        assert changed == 0
