"""Prompts in a real database of each kind: versions, labels, runs, the gate before production, and two replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from app.build.prompts import OpenPrompts, open_prompts
from app.control.prompts.desk import Desk
from app.core.clock import SystemClock
from app.core.errors import Conflict, Invalid, NotFound, StoreDown, TooLarge
from app.core.ids import new_id
from app.core.prompts import Eval, Prompt, PromptLimits, version_of
from app.stores import tenant_settings
from app.stores.database import Database, open_database
from app.stores.feed import POLL_S
from app.stores.prompts import evals, labels, versions
from app.stores.tenancy import EVERY_TENANT
from tests.control.prompts.test_registry import NAME, OWN, VALUES, reworded
from tests.doubles import SilentLog
from tests.prompts import BUNDLED, LIMITS
from tests.stores.conftest import MIGRATIONS

ONE, TWO = reworded("One."), reworded("Two.")
SET = "5" * 64


class Trail:
    """An audit trail that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str, dict[str, str | int | bool]]] = []

    def note(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        self.told.append((actor, action, target, details))

    async def write(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        self.note(tenant, actor, action, target, **details)


@dataclass
class Replica:
    database: Database
    open: OpenPrompts
    trail: Trail

    @property
    def desk(self) -> Desk:
        return self.open.desk

    def rules(self, tenant: str = "t") -> str:
        return self.open.registry.choose(tenant, NAME, unit="p").part("rules", VALUES).text.splitlines()[-1]

    async def close(self) -> None:
        await self.open.feed.close()
        await self.database.close()


Opener = Callable[..., Awaitable[Replica]]


@pytest.fixture
async def replica(url: str, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens a replica over the test's database."""
    opened: list[Replica] = []

    async def one(limits: PromptLimits = LIMITS) -> Replica:
        database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
        await database.upgrade()
        trail = Trail()
        found = await open_prompts(database, limits, clock=SystemClock(), audit=trail, log=SilentLog())
        opened.append(Replica(database, found, trail))
        return opened[-1]

    yield one
    for each in opened:
        await each.close()


def ran(prompt: Prompt, *, ok: bool = True, set_id: str = SET) -> Eval:
    now_ms = time.time_ns() // 1_000_000
    return Eval(
        id=new_id(now_ms), prompt=prompt.name, version=version_of(prompt), set_id=set_id, wall_ms=now_ms,
        engine="authored", cases=2, passed=2 if ok else 1, ok=ok, failures=() if ok else ("greets: contains '{'",),
    )  # fmt: skip


async def test_a_version_is_kept_once_and_read_back_whole(replica: Opener) -> None:
    on = await replica()
    first, again = await on.desk.put("t", "key:a", ONE), await on.desk.put("t", "key:b", ONE)
    assert (first.version, first.new, again.new) == (version_of(ONE), True, False)
    assert [version.actor for version in await on.desk.versions("t", NAME)] == ["key:a"]
    for named in (first.version, first.version[:8]):
        assert await on.desk.read("t", NAME, named) == (first.version, ONE)
    assert await on.desk.read("t", NAME, "bundled") == (version_of(OWN), OWN)
    assert [told[:3] for told in on.trail.told] == [("key:a", "prompt.put", f"{NAME}@{first.version[:16]}")]


async def test_nobody_sees_or_points_to_another_tenant_s_version(replica: Opener) -> None:
    on = await replica()
    put = await on.desk.put("t", "host", ONE)
    for work in (
        on.desk.read("other", NAME, put.version),
        on.desk.move("other", "host", NAME, "staging", {put.version: 1}),
        on.desk.read("t", NAME, "latest"),
        on.desk.read("t", NAME, put.version[:7]),
    ):
        with pytest.raises(NotFound):
            await work
    assert await on.desk.versions("other", NAME) == []


async def test_a_version_with_faults_is_refused_with_the_place_and_the_mend(replica: Opener) -> None:
    on = await replica()
    with pytest.raises(Invalid, match=r"section 'rules', line 8, column 4: nobody gives 'hero'") as caught:
        await on.desk.put("t", "host", reworded("{{ hero }}"))
    assert caught.value.hint
    assert await on.desk.versions("t", NAME) == []


async def test_a_prompt_has_so_many_versions_and_no_more(replica: Opener) -> None:
    on = await replica(msgspec.structs.replace(LIMITS, versions_max=1))
    await on.desk.put("t", "host", ONE)
    assert not (await on.desk.put("t", "host", ONE)).new
    with pytest.raises(TooLarge, match="1 versions"):
        await on.desk.put("t", "host", TWO)


async def test_a_label_moves_for_both_replicas_and_a_rollback_brings_back_what_was(replica: Opener) -> None:
    here, there = await replica(), await replica()
    one, two = await here.desk.put("t", "host", ONE), await here.desk.put("t", "host", TWO)
    await here.desk.move("t", "host", NAME, "production", {one.version: 1}, force="a test")
    assert here.rules() == "One."
    await until(lambda: there.rules() == "One.")
    assert there.rules("other") != "One."
    await there.desk.move("t", "host", NAME, "production", {one.version: 95, two.version: 5}, force="a canary")
    split = {there.open.registry.choose("t", NAME, unit=str(unit)).version for unit in range(300)}
    assert len(split) == 2
    (label,) = await there.desk.labels("t", NAME)
    back = await there.desk.rollback("t", "key:b", NAME, "production", change=label.change)
    assert back.targets == {one.version: 1}
    await until(lambda: len({here.open.registry.choose("t", NAME, unit=str(u)).version for u in range(300)}) == 1)
    assert here.rules() == "One."
    with pytest.raises(Conflict):
        await there.desk.rollback("t", "key:b", NAME, "production", change=label.change)
    assert ("key:b", "prompt.rolled_back") in {told[:2] for told in there.trail.told}


async def test_a_label_that_points_there_already_stays_as_it_is(replica: Opener) -> None:
    on = await replica()
    one = await on.desk.put("t", "host", ONE)
    first = await on.desk.move("t", "host", NAME, "staging", {one.version: 1})
    assert await on.desk.move("t", "host", NAME, "staging", {one.version[:12]: 1}) == first
    assert first.change == 1
    with pytest.raises(Conflict):
        await on.desk.rollback("t", "host", NAME, "staging")


async def test_production_takes_only_what_passed_the_current_set(replica: Opener) -> None:
    on = await replica()
    one, two = await on.desk.put("t", "host", ONE), await on.desk.put("t", "host", TWO)
    await on.desk.move("t", "host", NAME, "staging", {one.version: 1})

    async def promote(*targets: str, **options: str) -> None:
        await on.desk.move("t", "host", NAME, "production", dict.fromkeys(targets, 1), **options)

    with pytest.raises(Conflict, match="has not passed"):
        await promote(one.version)  # the bundled set counts where none was run
    await on.desk.note_eval("t", "host", ran(ONE, ok=False))
    with pytest.raises(Conflict, match="has not passed"):
        await promote(one.version)
    await on.desk.note_eval("t", "host", ran(ONE))
    await promote(one.version)
    with pytest.raises(Conflict, match=two.version[:16]):
        await promote(one.version, two.version)
    await on.desk.note_eval("t", "host", ran(TWO, set_id="6" * 64))
    with pytest.raises(Conflict, match=one.version[:16]):
        await promote(one.version, two.version)  # one passed the set before
    await promote(one.version, two.version, force="we read it aloud")
    assert ("host", "prompt.forced") in {told[:2] for told in on.trail.told}
    assert any(told[3].get("reason") == "we read it aloud" for told in on.trail.told)
    await on.desk.move("t", "host", NAME, "production", {"bundled": 1})
    assert on.rules() == on.open.registry.choose("nobody", NAME).part("rules", VALUES).text.splitlines()[-1]


async def test_a_prompt_without_a_set_is_promoted_freely(replica: Opener) -> None:
    on = await replica()
    plan = BUNDLED["behavior.plan"]
    rules = plan.sections["rules"]
    mine = msgspec.structs.replace(
        plan, sections={**plan.sections, "rules": msgspec.structs.replace(rules, text=f"{rules.text} Be bold.")}
    )
    put = await on.desk.put("t", "host", mine)
    await on.desk.move("t", "host", plan.name, "production", {put.version: 1})
    assert "Be bold." in on.open.registry.render("t", plan.name, {"intents": "", "cases": ""}).parts[0].text


async def test_a_database_that_fails_leaves_what_was_known_and_the_bundled_prompts(
    replica: Opener, url: str, tmp_path: Path
) -> None:
    on, later = await replica(), await replica()
    one = await on.desk.put("t", "host", ONE)
    await on.desk.move("t", "host", NAME, "production", {one.version: 1}, force="a test")
    owner = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await later.open.feed.close()
    await owner.run(EVERY_TENANT, lambda c: c.execute(text("DROP TABLE prompts_labels")) and None)
    await owner.close()
    with pytest.raises(StoreDown):
        await on.desk.all("t")
    with pytest.raises(StoreDown):
        await on.desk.move("t", "host", NAME, "production", {"bundled": 1})
    await asyncio.sleep(2 * POLL_S)
    assert on.rules() == "One.", "what was known holds on"
    fresh = await open_prompts(later.database, LIMITS, clock=SystemClock(), audit=Trail(), log=SilentLog())
    assert fresh.registry.choose("t", NAME).label == "bundled"
    await fresh.feed.close()


async def test_without_any_database_the_bundled_prompts_are_rendered(tmp_path: Path) -> None:
    pytest.importorskip("asyncpg")
    url = "postgresql://nobody@127.0.0.1:9/none"
    database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    found = await open_prompts(database, LIMITS, clock=SystemClock(), audit=Trail(), log=SilentLog())
    assert found.registry.choose("t", NAME).label == "bundled"
    await found.feed.close()
    await database.close()


async def test_a_tenant_s_prompts_go_with_it(replica: Opener) -> None:
    on = await replica()
    await on.database.run("t", lambda c: tenant_settings.create_tenant(c, "t", "t", 0))
    one = await on.desk.put("t", "host", ONE)
    await on.desk.move("t", "host", NAME, "staging", {one.version: 1})
    await on.desk.note_eval("t", "host", ran(ONE))
    assert await on.database.run("t", lambda c: tenant_settings.remove_tenant(c, "t")) == []
    for query in (lambda c: versions(c, "t", NAME), lambda c: labels(c, "t"), lambda c: evals(c, "t", NAME)):
        assert await on.database.run(EVERY_TENANT, query) == []
    await until(lambda: on.open.registry.labels("t") == ())


async def until(holds: Callable[[], bool], *, s_max: float = 10.0) -> None:
    end_s = time.monotonic() + s_max
    while not holds():
        assert time.monotonic() < end_s, "it never came"
        await asyncio.sleep(0.05)
