"""Work that can wait, against the stand-in and both databases: sent, polled, read, paid by half, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog
from sqlalchemy import text

from app.core.batches import Batch, Outcome, Settings
from app.core.clock import SystemClock
from app.core.errors import Invalid, NotFound, NotPermitted, OverBudget, Overloaded
from app.core.profile import Budgets as BudgetSection
from app.core.quotas import Caps
from app.core.spending import Amount, Spender
from app.core.tenants import Held, TenantSettings
from app.core.words import Completion, Part, Spent, Tool
from app.engines.batches.anthropic import open_anthropic_batches
from app.engines.batches.openai import open_openai_batches
from app.engines.batches.tier import BatchTier
from app.engines.batches.vendor import Vendor
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.outbound import OUTBOUND
from app.stores.batches import BatchShelf, erase
from app.stores.database import Database, open_database
from app.stores.embedded.budgets import EmbeddedBudgets
from app.telemetry.metrics import Metrics, RungWatch
from tests.engines.conftest import COMPLETION, PRICES, open_at
from tests.standin import KEY, WORDS, Call, Standin
from tests.stores.conftest import MIGRATIONS, url

__all__ = ["url"]
LOG = structlog.get_logger()
DAY_MS = 86_400_000
NAMES = {"openai": "gpt-5.6-luna", "anthropic": "claude-haiku-5-5"}
QUICK = Settings(poll_ms=40, pause_ms=1, lease_ms=400)


def asking(row: int, **changed: Any) -> Completion:
    parts = (Part(trust="system", text="You keep a diary."), Part(trust="player", text=f"Night {row}", speaker="Robin"))
    return msgspec.structs.replace(COMPLETION, parts=parts, task="memory.reflect", world="w", **changed)


class Ruled:
    """What the tests' tenant has set."""

    def __init__(self, **settings: Any) -> None:
        self.settings = TenantSettings(**settings)

    def of(self, tenant: str) -> Held:
        return Held(tenant=tenant, settings=self.settings)


class Bills:
    """What was written to worlds, once for each key."""

    def __init__(self) -> None:
        self.spent: dict[str, Sequence[Spent]] = {}

    async def write(self, tenant: str, world: str, completion: Completion, spent: Sequence[Spent], key: str) -> None:
        assert (tenant, world, completion.task) == ("studio", "w", "memory.reflect")
        self.spent.setdefault(key, spent)


Opened = Callable[..., Any]


@pytest.fixture
async def database(url: str, tmp_path: Any) -> AsyncIterator[Database]:
    opened = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await opened.upgrade()
    yield opened
    await opened.close()


@pytest.fixture
def opened(database: Database, standin: Standin) -> Opened:
    """Open a tier over the database and the stand-in; a second time is a restart."""

    @asynccontextmanager
    async def open_one(
        *kinds: str,
        rules: Ruled | None = None,
        caps: int = 0,
        settings: Settings = QUICK,
        regions: dict[str, str] | None = None,
        owner: str = "one",
        run: bool = True,
    ) -> AsyncIterator[BatchTier]:
        clock, engines = SystemClock(), [open_at(kind, standin) for kind in ("openai", "anthropic")]
        free = Caps()
        section = BudgetSection(hold_ms=600, tenant=Caps(day_nano_usd_max=caps), world=free, player=free, npc=free)
        budgets = EmbeddedBudgets(section, clock=clock, log=LOG, accounts_max=100)
        regions = {"openai": "", "anthropic": ""} if regions is None else regions
        words = Orchestrator(
            engines, clock=clock, watcher=RungWatch(LOG, Metrics()), budgets=budgets, rules=rules, regions=regions
        )
        vendors: list[Vendor] = []
        for engine in engines:
            if engine.name in kinds and engine.name == "openai":
                vendors.append(
                    open_openai_batches(engine, key=KEY, base_url=standin.openai_url, outbound=OUTBOUND)  # type: ignore[arg-type]  # open_at says Provider
                )
            elif engine.name in kinds:
                vendors.append(
                    open_anthropic_batches(engine, key=KEY, base_url=standin.origin, outbound=OUTBOUND)  # type: ignore[arg-type]  # open_at says Provider
                )
        tier = BatchTier(
            words, BatchShelf(database), vendors, clock=clock, log=LOG, settings=settings, owner=owner,
            booked=bills.write, hold_ms=section.hold_ms, regions=regions, budgets=budgets, rules=rules,
        )  # fmt: skip
        tier.budgets = budgets  # type: ignore[attr-defined]  # for the tests
        if run:
            tier.start()
        try:
            yield tier
        finally:
            await tier.close()
            await words.close()

    bills = Bills()
    open_one.bills = bills  # type: ignore[attr-defined]  # for the tests
    return open_one


def in_ms(milliseconds: float) -> int:
    return SystemClock().wall_ms() + int(milliseconds)


async def collected(tier: BatchTier, id: str) -> list[Outcome]:
    async with asyncio.timeout(20):
        return sorted([outcome async for outcome in tier.results("studio", id)], key=lambda outcome: outcome.row)


async def until(tier: BatchTier, id: str, state: str) -> Batch:
    async with asyncio.timeout(20):
        while (batch := await tier.status("studio", id)).state != state:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.02)
        return batch


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_batch_is_answered_by_its_vendor_for_half_the_price(
    opened: Opened, standin: Standin, kind: str
) -> None:
    async with opened(kind) as tier:
        id = await tier.submit("studio", [asking(row) for row in range(3)], in_ms(DAY_MS))
        outcomes = await collected(tier, id)
        batch = await tier.status("studio", id)
    assert [(outcome.row, outcome.text, outcome.reason) for outcome in outcomes] == [
        (row, WORDS, "stop") for row in range(3)
    ]
    assert (batch.state, batch.engine, batch.done, batch.failed) == ("ended", kind, 3, 0)
    whole = PRICES.of(NAMES[kind])
    for outcome in outcomes:
        (spent,) = outcome.spent
        assert spent.usage.tokens_in > 0
        assert 0 < spent.usage.cost_nano_usd <= whole.cost_nano_usd(spent.usage) * 0.5 + 1
    assert batch.cost_nano_usd == sum(outcome.spent[0].usage.cost_nano_usd for outcome in outcomes)
    assert sorted(opened.bills.spent) == [f"batch.{id}.{row}" for row in range(3)]
    routes = {seen.route for seen in standin.seen}
    assert not any(route.endswith(("/chat/completions", "/v1/messages")) for route in routes), (
        "nothing at the full price"
    )
    assert KEY not in repr(outcomes)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_restart_goes_on_with_what_the_vendor_has(opened: Opened, standin: Standin, kind: str) -> None:
    standin.batches.polls = 10_000
    async with opened(kind) as tier:
        id = await tier.submit("studio", [asking(0), asking(1)], in_ms(DAY_MS))
        sent = await until(tier, id, "sent")
    assert sent.remote
    for batch in standin.batches._batches.values():
        batch.left = 0
    async with opened(kind, owner="one") as tier:
        outcomes = await collected(tier, id)
    assert [outcome.text for outcome in outcomes] == [WORDS, WORDS]
    assert len(standin.batches._batches) == 1, "it was sent once"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_line_that_the_vendor_fails_is_written_here_once_more(
    opened: Opened, standin: Standin, kind: str
) -> None:
    standin.batches.failing = {"line-1"}
    async with opened(kind) as tier:
        id = await tier.submit("studio", [asking(row) for row in range(3)], in_ms(DAY_MS))
        outcomes = await collected(tier, id)
    assert [outcome.text for outcome in outcomes] == [WORDS] * 3
    here = [seen for seen in standin.seen if seen.route.endswith(("/chat/completions", "/v1/messages"))]
    assert len(here) == 1
    assert "Night 1" in str(here[0].body)


async def test_without_batches_the_lines_are_written_one_after_another(opened: Opened, standin: Standin) -> None:
    async with opened() as tier:
        id = await tier.submit("studio", [asking(row) for row in range(4)], in_ms(DAY_MS))
        outcomes = await collected(tier, id)
        batch = await tier.status("studio", id)
    assert [outcome.text for outcome in outcomes] == [WORDS] * 4
    assert (batch.engine, batch.done) == ("", 4)
    assert [str(seen.body).count("Night") for seen in standin.seen] == [1] * 4
    assert len(opened.bills.spent) == 4


async def test_a_line_that_fails_again_is_told_and_stops_no_other(opened: Opened, standin: Standin) -> None:
    standin.fault = "garbage"
    async with opened() as tier:
        id = await tier.submit("studio", [asking(0), asking(1)], in_ms(DAY_MS))
        outcomes = await collected(tier, id)
        batch = await tier.status("studio", id)
    assert [outcome.error.partition(":")[0] for outcome in outcomes] == ["engine_down"] * 2
    assert (batch.state, batch.done, batch.failed) == ("ended", 0, 2)


async def test_tools_and_schemas_come_back_as_they_would_from_a_stream(opened: Opened, standin: Standin) -> None:
    standin.calls = lambda body: (Call("remember", '{"what": "rain"}'),) if body.get("tools") else ()
    standin.say = lambda body: "" if body.get("tools") else WORDS
    tool = Tool(name="remember", schema={"type": "object", "properties": {"what": {"type": "string"}}})
    for kind in ("openai", "anthropic"):
        async with opened(kind) as tier:
            id = await tier.submit("studio", [asking(0, tools=(tool,)), asking(1)], in_ms(DAY_MS))
            called, said = await collected(tier, id)
        assert [call.name for call in called.calls] == ["remember"]
        assert msgspec.json.decode(called.calls[0].arguments) == {"what": "rain"}
        assert (called.reason, said.text) == ("tools", WORDS)


async def test_what_a_batch_may_cost_is_reserved_while_it_waits_and_settled_with_it(
    opened: Opened, standin: Standin
) -> None:
    standin.batches.polls = 10_000
    spender, rest = Spender(tenant="studio", world="w"), Amount(nano_usd=1)
    async with opened("openai", run=False) as tier:
        most = tier._vendors["openai"].most(asking(0)).cost_nano_usd
    async with opened("openai", caps=3 * most) as tier:
        id = await tier.submit("studio", [asking(row) for row in range(3)], in_ms(DAY_MS))
        with pytest.raises(OverBudget):
            await tier.budgets.reserve(spender, rest)
        with pytest.raises(OverBudget):
            await tier.submit("studio", [asking(9)], in_ms(DAY_MS))
        await until(tier, id, "sent")
        await asyncio.sleep(1.0)  # longer than a reservation lasts: it is renewed
        with pytest.raises(OverBudget):
            await tier.budgets.reserve(spender, rest)
        for batch in standin.batches._batches.values():
            batch.left = 0
        await collected(tier, id)
        await until(tier, id, "ended")
        spent = (await tier.status("studio", id)).cost_nano_usd
        await tier.budgets.reserve(spender, Amount(nano_usd=3 * most - spent))
        with pytest.raises(OverBudget):
            await tier.budgets.reserve(spender, rest)


async def test_a_batch_that_finds_no_room_reserves_nothing(opened: Opened) -> None:
    async with opened("openai", run=False) as tier:
        most = tier._vendors["openai"].most(asking(0)).cost_nano_usd
    async with opened("openai", caps=2 * most) as tier:
        with pytest.raises(OverBudget):
            await tier.submit("studio", [asking(row) for row in range(3)], in_ms(DAY_MS))
        await tier.budgets.reserve(Spender(tenant="studio", world="w"), Amount(nano_usd=2 * most))
        assert await tier._shelf.of("studio") == []


async def test_a_cancelled_batch_ends_here_and_at_the_vendor_and_frees_its_money(
    opened: Opened, standin: Standin
) -> None:
    standin.batches.polls = 10_000
    async with opened("openai", run=False) as tier:
        most = tier._vendors["openai"].most(asking(0)).cost_nano_usd
    async with opened("openai", caps=most) as tier:
        id = await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        await until(tier, id, "sent")
        await tier.cancel("studio", id)
        (outcome,) = await collected(tier, id)
        assert outcome.error == "cancelled"
        assert {batch.ended for batch in standin.batches._batches.values()} == {"cancelled"}
        await tier.budgets.reserve(Spender(tenant="studio", world="w"), Amount(nano_usd=most))


async def test_a_batch_past_its_time_is_given_up_and_says_so(opened: Opened, standin: Standin) -> None:
    standin.batches.polls = 10_000
    async with opened("openai") as tier:
        id = await tier.submit("studio", [asking(0)], in_ms(300))
        (outcome,) = await collected(tier, id)
        batch = await tier.status("studio", id)
    assert outcome.error == "expired"
    assert (batch.state, batch.failed) == ("expired", 1)


@pytest.mark.parametrize("when", ["sent", "ended"])
async def test_a_person_who_is_let_go_is_in_no_line_and_the_others_are_answered(
    opened: Opened, standin: Standin, database: Database, when: str
) -> None:
    standin.batches.polls = 10_000 if when == "sent" else 0
    async with opened("openai") as tier:
        id = await tier.submit("studio", [asking(0, player="ann"), asking(1, player="bob")], in_ms(DAY_MS))
        await until(tier, id, when)
        assert await database.run("studio", lambda c: erase(c, "studio", "w", "ann")) == 1
        for batch in standin.batches._batches.values():
            batch.left = 0
        gone, kept = await collected(tier, id)
    assert (gone.text, gone.error) == ("", "erased")
    assert kept.text == WORDS
    assert await database.run("studio", lambda c: erase(c, "studio", "w", "ann")) == 0
    assert await database.run("studio", lambda c: erase(c, "studio", "elsewhere", "bob")) == 0


async def test_a_batch_that_lost_a_line_before_it_was_sent_is_written_here(
    opened: Opened, standin: Standin, database: Database
) -> None:
    async with opened("openai", run=False) as tier:
        id = await tier.submit("studio", [asking(0, player="ann"), asking(1, player="bob")], in_ms(DAY_MS))
        await database.run("studio", lambda c: erase(c, "studio", "w", "ann"))
    async with opened("openai") as tier:
        gone, kept = await collected(tier, id)
    assert (gone.error, kept.text) == ("erased", WORDS)
    assert not standin.batches._batches, "a vendor counts rows"


async def test_the_words_of_a_restricted_world_go_to_no_vendor(opened: Opened, standin: Standin) -> None:
    async with opened("openai", rules=Ruled(restricted_worlds=("w",))) as tier:
        id = await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        (outcome,) = await collected(tier, id)
    assert outcome.error.startswith("not_permitted")
    assert standin.seen == []


async def test_a_region_that_is_not_the_tenants_is_passed_over(opened: Opened, standin: Standin) -> None:
    regions = {"openai": "us", "anthropic": "eu"}
    async with opened("openai", "anthropic", rules=Ruled(regions=("eu",)), regions=regions) as tier:
        id = await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        (outcome,) = await collected(tier, id)
    assert outcome.spent[0].engine == "anthropic"
    assert outcome.spent[0].region == "eu"
    async with opened("openai", rules=Ruled(security_level="strict")) as tier:
        with pytest.raises(NotPermitted):
            await tier.submit("studio", [asking(0)], in_ms(DAY_MS))


async def test_a_tenants_safety_text_goes_with_every_line(opened: Opened, standin: Standin) -> None:
    async with opened("openai", rules=Ruled(safety_text="Speak of no war.")) as tier:
        id = await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        await collected(tier, id)
    (content,) = [content for meta, content in standin.batches.files.values() if meta["purpose"] == "batch"]
    assert b"Speak of no war." in content


async def test_a_vendor_that_does_not_answer_leaves_the_work_to_the_ordinary_way(
    opened: Opened, standin: Standin
) -> None:
    port = standin.port
    async with opened("openai") as tier:
        tier._vendors["openai"]._client.base_url = f"http://127.0.0.1:{port}/nowhere/v1/"
        id = await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        (outcome,) = await collected(tier, id)
    assert outcome.text == WORDS


async def test_two_servers_look_after_a_batch_one_at_a_time(opened: Opened, standin: Standin) -> None:
    standin.batches.polls = 5
    async with opened("openai", owner="one") as one, opened("openai", owner="two") as two:
        id = await one.submit("studio", [asking(row) for row in range(3)], in_ms(DAY_MS))
        first, second = await asyncio.gather(collected(one, id), collected(two, id))
    assert first == second
    assert len(standin.batches._batches) == 1
    assert len(opened.bills.spent) == 3


async def test_what_is_handed_in_wrongly_is_refused(opened: Opened) -> None:
    async with opened(run=False, settings=Settings(lines_max=2, open_max=1)) as tier:
        for completions, wait in (
            ([], DAY_MS),
            ([asking(0)] * 3, DAY_MS),
            ([asking(0)], -1),
            ([asking(0)], 10 * DAY_MS),
            ([asking(0, tenant="other")], DAY_MS),
        ):
            with pytest.raises(Invalid):
                await tier.submit("studio", completions, in_ms(wait))
        await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        with pytest.raises(Overloaded):
            await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        with pytest.raises(NotFound):
            await tier.status("studio", "none")
        with pytest.raises(NotFound):
            await tier.status("other", (await tier._shelf.of("studio"))[0].id)


async def test_what_was_asked_lies_sealed_and_goes_when_it_is_over(opened: Opened, database: Database) -> None:
    async def raw() -> list[Any]:
        query = text("SELECT request, outcome FROM batch_lines")
        return await database.run("studio", lambda connection: list(connection.execute(query)))

    async with opened(run=False) as tier:
        id = await tier.submit("studio", [asking(0)], in_ms(DAY_MS))
        ((request, outcome),) = await raw()
        assert b"Night" not in bytes(request)
        assert outcome is None
    async with opened() as tier:
        await collected(tier, id)
        await until(tier, id, "ended")
    ((request, outcome),) = await raw()
    assert request is None
    assert WORDS.encode() not in bytes(outcome)
