"""Reports on each database: kept sealed, one for a player and a line, settled once, erased with their player."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import text

from app.core.errors import Conflict, NotFound, TooLarge
from app.core.ids import new_id
from app.core.reports import Report
from app.stores import fields, reports
from app.stores.reports import DatabaseReports
from app.stores.tenancy import EVERY_TENANT
from tests.stores.conftest import Opener, Store

OPEN_MAX = 3


def report(player: str = "p1", explain_id: str = "x1", *, made_ms: int = 1_000, **more: str) -> Report:
    return msgspec.structs.replace(
        Report(
            id=new_id(made_ms), world="w", player=player, explain_id=explain_id, npc="mara", category="hate",
            text="she said a foul thing", line="A very foul thing.", ai_generated=True, made_ms=made_ms,
        ),
        **more,
    )  # fmt: skip


async def test_a_report_is_kept_once_and_read_in_order(opened: Opener) -> None:
    async with opened() as store:
        held = DatabaseReports(store.database)
        first = await held.add("t", report(), open_max=OPEN_MAX)
        again = await held.add("t", report(text="another word"), open_max=OPEN_MAX)
        assert again == first
        second = await held.add("t", report("p2", made_ms=2_000), open_max=OPEN_MAX)
        assert list(await held.page("t", state="open", after="", most=9)) == [first, second]
        assert list(await held.page("t", state=None, after=first.id, most=9)) == [second]
        assert list(await held.page("other", state=None, after="", most=9)) == []
        with pytest.raises(NotFound):
            await held.get("other", first.id)


async def test_too_many_open_reports_are_refused_until_some_are_settled(opened: Opener) -> None:
    async with opened() as store:
        held = DatabaseReports(store.database)
        first, *_ = [await held.add("t", report(f"p{at}"), open_max=OPEN_MAX) for at in range(OPEN_MAX)]
        with pytest.raises(TooLarge, match="3 reports are open"):
            await held.add("t", report("p9"), open_max=OPEN_MAX)
        done = await held.settle("t", first.id, note="spoken to", actor="operator:o", now_ms=5)
        assert (done.state, done.note, done.settled_by, done.settled_ms) == ("settled", "spoken to", "operator:o", 5)
        assert await held.settle("t", first.id, note="spoken to", actor="operator:x", now_ms=9) == done
        with pytest.raises(Conflict):
            await held.settle("t", first.id, note="another", actor="operator:x", now_ms=9)
        await held.add("t", report("p9"), open_max=OPEN_MAX)


async def rows(store: Store) -> list[bytes]:
    query = text("SELECT body, note FROM reports")
    found = await store.database.run(EVERY_TENANT, lambda c: [tuple(row) for row in c.execute(query)])
    return [bytes(value) for row in found for value in row if value]


async def test_what_was_said_is_sealed_and_sealed_anew(opened: Opener) -> None:
    async with opened() as store:
        held = DatabaseReports(store.database)
        first = await held.add("t", report(), open_max=OPEN_MAX)
        await held.settle("t", first.id, note="a private note", actor="host", now_ms=5)
        found = await rows(store)
        assert len(found) == 2
        assert not [blob for blob in found for word in (b"foul", b"private") if word in blob]
        assert await store.database.run(EVERY_TENANT, fields.masters)


async def test_an_erasure_takes_a_player_s_reports_and_what_names_them(opened: Opener) -> None:
    async with opened() as store:
        held = DatabaseReports(store.database)
        await held.add("t", report("p1"), open_max=OPEN_MAX)
        other = await held.add("t", report("p2", line="Tell p1 that I wait."), open_max=OPEN_MAX)
        assert await store.database.run("t", lambda c: reports.erase(c, "t", "w", "p1")) == 2
        (left,) = await held.page("t", state=None, after="", most=9)
        assert (left.id, left.text, left.line) == (other.id, "", "")
        assert await store.database.run("t", lambda c: reports.erase(c, "t", "w", "p1")) == 0


async def test_old_reports_are_forgotten(opened: Opener) -> None:
    async with opened() as store:
        held = DatabaseReports(store.database)
        await held.add("t", report("p1", made_ms=1_000), open_max=OPEN_MAX)
        young = await held.add("t", report("p2", made_ms=9_000), open_max=OPEN_MAX)
        assert await store.database.run("t", lambda c: reports.forget(c, "t", 5_000)) == 1
        assert list(await held.page("t", state=None, after="", most=9)) == [young]
