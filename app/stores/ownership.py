"""Who owns which world among replicas, and how a world changes its owner.

A replica lives while it renews one lease; a world's row names its owner and counts its owners (the fence, which every
commit shows). A world without a living owner goes to the replica that is asked for it. It moves no request itself.
The method is Kleppmann's fencing token ("How to do distributed locking", 2016) with the token kept where it is
checked: a replica that is wrong about the lease can serve an old read, never commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from app.core.clock import Clock
from app.core.errors import Conflict, StoreDown, Unavailable
from app.core.ports import Lease, Leases, Log
from app.stores import repositories
from app.stores.database import Database
from app.stores.failpoints import Reached, nothing
from app.stores.journal import WorldJournal
from app.stores.repositories import Claim
from app.stores.tenancy import EVERY_TENANT, SERVERS
from app.world.state import World, Worlds

RENEWALS = 3
"""Renewals in the length of a lease."""
SEEN_S = 0.25
"""How long it is believed that a replica lives, or where a world is, without looking again."""
SEEN_MAX = 4_096
TRIES = 3
ANSWER_S = 0.1
"""When whoever met a world on the move should ask again."""


@dataclass(slots=True)
class _Seen:
    """What was looked up lately, by name; forgotten as a whole when it grows too long."""

    clock: Clock
    kept: dict[object, tuple[float, object]] = field(default_factory=dict)

    def get(self, name: object) -> object | None:
        at_s, value = self.kept.get(name, (0.0, None))
        return value if self.clock.monotonic_s() - at_s < SEEN_S else None

    def last(self, name: object) -> object | None:
        """What was seen, however long ago: for when nobody can tell anew."""
        return self.kept.get(name, (0.0, None))[1]

    def put(self, name: object, value: object) -> None:
        if len(self.kept) >= SEEN_MAX:
            self.kept.clear()
        self.kept[name] = (self.clock.monotonic_s(), value)


class Ownership:
    """Implements app.core.ports.Places for the replica `name`, which is its address where it has one.

    Over SQLite, which no other process may serve, `alone` is set: every world is here from the start.
    """

    def __init__(
        self,
        *,
        name: str,
        alone: bool,
        leases: Leases,
        database: Database,
        journal: WorldJournal,
        worlds: Worlds,
        clock: Clock,
        log: Log,
        lease_ms: int,
        reached: Reached = nothing,
    ) -> None:
        self.name = name
        self._alone = alone
        self._leases = leases
        self._database = database
        self._journal = journal
        self._worlds = worlds
        self._clock = clock
        self._log = log
        self._lease_ms = lease_ms
        self._reached = reached
        self._lease: Lease | None = None
        self._until_s = 0.0
        self._seen = _Seen(clock)
        self._opening: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._renewal = asyncio.Lock()
        self._displaced = False
        self.before_taking: Callable[[World], Awaitable[None]] | None = None
        """Awaited with a world that is taken after the start, before anybody else can see it here."""
        self.fault = ""
        """Why this replica cannot tell what it owns; empty while it can."""

    async def start(self) -> int:
        """Become known, take the worlds that were this replica's or nobody's, and return how many events that replayed.

        Raises StoreDown without the database; a lease server that is gone is waited for by the renewals.
        """
        await self._renew()
        replayed = 0
        for seen in await self._database.run(EVERY_TENANT, repositories.claims):
            if self._alone or seen.owner in ("", self.name):
                taken = await self._take(seen)
                replayed += await self._journal.open(taken) if taken is not None else 0
        self._renewing = asyncio.create_task(self._renew_on(), name="ownership")
        self._reached("worlds.restored")
        return replayed

    async def close(self) -> None:
        """Give up every world and the name; the next replica that is asked for one need not wait."""
        tasks = [*self._opening.values(), *([self._renewing] if self._renewing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._lease is None or self._displaced:
            return
        try:
            for tenant in {world.tenant for world in self._worlds.all()}:
                await self._database.run(tenant, partial(repositories.leave_worlds, tenant=tenant, owner=self.name))
            await self._leases.release(self._lease)
        except StoreDown as error:
            self._log.warning("ownership.not_released", reason=error.message)

    def faults(self) -> dict[str, str]:
        """`ownership` -> why it cannot tell; empty while it can."""
        return {"ownership": self.fault} if self.fault else {}

    def here(self, tenant: str, world: str) -> bool:
        return self._worlds.has(tenant, world) and self._clock.monotonic_s() < self._until_s

    async def find(self, tenant: str, world: str) -> str:
        if self._clock.monotonic_s() >= self._until_s:
            await self._renew()
        if self._alone or self._worlds.has(tenant, world):
            return ""
        known = self._seen.get((tenant, world))
        if isinstance(known, str):
            return known
        task = self._opening.get((tenant, world))
        if task is None:
            task = asyncio.create_task(self._find(tenant, world), name=f"find {world}")
            self._opening[tenant, world] = task
            task.add_done_callback(lambda _task: self._opening.pop((tenant, world), None))
        try:
            return await asyncio.shield(task)
        except StoreDown:
            before = self._seen.last((tenant, world))
            if isinstance(before, str):
                return before  # its owner answers from memory, database or not
            raise

    async def lives(self, address: str) -> bool:
        known = self._seen.get(address)
        if known is None:
            known = await self._leases.holder(SERVERS, f"replica {address}") is not None
            self._seen.put(address, known)
        return bool(known)

    async def all(self, tenant: str) -> Sequence[tuple[str, str]]:
        if self._alone:
            return [(world.id, "") for world in self._worlds.of(tenant)]
        known = await self._database.run(tenant, partial(repositories.claims_of, tenant=tenant))
        return [(one.world, "" if self._worlds.has(tenant, one.world) else one.owner) for one in known]

    def doubt(self, address: str) -> None:
        self._seen.kept.clear()

    def lost(self, claim: Claim) -> None:
        """A commit was refused: the world has another owner."""
        self._journal.drop(claim.tenant, claim.world, claim.fence)

    async def _find(self, tenant: str, world: str) -> str:
        """Look the world up and take it where its owner is gone; raises StoreDown, Unavailable."""
        for _ in range(TRIES):
            seen = await self._database.run(tenant, lambda connection: repositories.claim_of(connection, tenant, world))
            if seen is None:
                return ""
            if seen.owner not in ("", self.name) and await self.lives(seen.owner):
                self._seen.put((tenant, world), _address(seen, self._lease_ms))
                return seen.owner
            taken = await self._take(seen)
            if taken is not None:
                replayed = await self._journal.open(taken, before=self.before_taking)
                self._log.info(
                    "world.taken", tenant=tenant, world=world, after=seen.owner, fence=taken.fence, events=replayed
                )
                return ""
        raise StoreDown(f"world {world!r} is on the move", hint="ask again", retry_after_s=ANSWER_S)

    async def _take(self, seen: Claim) -> Claim | None:
        if self._displaced:
            raise self._stranger()
        return await self._database.run(
            seen.tenant, lambda connection: repositories.take_world(connection, seen.tenant, seen, self.name)
        )

    async def _acquire(self) -> Lease | None:
        return await self._leases.acquire(SERVERS, f"replica {self.name}", self.name, ttl_ms=self._lease_ms)

    def _keep(self, lease: Lease | None) -> None:
        self._lease = lease or self._lease
        if lease is not None:
            self._until_s = lease.until_s

    async def _renew_on(self) -> None:
        while not self._displaced:
            await asyncio.sleep(self._lease_ms / 1000.0 / RENEWALS)
            try:
                await self._renew()
            except Unavailable as error:
                self._log.debug("ownership.unsure", reason=error.message)

    async def _renew(self) -> None:
        """Renew the lease; one that ended meanwhile is taken again, and what was lost with it is dropped.

        Raises Unavailable when another process has this replica's name.
        """
        async with self._renewal:
            if self._displaced:
                raise self._stranger()
            try:
                await self._renew_once()
            except StoreDown as error:
                # Who cannot reach the leases cannot take a world either, and a commit still shows the fence.
                self._until_s = self._clock.monotonic_s() + self._lease_ms / 1000.0
                self._tell(error.message)
            else:
                self._tell("")

    async def _renew_once(self) -> None:
        lease = self._lease
        if lease is not None:
            ended = self._clock.monotonic_s() >= lease.until_s
            try:
                self._keep(await self._leases.renew(lease, ttl_ms=self._lease_ms))
            except Conflict:
                # A lease that is gone before its end was taken by a twin, or its server has lost its memory.
                if not ended and await self._leases.holder(SERVERS, lease.name) is not None:
                    self._displace()
                    raise self._stranger() from None
            else:
                return
        self._keep(await self._acquire())
        await self._check()

    async def _check(self) -> None:
        """Drop the worlds that were taken from this replica while it was not heard of."""
        known = await self._database.run(EVERY_TENANT, repositories.claims)
        mine = {(one.tenant, one.world): one for one in known}
        for world in self._worlds.all():
            row = mine.get((world.tenant, world.id))
            if row is None or (row.owner, row.fence) != (self.name, world.fence):
                self._log.warning("world.moved", tenant=world.tenant, world=world.id, fence=world.fence)
                self._journal.drop(world.tenant, world.id, world.fence)

    def _displace(self) -> None:
        self._displaced = True
        self._until_s = 0.0
        self._tell(self._stranger().message)
        for world in self._worlds.all():
            self._journal.drop(world.tenant, world.id, world.fence)

    def _stranger(self) -> Unavailable:
        return Unavailable(
            f"another process runs under this replica's name {self.name!r}",
            hint="give each replica an ownership.address of its own, and restart this one",
        )

    def _tell(self, fault: str) -> None:
        if fault and not self.fault:
            self._log.warning("ownership.unsure", reason=fault)
        elif self.fault and not fault:
            self._log.info("ownership.sure")
        self.fault = fault


def _address(claim: Claim, lease_ms: int) -> str:
    """Where the owner of a world is reached; raises Unavailable for one that has a name and no address."""
    if "://" in claim.owner:
        return claim.owner
    raise Unavailable(
        f"world {claim.world!r} is kept by {claim.owner!r}, which has no address",
        hint="set ownership.address on every replica",
        retry_after_s=lease_ms / 1000.0,
    )
