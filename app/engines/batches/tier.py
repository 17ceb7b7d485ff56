"""Work that can wait, to its end: sent to a vendor whose batches the tenant may use, else written line by line here.

A batch lies in the database, so a restart goes on where it was, and of several servers one looks after it. Lines
that a vendor fails are written here once more. It knows no SDK and no table.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from app.core.batches import OVER, Batch, Line, Outcome, Settings, Shelf, State
from app.core.clock import Clock, Deadline
from app.core.errors import (
    DeadlineExceeded,
    EngineDown,
    Error,
    Invalid,
    NotPermitted,
    OverBudget,
    Overloaded,
    Refused,
    StoreDown,
    Unavailable,
)
from app.core.ids import new_id
from app.core.ports import Log
from app.core.spending import Amount, Budgets, Reservation, Spender
from app.core.tenants import Held, NoRules, Rules, may_write, require_active
from app.core.words import Bill, Completion, Spent, ToolCall, Words, WordsDelta, WordsEnd, WordsToolDelta
from app.engines.batches.vendor import Answered, Vendor
from app.engines.orchestration.seam import instructed

TRIES_MAX = 2
"""A line that failed, at a vendor or here, is written once more."""
RENEW_SHARE = 0.4
"""Of the time that a reservation lasts; a batch waits far longer than one."""
ROUND_SHARE = 0.25
"""Of the lease: a round goes on no longer, since one line may take what is left of it."""
LOOK_S = 0.5
"""Between two looks at what another server may have written."""
Booked = Callable[[str, str, Completion, Sequence[Spent], str], Awaitable[None]]
"""Writes what a line has cost to its world: tenant, world, completion, what was spent, a key of its own."""


class BatchTier:
    """Implements app.core.batches.Batches over a shelf, any number of vendors and an engine for all else."""

    def __init__(
        self,
        words: Words,
        shelf: Shelf,
        vendors: Sequence[Vendor],
        *,
        clock: Clock,
        log: Log,
        settings: Settings,
        owner: str,
        booked: Booked,
        hold_ms: int,
        regions: Mapping[str, str],
        budgets: Budgets | None = None,
        rules: Rules | None = None,
    ) -> None:
        """`vendors` in the order to try them; `hold_ms` is how long a reservation of `budgets` lasts."""
        self._words, self._shelf = words, shelf
        self._vendors = {vendor.engine: vendor for vendor in vendors}
        self._clock, self._log, self._settings, self._owner = clock, log, settings, owner
        self._booked, self._budgets, self._regions = booked, budgets, regions
        self._rules: Rules = rules or NoRules()
        self._renew_s = hold_ms / 1000.0 * RENEW_SHARE
        self._holds: dict[tuple[str, str], dict[int, tuple[Reservation, float]]] = {}
        """By batch and row: what is reserved, and since when."""
        self._handed_in = asyncio.Event()
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after what waits, until `close`."""
        self._task = asyncio.create_task(self._run(), name="batches")

    async def close(self) -> None:
        """Look after nothing more; what waits goes on after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for vendor in self._vendors.values():
            await vendor.close()

    async def submit(self, tenant: str, completions: Sequence[Completion], wait_until_ms: int) -> str:
        """See app.core.batches.Batches."""
        now_ms = self._clock.wall_ms()
        held = self._rules.of(tenant)
        require_active(held)
        self._require(tenant, completions, wait_until_ms - now_ms)
        if sum(batch.state not in OVER for batch in await self._shelf.of(tenant)) >= self._settings.open_max:
            raise Overloaded(f"tenant {tenant!r} has {self._settings.open_max} batches open", retry_after_s=60.0)
        vendor = self._vendor(held, completions)
        batch = Batch(
            tenant=tenant,
            id=new_id(now_ms),
            state="ready" if vendor else "local",
            engine=vendor.engine if vendor else "",
            lines=len(completions),
            created_ms=now_ms,
            wait_until_ms=wait_until_ms,
        )
        if vendor is not None:
            await self._reserve(batch, vendor, [*enumerate(completions)])
        try:
            await self._shelf.add(batch, completions)
        except StoreDown:
            self._release(batch)
            raise
        self._log.info("batch.submitted", tenant=tenant, id=batch.id, engine=batch.engine, rows=batch.lines)
        self._handed_in.set()
        return batch.id

    async def status(self, tenant: str, id: str) -> Batch:
        """See app.core.batches.Batches."""
        return await self._shelf.get(tenant, id)

    async def results(self, tenant: str, id: str) -> AsyncGenerator[Outcome]:
        """See app.core.batches.Batches."""
        seen: list[int] = []
        while True:
            over = (await self._shelf.get(tenant, id)).state in OVER
            for outcome in await self._shelf.outcomes(tenant, id, but=seen):
                seen.append(outcome.row)
                yield outcome
            if over:
                return
            try:
                async with asyncio.timeout(LOOK_S), self._changed:
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def cancel(self, tenant: str, id: str) -> None:
        """See app.core.batches.Batches."""
        await self._shelf.want_cancelled(tenant, id)
        self._handed_in.set()

    def _require(self, tenant: str, completions: Sequence[Completion], wait_ms: int) -> None:
        most = self._settings.lines_max
        if not 0 < len(completions) <= most:
            raise Invalid(f"a batch of {len(completions)} completions", hint=f"hand in 1 to {most} at once")
        if not 0 < wait_ms <= self._settings.wait_ms_max:
            raise Invalid(f"a batch that waits {wait_ms} ms", hint=f"wait up to {self._settings.wait_ms_max} ms")
        if other := next((one.tenant for one in completions if one.tenant != tenant), None):
            raise Invalid(f"a completion of tenant {other!r} in a batch of {tenant!r}", hint="one batch, one tenant")

    def _vendor(self, held: Held, completions: Sequence[Completion]) -> Vendor | None:
        """The first whose batches may have every line; None leaves it to the ordinary way, which decides line by line.

        Raises NotPermitted where the tenant lets no model write at all.
        """
        if held.settings.security_level == "strict":
            raise NotPermitted(f"no engine may write: {may_write(held, '', None)}", hint="see GET /v1/settings")
        worlds, variants = {one.world for one in completions}, {one.variant for one in completions}
        for name, vendor in self._vendors.items():
            region = self._regions.get(name)
            if variants <= {"", name} and not any(may_write(held, name, region, world) for world in worlds):
                return vendor
        return None

    # Money

    async def _reserve(self, batch: Batch, vendor: Vendor, rows: Sequence[tuple[int, Completion]]) -> None:
        """Room for every row; raises OverBudget, and then for none."""
        if self._budgets is None:
            return
        holds = self._holds.setdefault((batch.tenant, batch.id), {})
        now_s = self._clock.monotonic_s()
        for row, completion in rows:
            most = vendor.most(completion)
            amount = Amount(nano_usd=most.cost_nano_usd, tokens=most.tokens_in + most.tokens_out)
            try:
                holds[row] = await self._budgets.reserve(_spender(completion), amount), now_s
            except OverBudget:
                self._release(batch)
                raise

    async def _renew(self, batch: Batch, vendor: Vendor) -> None:
        """Reserve anew what would lapse, and after a restart all that is open; what finds no room is charged later."""
        if self._budgets is None:
            return
        key = (batch.tenant, batch.id)
        if key not in self._holds:
            lines = await self._shelf.lines(*key)
            try:
                await self._reserve(batch, vendor, [(line.row, line.completion) for line in lines])
            except OverBudget as error:
                self._holds[key] = {}
                self._log.warning("batch.unreserved", tenant=batch.tenant, id=batch.id, reason=error.message)
            return
        now_s = self._clock.monotonic_s()
        for row, (hold, since_s) in self._holds[key].items():
            if now_s - since_s < self._renew_s:
                continue
            self._budgets.settle(hold, Amount())
            try:
                self._holds[key][row] = await self._budgets.reserve(hold.spender, hold.most), now_s
            except OverBudget as error:  # the old one has lapsed: it is charged all the same when it is answered
                self._log.warning("batch.unreserved", tenant=batch.tenant, id=batch.id, reason=error.message)

    def _settle(self, batch: Batch, row: int, spent: Amount) -> None:
        held = self._holds.get((batch.tenant, batch.id), {}).pop(row, None)
        if self._budgets is not None and held is not None:
            self._budgets.settle(held[0], spent)

    def _release(self, batch: Batch) -> None:
        for row in [*self._holds.get((batch.tenant, batch.id), ())]:
            self._settle(batch, row, Amount())
        self._holds.pop((batch.tenant, batch.id), None)

    # The task that looks after what waits.

    async def _run(self) -> None:
        while True:
            pause_ms = self._settings.poll_ms
            self._handed_in.clear()
            try:
                if await self._round():
                    pause_ms = self._settings.pause_ms
            except StoreDown as error:
                self._log.warning("batches.unsure", reason=error.message)
            try:
                async with asyncio.timeout(pause_ms / 1000.0):
                    await self._handed_in.wait()
            except TimeoutError:
                continue

    async def _round(self) -> bool:
        """One step of every batch that is ours; True when one of them wants the next soon."""
        now_ms = self._clock.wall_ms()
        soon = False
        taken = await self._shelf.take(self._owner, now_ms, now_ms + self._settings.lease_ms)
        for batch in sorted(taken, key=lambda batch: batch.state == "local"):  # what is quick goes first
            if self._clock.wall_ms() > now_ms + self._settings.lease_ms * ROUND_SHARE:
                return True  # ours no longer for sure
            try:
                soon = await self._step(batch, now_ms) or soon
            except StoreDown:
                raise
            except Error as error:
                self._log.warning("batch.waits", tenant=batch.tenant, id=batch.id, reason=error.message)
            async with self._changed:
                self._changed.notify_all()
        return soon

    async def _step(self, batch: Batch, now_ms: int) -> bool:
        vendor = self._vendors.get(batch.engine)
        if batch.cancel or now_ms >= batch.wait_until_ms:
            await self._stop(batch, vendor, now_ms)
            return False
        if batch.state == "local":
            return await self._write_next(batch)
        if vendor is None:  # the profile has lost it: what it has is lost, and is written here
            await self._keep(batch, state="local", engine="", remote="")
            return True
        if self._vendor_fault(batch, vendor) and batch.state == "ready":
            self._release(batch)
            await self._keep(batch, state="local", engine="")
            return True
        await self._renew(batch, vendor)
        if batch.state == "ready":
            return await self._send(batch, vendor)
        return await self._read(batch, vendor) if await vendor.over(batch.remote) else False

    def _vendor_fault(self, batch: Batch, vendor: Vendor) -> str:
        """Why the vendor may not have the batch now: settings may have changed since it was handed in."""
        held = self._rules.of(batch.tenant)
        return "suspended" if held.suspended else may_write(held, vendor.engine, self._regions.get(vendor.engine))

    async def _send(self, batch: Batch, vendor: Vendor) -> bool:
        lines = await self._shelf.lines(batch.tenant, batch.id)
        held = self._rules.of(batch.tenant)
        completions = [_told(line.completion, held) for line in lines]
        barred = any(may_write(held, vendor.engine, self._regions.get(vendor.engine), one.world) for one in completions)
        if barred or len(lines) < batch.lines:  # the vendor counts rows, and the lines of an erased person are gone
            self._release(batch)
            await self._keep(batch, state="local", engine="")
            return True
        try:
            remote = await vendor.send(batch.id, completions)
        except (EngineDown, Refused) as error:
            self._log.warning("batch.refused", tenant=batch.tenant, id=batch.id, reason=error.message)
            self._release(batch)
            await self._keep(batch, state="local", engine="")
            return True
        await self._keep(batch, state="sent", remote=remote)
        return False

    async def _read(self, batch: Batch, vendor: Vendor) -> bool:
        """Take what the vendor has written; what it has failed is written here."""
        lines = {line.row: line for line in await self._shelf.lines(batch.tenant, batch.id)}
        completions = _all_rows(lines, batch.lines)
        async with aclosing(vendor.results(batch.remote, completions)) as found:
            outcomes = [
                self._outcome(vendor, lines[read.row], read.answered)
                async for read in found
                if read.row in lines and read.answered is not None
            ]
        done = {outcome.row for outcome in outcomes}
        left = [row for row in lines if row not in done]
        for outcome in outcomes:  # before they are kept: what is read again after a crash is billed once, by its key
            key = f"batch.{batch.id}.{outcome.row}"
            await self._book(batch, lines[outcome.row].completion, outcome, key)
        batch = await self._keep(batch, outcomes, failed=left, state="local" if left else "ended")
        for outcome in outcomes:
            self._settle(batch, outcome.row, _amount(outcome.spent))
        self._release(batch)
        return bool(left)

    def _outcome(self, vendor: Vendor, line: Line, answered: Answered) -> Outcome:
        spent = Spent(
            engine=vendor.engine,
            model=answered.model,
            task=line.completion.task,
            usage=answered.usage,
            outcome=answered.reason,
            estimated=False,
            region=self._regions.get(vendor.engine, ""),
        )
        return Outcome(row=line.row, text=answered.text, calls=answered.calls, reason=answered.reason, spent=(spent,))

    async def _write_next(self, batch: Batch) -> bool:
        """Write one line the ordinary way; one that fails has another chance after all others."""
        lines = await self._shelf.lines(batch.tenant, batch.id, rows_max=1)
        if not lines:
            await self._keep(batch, state="ended")
            return False
        (line,) = lines
        if self._rules.of(batch.tenant).suspended:
            return False
        outcome = await self._write(line, min(batch.wait_until_ms - self._clock.wall_ms(), self._settings.line_ms))
        key = f"batch.{batch.id}.{line.row}.{new_id(self._clock.wall_ms())}"  # each writing is paid for
        await self._book(batch, line.completion, outcome, key)
        if outcome.error and line.tries + 1 < TRIES_MAX:
            await self._keep(batch, failed=[line.row])
        else:
            await self._keep(batch, [outcome])
        return True

    async def _write(self, line: Line, left_ms: float) -> Outcome:
        bill = Bill()
        completion = msgspec.structs.replace(line.completion, bill=bill)
        text, reason, calls, error = "", "", dict[int, ToolCall](), ""
        try:
            async with aclosing(self._words.stream(completion, Deadline.after_ms(left_ms, self._clock))) as events:
                async for event in events:
                    match event:
                        case WordsDelta():
                            text += event.text
                        case WordsToolDelta():
                            calls[event.index] = _grown(calls.get(event.index), event)
                        case WordsEnd():
                            reason = event.reason
        except (Unavailable, Refused, DeadlineExceeded) as failed:
            error = f"{failed.code}: {failed.message}"
        if not reason and not error:
            error = f"{EngineDown.code}: it ended without a finish"
        if error:
            text, calls = "", {}
        return Outcome(
            row=line.row,
            text=text,
            calls=tuple(calls.values()),
            reason=reason,
            error=error,
            spent=tuple(bill.items),
        )

    async def _stop(self, batch: Batch, vendor: Vendor | None, now_ms: int) -> None:
        """End it before all is written: what the vendor has by now is taken, and the rest is given up."""
        if batch.state == "sent" and vendor is not None and now_ms < batch.wait_until_ms + self._settings.line_ms:
            await vendor.cancel(batch.remote)
            if not await vendor.over(batch.remote):
                return  # it tells soon what it had written: that is paid
            await self._read(batch, vendor)
            batch = await self._shelf.get(batch.tenant, batch.id)
        if batch.state in OVER:
            return
        lines = await self._shelf.lines(batch.tenant, batch.id)
        state: State = "cancelled" if batch.cancel else "expired"
        self._release(batch)
        await self._keep(batch, [Outcome(row=line.row, error=state) for line in lines], state=state)

    async def _book(self, batch: Batch, completion: Completion, outcome: Outcome, key: str) -> None:
        """Write the bill to the world, once for each key."""
        if not outcome.spent or not completion.world:
            return
        try:
            await self._booked(batch.tenant, completion.world, completion, outcome.spent, key)
        except Refused as error:  # such as a world that is gone
            self._log.error("bill.dropped", key=key, reason=error.message)

    async def _keep(
        self, batch: Batch, outcomes: Sequence[Outcome] = (), *, failed: Sequence[int] = (), **changes: object
    ) -> Batch:
        """Write down what has changed; returns the batch as it is now."""
        cost = sum(spent.usage.cost_nano_usd for outcome in outcomes for spent in outcome.spent)
        bad = sum(bool(outcome.error) for outcome in outcomes)
        now = msgspec.structs.replace(
            batch,
            done=batch.done + len(outcomes) - bad,
            failed=batch.failed + bad,
            cost_nano_usd=batch.cost_nano_usd + cost,
            **changes,
        )
        if now.state in OVER:
            now = msgspec.structs.replace(now, ended_ms=self._clock.wall_ms())
            self._log.info(
                "batch.ended", tenant=now.tenant, id=now.id, outcome=now.state, rows=now.done, bad_rows=now.failed
            )
        await self._shelf.keep(now, outcomes, failed=failed)
        return now


def _told(completion: Completion, held: Held) -> Completion:
    """The completion with the tenant's own safety text, as the ordinary way adds it."""
    return instructed(completion, held.settings.safety_text) if held.settings.safety_text else completion


def _all_rows(lines: Mapping[int, Line], rows: int) -> list[Completion]:
    """A completion for each row, so that a result is read by the row that it names."""
    nothing = Completion(task="", output_tokens_max=0)
    return [lines[row].completion if row in lines else nothing for row in range(rows)]


def _grown(call: ToolCall | None, delta: WordsToolDelta) -> ToolCall:
    if call is None:
        return ToolCall(id=delta.id, name=delta.name, arguments=delta.arguments)
    return msgspec.structs.replace(call, arguments=call.arguments + delta.arguments)


def _spender(completion: Completion) -> Spender:
    return Spender(tenant=completion.tenant, world=completion.world, npc=completion.npc, player=completion.player)


def _amount(spent: Sequence[Spent]) -> Amount:
    return Amount(
        nano_usd=sum(one.usage.cost_nano_usd for one in spent),
        tokens=sum(one.usage.tokens_in + one.usage.tokens_out for one in spent),
    )
