"""The audit trail as the rest of the server sees it: what is noted waits in a bounded queue for one writer.

A note costs its caller nothing and can fail nothing. What must not happen unseen is written and awaited instead. It
knows neither the database nor how entries are chained.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.core.chain import Chains, Checkpoint, Entry
from app.core.clock import Clock
from app.core.errors import Overloaded, StoreDown
from app.core.ids import new_id
from app.core.ports import Audit, Log

HOST = "@host"
"""The tenant of what belongs to none: starts, stops and failures to sign in."""
BATCH_MAX = 256
SIGN_S = 60.0
"""A chain's end is signed at the latest so long after it was written."""
RETRY_S = 1.0
CUT_S = 3_600.0
DAY_MS = 86_400_000
ACTION_MAX, NAME_MAX, DETAIL_MAX = 64, 200, 500
"""Characters of an action, of an actor or target, and of each detail; more is cut off."""
DETAILS_MAX = 32
_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), " ")
_encoder = msgspec.json.Encoder(order="deterministic")


def entry_of(
    clock: Clock, tenant: str, actor: str, action: str, target: str, details: Mapping[str, str | int | bool]
) -> Entry:
    """An entry that has no place in a chain yet; what no database would take is made harmless."""
    now_ms = clock.wall_ms()
    kept = dict(list(details.items())[:DETAILS_MAX])
    return Entry(
        tenant=tenant,
        seq=0,
        id=new_id(now_ms),
        wall_ms=now_ms,
        actor=_clean(actor, NAME_MAX),
        action=_clean(action, ACTION_MAX),
        target=_clean(target, NAME_MAX),
        details=_encoder.encode({_clean(name, ACTION_MAX): _plain(value) for name, value in kept.items()}),
    )


def _plain(value: str | int | bool) -> str | int | bool:
    small = isinstance(value, bool) or (isinstance(value, int) and -(2**63) <= value < 2**63)
    return value if small else _clean(str(value), DETAIL_MAX)


def _clean(text: str, characters_max: int) -> str:
    return text.encode("utf-8", "replace").decode().translate(_CONTROL)[:characters_max]


@dataclass(frozen=True, slots=True)
class _Noted:
    entry: Entry
    waiter: asyncio.Future[None] | None = None


class Trail:
    """Implements app.core.ports.Audit over chains, with one task that writes."""

    def __init__(
        self,
        chains: Chains,
        *,
        clock: Clock,
        log: Log,
        queue_entries_max: int,
        retention_days: int = 0,
        checkpoint_file: Path | None = None,
    ) -> None:
        self.chains = chains
        self._clock = clock
        self._log = log
        self._queue_entries_max = queue_entries_max
        self._retention_days = retention_days
        self._checkpoint_file = checkpoint_file
        self._waiting: deque[_Noted] = deque()
        self._lost: dict[str, int] = {}
        self._unsigned_s: dict[str, float] = {}
        """Tenant -> when the end of its chain is to be signed, by the monotonic clock."""
        self._cut_s = clock.monotonic_s()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="audit")

    def note(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        if len(self._waiting) >= self._queue_entries_max:
            self._lost[tenant] = self._lost.get(tenant, 0) + 1
            return
        self._waiting.append(_Noted(entry_of(self._clock, tenant, actor, action, target, details)))
        self._wake.set()

    async def write(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        if len(self._waiting) >= self._queue_entries_max:
            raise Overloaded("the audit trail is full", hint="see why its database does not answer")
        if self._task is None or self._task.done():
            raise StoreDown("nobody writes the audit trail", hint="see the log for why it ended")
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(_Noted(entry_of(self._clock, tenant, actor, action, target, details), waiter))
        self._wake.set()
        await waiter

    async def close(self, *, patience_s: float = 5.0) -> None:
        """Write what waits and sign every chain's end, in that time; what cannot be written is told to the log."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(TimeoutError, StoreDown):
            async with asyncio.timeout(patience_s):
                while self._waiting or self._lost:
                    await self._write_waiting()
                for tenant in list(self._unsigned_s):
                    await self._append(tenant, (), close=True)
        lost = len(self._waiting) + sum(self._lost.values())
        if lost:
            self._log.error("audit.lost", entries=lost)
        for noted in self._waiting:
            _tell(noted, StoreDown("the server stops", hint="do it again when it runs"))

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while self._waiting or self._lost:
                    await self._write_waiting()
                await self._sign()
                await self._cut_old()
            except StoreDown as error:
                self._log.warning("audit.waits", entries=len(self._waiting), reason=error.message)
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    def _rest_s(self) -> float:
        now_s = self._clock.monotonic_s()
        return max(0.0, min([*self._unsigned_s.values(), self._cut_s + CUT_S]) - now_s)

    async def _write_waiting(self) -> None:
        """Write the oldest entries, tenant by tenant; raises StoreDown and keeps those that nobody awaits."""
        batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        try:
            while batch:
                tenant = batch[0].entry.tenant
                own = [noted for noted in batch if noted.entry.tenant == tenant]
                await self._append(tenant, [noted.entry for noted in own])
                batch = [noted for noted in batch if noted.entry.tenant != tenant]
                for noted in own:
                    _tell(noted, None)
        except StoreDown as error:
            for noted in batch:
                _tell(noted, error)
            batch = [noted for noted in batch if noted.waiter is None]
            raise
        finally:
            self._waiting.extendleft(reversed(batch))
        for tenant, entries in self._lost.items():
            self._waiting.append(
                _Noted(entry_of(self._clock, tenant, "host", "audit.lost", "entries", {"entries": entries}))
            )
        self._lost.clear()

    async def _append(self, tenant: str, entries: Sequence[Entry], *, close: bool = False) -> None:
        signed = await self.chains.append(tenant, entries, now_ms=self._clock.wall_ms(), close=close)
        if signed is not None:
            self._unsigned_s.pop(tenant, None)
            await self._export(signed)
        elif entries:
            self._unsigned_s.setdefault(tenant, self._clock.monotonic_s() + SIGN_S)
        else:
            self._unsigned_s.pop(tenant, None)  # another replica has signed it

    async def _sign(self) -> None:
        now_s = self._clock.monotonic_s()
        for tenant in [tenant for tenant, due_s in self._unsigned_s.items() if due_s <= now_s]:
            await self._append(tenant, (), close=True)

    async def _export(self, signed: Checkpoint) -> None:
        if self._checkpoint_file is None:
            return
        try:
            await asyncio.to_thread(_add_line, self._checkpoint_file, msgspec.json.encode(signed))
        except OSError as error:
            self._log.error("audit.not_exported", file=str(self._checkpoint_file), reason=error.strerror)

    async def _cut_old(self) -> None:
        now_s = self._clock.monotonic_s()
        if not self._retention_days or now_s < self._cut_s:
            return
        self._cut_s = now_s + CUT_S
        now_ms = self._clock.wall_ms()
        for tenant in await self.chains.tenants():
            await cut(self.chains, self, tenant, before_ms=now_ms - self._retention_days * DAY_MS, now_ms=now_ms)


def _tell(noted: _Noted, error: StoreDown | None) -> None:
    if noted.waiter is None or noted.waiter.done():
        return
    if error is None:
        noted.waiter.set_result(None)
    else:
        noted.waiter.set_exception(error)


def _add_line(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def cut(chains: Chains, audit: Audit, tenant: str, *, before_ms: int, now_ms: int) -> int:
    """Cut off what is older, and note that; how many entries went. Raises StoreDown."""
    gone, last_seq = await chains.cut(tenant, before_ms=before_ms, now_ms=now_ms)
    if gone:
        audit.note(tenant, "host", "audit.cut", f"entry:{last_seq}", entries=gone)
    return gone
