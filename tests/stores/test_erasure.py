"""A person in the log: sealed, told whole, erased for good, and never brought back by a backup or a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.build.records import rotate_ring
from app.core.clock import SystemClock
from app.core.messages import Change, Event
from app.stores import forgetting, identity, repositories, tables
from app.stores.backup import take
from app.stores.backup_keys import shred
from app.stores.database import open_database
from app.stores.persons import DatabasePersons
from app.stores.pieces import state_encoder
from app.stores.replay import check_world
from app.stores.restore import restore
from app.stores.rotation import count_keys, retire_masters, rewrap_all
from app.stores.tenancy import EVERY_TENANT
from app.stores.tombstones import FILE, Tombstones
from app.world import events
from app.world.entities import Fact, Item, Location, Npc, Player
from app.world.events import (
    EntityUpserted,
    FactAsserted,
    Happened,
    ProposalOffered,
    RelationChanged,
    SubjectErased,
    SubjectRestricted,
    WordsUsed,
)
from app.world.personal import put_back, taken_out
from app.world.state import State
from tests.stores.conftest import MIGRATIONS, Opener, Store

SECRET = "marker-of-ada"
OTHER = "marker-of-bob"


def said(who: str, text: str) -> list[Change]:
    """Something personal of every kind."""
    return [
        EntityUpserted(entity=Player(id=who, name=text, tags=(text,), attributes={"a": text}, level=7)),
        FactAsserted(fact=Fact(subject=who, predicate="likes", value=text)),
        Happened(verb="talked", actor=who, target="mara", topic=text, details={"said": text}),
        ProposalOffered(id=f"o-{who}", npc="mara", player=who, action="trade", arguments={"item": text}),
        RelationChanged(npc="mara", other=who, delta=0.5),
        WordsUsed(npc="mara", player=who, engine="e", model="m", tokens_in=5, tokens_out=1, cached_tokens_in=0,
                  cost_nano_usd=9),
        EntityUpserted(entity=Item(id=f"hat-{who}", holder=who)),
        FactAsserted(fact=Fact(subject="mara", predicate="friend", value=who, known_by=(who,))),
    ]  # fmt: skip


async def fill(store: Store) -> None:
    await store.journal.create_world("t", "w")
    await store.journal.append(
        "t", "w", [EntityUpserted(entity=Npc(id="mara")), EntityUpserted(entity=Location(id="inn"))]
    )
    await store.journal.append("t", "w", said("ada", SECRET))
    await store.journal.append("t", "w", said("bob", OTHER))
    both = Happened(verb="talked", actor="ada", target="bob", details={"said": f"{SECRET} {OTHER}"})
    await store.journal.append("t", "w", [both])


def persons_of(store: Store, folder: Path) -> DatabasePersons:
    return DatabasePersons(store.database, Tombstones(folder / FILE), SystemClock())


async def erase(store: Store, folder: Path, *, left: str = "totals") -> SubjectErased:
    """What a server does, step by step."""
    persons = persons_of(store, folder)
    erasure = await persons.begin("t", "ada", left)  # type: ignore[arg-type]  # one of the two
    change = SubjectErased(subject="ada", alias=erasure.alias, left=erasure.left)
    (event,) = await store.journal.append("t", "w", [change], key=forgetting.call_key(erasure.alias))
    await persons.rewrite(erasure, "w", event.seq)
    await persons.retire("t")
    await store.checkpoints.renew("t")
    await persons.finish(erasure)
    return change


async def logged(store: Store) -> Sequence[Event]:
    return await store.database.run(EVERY_TENANT, lambda c: list(repositories.events_between(c, "t", "w", 1)))


async def faults(store: Store) -> tuple[str, ...]:
    return (await store.database.run(EVERY_TENANT, lambda c: check_world(c, "t", "w", lambda _steps: None))).faults


def holds(folder: Path, *texts: str) -> list[str]:
    """The files under a folder that hold one of the texts."""
    wanted = [text.encode() for text in texts]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(text in path.read_bytes() for text in wanted)]


async def test_the_log_gives_back_what_was_said_and_holds_none_of_it_in_the_clear(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        told = [event.change for event in await logged(store)]
        assert said("ada", SECRET) == told[2:10]
        raw = await store.database.run(EVERY_TENANT, lambda c: c.execute(select(tables.events.c.body)).scalars().all())
        assert not [body for body in raw if SECRET.encode() in body or OTHER.encode() in body]
        assert await faults(store) == ()


async def test_an_erasure_takes_one_person_and_no_more(opened: Opener, tmp_path: Path) -> None:
    async with opened(checkpoint_ms=20) as store:
        await fill(store)
        await store.checkpoints.renew("t")
        bobs = store.world().state.players["bob"]
        change = await erase(store, tmp_path)
        state = store.world().state
        assert "ada" not in state.players
        assert state.players["bob"] == bobs
        assert state.items["hat-ada"].holder == change.alias
        whole = msgspec_text(state)
        assert SECRET not in whole
        assert OTHER in whole
        told = [event.change for event in await logged(store)]
        assert told[10:18] == said("bob", OTHER)
        assert Happened(verb="talked", actor=change.alias, target="bob") in told, "what both said opens with neither"
        assert await faults(store) == ()
        before = state_encoder.encode(state)
        assert await store.database.run(EVERY_TENANT, lambda c: forgetting.worlds_of(c, "t", "ada")) == []
    async with opened() as store:
        assert state_encoder.encode(store.world().state) == before


def msgspec_text(state: State) -> str:
    return state_encoder.encode(state).decode(errors="replace")


async def test_anonymizing_keeps_the_numbers_under_an_alias(opened: Opener, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store)
        change = await erase(store, tmp_path, left="numbers")
        world = store.world()
        assert world.state.players[change.alias] == Player(id=change.alias, level=7)
        assert world.relation("mara", change.alias) == 0.5
        assert "ada" not in msgspec_text(world.state).replace("hat-ada", "")
        assert await faults(store) == ()


async def test_who_is_named_later_is_a_new_person(opened: Opener, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store)
        await erase(store, tmp_path)
        again = EntityUpserted(entity=Player(id="ada", name="Somebody else"))
        await store.journal.append("t", "w", [again])
    async with opened() as store:
        assert await persons_of(store, tmp_path).erase_again() == 0
        assert store.world().state.players["ada"].name == "Somebody else"


@pytest.mark.parametrize("reached", ["tombstone", "noted", "event"])
async def test_an_erasure_that_a_kill_cut_is_finished_by_the_next_start(
    opened: Opener, tmp_path: Path, reached: str
) -> None:
    async with opened() as store:
        await fill(store)
        persons = persons_of(store, tmp_path)
        erasure = await persons.begin("t", "ada", "totals")
        if reached == "tombstone":
            await store.database.run(EVERY_TENANT, lambda c: c.execute(tables.erasures.delete()) and None)
        if reached == "event":
            await store.journal.append(
                "t", "w", [SubjectErased(subject="ada", alias=erasure.alias)], key=forgetting.call_key(erasure.alias)
            )
    database = open_database(store_url(store), folder=tmp_path, migrations=MIGRATIONS)
    persons = DatabasePersons(database, Tombstones(tmp_path / FILE), SystemClock())
    assert await persons.erase_again() == 1
    assert await persons.erase_again() == 0
    assert await persons.unfinished() == []
    await database.close()
    async with opened() as store:
        assert SECRET not in msgspec_text(store.world().state)
        assert OTHER in msgspec_text(store.world().state)
        assert await faults(store) == ()
        erased = [event for event in await logged(store) if isinstance(event.change, events.SubjectErased)]
        assert len(erased) == 1


def store_url(store: Store) -> str:
    """Enough of it for a database without a password."""
    return store.database.url


@pytest.mark.parametrize("freed", [True, False])
async def test_erased_stays_erased_after_a_restore(opened: Opener, url: str, tmp_path: Path, freed: bool) -> None:
    async with opened() as store:
        await fill(store)
        await store.journal.checkpoint()
        await take(store.database, url, tmp_path / "backup", physical=False)
        await erase(store, tmp_path)
        if freed:
            assert shred(tmp_path / "backup", "t", ["ada"]) == 1
    await restore(tmp_path / "backup", url, data=tmp_path, migrations=MIGRATIONS, overwrite=True, told=lambda _s: None)
    async with opened() as store:
        whole = msgspec_text(store.world().state)
        assert SECRET not in whole
        assert OTHER in whole
        assert "ada" not in store.world().state.players
        assert await faults(store) == ()
        log = tables.events
        left = await store.database.run(
            EVERY_TENANT, lambda c: c.execute(select(func.count()).select_from(log)).scalar()
        )
        assert left == store.world().state.seq
    assert holds(tmp_path, SECRET) == []


async def test_a_backup_opens_with_its_keys_and_not_without(opened: Opener, url: str, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store)
        before = state_encoder.encode(store.world().state)
        await store.journal.checkpoint()
        await take(store.database, url, tmp_path / "backup", physical=False)
    assert holds(tmp_path / "backup", SECRET, OTHER) == []
    keys = (tmp_path / "backup" / "keys.bin").read_bytes()
    for copy in (tmp_path / "backup").glob("innkeeper.*"):
        assert keys[-60:] not in copy.read_bytes(), "no wrapped key is left in the copy's pages"
    await restore(tmp_path / "backup", url, data=tmp_path, migrations=MIGRATIONS, overwrite=True, told=lambda _s: None)
    async with opened() as store:
        assert state_encoder.encode(store.world().state) == before


async def test_what_is_restricted_is_held_and_not_used(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        await store.journal.append("t", "w", [SubjectRestricted(subject="ada", restricted=True)])
        world = store.world()
        assert (world.state.players["ada"].name, list(world.facts_about("ada"))) == ("", [])
        await store.journal.append("t", "w", [Happened(verb="talked", actor="ada", details={"said": "something new"})])
        assert (await logged(store))[-1].change == Happened(verb="talked", actor="ada"), "nothing new is stored"
        assert await faults(store) == ()
    async with opened() as store:
        await store.journal.append("t", "w", [SubjectRestricted(subject="ada", restricted=False)])
        world = store.world()
        assert world.state.players["ada"].name == SECRET
        assert [fact.value for fact in world.facts_about("ada")] == [SECRET]
        assert await faults(store) == ()


async def test_a_changed_byte_of_a_sealed_event_is_named_and_not_swallowed(opened: Opener) -> None:
    async with opened() as store:
        await fill(store)
        table = tables.sealed_events
        body = await store.database.run(
            EVERY_TENANT, lambda c: c.execute(select(table.c.body).where(table.c.seq == 3)).scalar_one()
        )
        changed = body[:-1] + bytes([body[-1] ^ 1])
        await store.database.run(
            EVERY_TENANT, lambda c: c.execute(table.update().where(table.c.seq == 3).values(body=changed)) and None
        )
        with pytest.raises(Exception, match="was changed or moved"):
            await logged(store)


async def test_a_missing_master_key_is_told_and_never_taken_for_an_erasure(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as store:
        await fill(store)
    monkeypatch.delenv("INNKEEPER_MASTER_KEY")
    database = open_database(store_url(store), folder=tmp_path / "elsewhere", migrations=MIGRATIONS)
    with pytest.raises(Exception, match=r"the master key .* is missing"):
        await database.run(EVERY_TENANT, lambda c: list(repositories.events_between(c, "t", "w", 1)))
    await database.close()


async def test_a_rotation_wraps_every_key_anew_and_goes_on_where_it_was_cut(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INNKEEPER_MASTER_KEY")
    async with opened() as store:
        await fill(store)
        before = await logged(store)
        pepper = await store.database.run(EVERY_TENANT, identity.prepare)
        await store.database.run(EVERY_TENANT, lambda c: rotate_ring(c, 1, older_than_ms=0, signs_ms=1))
        (signing,) = await store.database.run(EVERY_TENANT, identity.signing_keys)
        total = await store.database.run(EVERY_TENANT, count_keys)
        store.database.vault.ring.add()
        looked: list[int] = []
        assert await rewrap_all(store.database, looked.append) == total + 2, "and the pepper and the signing key"
        assert sum(looked) == total
        assert await rewrap_all(store.database, looked.append) == 0
        assert await store.database.run(EVERY_TENANT, retire_masters) == 1
    async with opened() as store:
        assert await logged(store) == before
        assert await store.database.run(EVERY_TENANT, identity.prepare) == pepper
        assert await store.database.run(EVERY_TENANT, identity.signing_keys) == [signing]


async def test_two_erasures_at_once_are_one(opened: Opener, tmp_path: Path) -> None:
    async with opened() as store:
        await fill(store)
        persons = persons_of(store, tmp_path)
        first = await persons.begin("t", "ada", "totals")
        assert await persons.begin("t", "ada", "totals") == first


@pytest.mark.parametrize("change", said("ada", SECRET)[:4], ids=lambda change: type(change).__name__)
def test_what_is_taken_out_can_be_put_back(change: Change) -> None:
    bare, leaves = taken_out(change)
    assert SECRET.encode() not in events.encoder.encode(bare)
    assert put_back(bare, leaves) == change
