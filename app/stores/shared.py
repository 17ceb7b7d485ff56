"""What replicas share, opened by the profile: cache, rate limits, budgets, leases and streams.

Each is in the process where its address is empty; leases are then in the database, if several servers may share
that. It does not wait for a server: one that is not there
yet is named as a fault, and is used once it comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from app.core import profile
from app.core.clock import Clock
from app.core.errors import Invalid
from app.core.ports import Cache, Leases, Log, Stream
from app.core.rates import Limiter
from app.core.spending import Budgets
from app.core.tenants import Rules
from app.stores.database import Database
from app.stores.embedded.budgets import EmbeddedBudgets
from app.stores.embedded.cache import EmbeddedCache
from app.stores.embedded.leases import EmbeddedLeases
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.embedded.streams import EmbeddedStream


class Server(Protocol):
    """A server that something shared lives on."""

    @property
    def fault(self) -> str:
        """Why it cannot be used now; empty while it can."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Shared:
    """The five stores, and by section of the profile the servers they live on; closed from the last to the first."""

    cache: Cache
    limiter: Limiter
    budgets: Budgets
    leases: Leases
    stream: Stream
    servers: dict[str, Server]
    closers: tuple[Callable[[], Awaitable[None]], ...] = ()
    """What must end before its server is left."""

    def faults(self) -> dict[str, str]:
        """Section -> why its server cannot be used now."""
        return {section: server.fault for section, server in self.servers.items() if server.fault}

    async def close(self) -> None:
        for close in self.closers:
            await close()
        for server in reversed(list(self.servers.values())):
            await server.close()


def open_shared(chosen: profile.Profile, *, database: Database, clock: Clock, log: Log, rules: Rules) -> Shared:
    """Open what the profile names; raises Invalid for an address of another kind or a package that is missing."""
    servers: dict[str, Server] = {}
    try:
        line = _open_stream(chosen.stream, servers, clock=clock, log=log)
        return _open_cache(chosen, line, servers, database=database, clock=clock, log=log, rules=rules)
    except ModuleNotFoundError as error:
        package = error.name or ""
        raise Invalid(f"the package {package!r} is not installed", hint=f"uv sync --extra {package}") from error


def _open_cache(
    chosen: profile.Profile,
    line: Stream,
    servers: dict[str, Server],
    *,
    database: Database,
    clock: Clock,
    log: Log,
    rules: Rules,
) -> Shared:
    section = chosen.cache
    near = EmbeddedCache(clock=clock, entries_max=section.entries_max, value_bytes_max=section.value_bytes_max)
    counts = EmbeddedLimiter(clock=clock, keys_max=section.keys_max)
    if chosen.budgets.hold_ms <= 2 * chosen.server.deadline_ms_max:
        raise Invalid(
            f"budgets.hold_ms is {chosen.budgets.hold_ms}",
            hint="give more than twice server.deadline_ms_max: a reservation must outlast its call",
        )
    accounts = EmbeddedBudgets(chosen.budgets, clock=clock, log=log, accounts_max=section.keys_max, rules=rules)
    if not section.url:
        return Shared(near, counts, accounts, _open_leases(section, database, clock), line, servers)
    _require("cache", section.url, "redis", "rediss")
    if not 0.0 < section.alone_share <= 1.0:
        raise Invalid(f"cache.alone_share is {section.alone_share!r}", hint="give 1 / replicas, above 0 and up to 1")
    from app.stores.redis.allowance import Allowance
    from app.stores.redis.budgets import RedisBudgets
    from app.stores.redis.cache import RedisCache
    from app.stores.redis.client import Client
    from app.stores.redis.leases import RedisLeases
    from app.stores.redis.limiter import RedisLimiter

    client = Client(section.url, connections_max=section.connections_max, command_ms=section.command_ms, log=log)
    client.start()
    servers["cache"] = client
    limiter = RedisLimiter(client, counts, alone_share=section.alone_share)
    allowance = Allowance(limiter, clock=clock, lease_ms=chosen.limits.lease_ms, keys_max=section.keys_max)
    alone = section.alone_share == 1.0
    budgets = RedisBudgets(client, accounts, hold_ms=chosen.budgets.hold_ms, alone=alone)
    budgets.start()
    return Shared(
        RedisCache(client, near, local_ms=section.local_ms, value_bytes_max=section.value_bytes_max),
        allowance,
        budgets,
        RedisLeases(client, clock=clock) if database.alone is None else _open_leases(section, database, clock),
        line,
        servers,
        (allowance.close, budgets.close),
    )


def _open_leases(section: profile.Cache, database: Database, clock: Clock) -> Leases:
    """Leases without a server of their own: in the process that is alone with its database, else in that."""
    if database.alone is not None:
        return EmbeddedLeases(clock=clock, names_max=section.keys_max)
    from app.stores.postgres_leases import PostgresLeases

    return PostgresLeases(database, clock=clock)


def _open_stream(section: profile.Stream, servers: dict[str, Server], *, clock: Clock, log: Log) -> Stream:
    if not section.url:
        return EmbeddedStream(
            clock=clock,
            entries_max=section.entries_max,
            dead_max=section.dead_max,
            tries_max=section.tries_max,
            retry_ms=section.retry_ms,
        )
    if _require("stream", section.url, "redis", "rediss", "pulsar", "pulsar+ssl").startswith("pulsar"):
        from app.stores.pulsar import PulsarStream

        broker = PulsarStream(section.url, tries_max=section.tries_max, retry_ms=section.retry_ms, log=log)
        servers["stream"] = broker
        return broker
    from app.stores.redis.client import Client
    from app.stores.redis.streams import RedisStream

    client = Client(section.url, connections_max=section.connections_max, command_ms=section.command_ms, log=log)
    client.start()
    servers["stream"] = client
    return RedisStream(
        client,
        clock=clock,
        entries_max=section.entries_max,
        dead_max=section.dead_max,
        tries_max=section.tries_max,
        retry_ms=section.retry_ms,
    )


def _require(section: str, url: str, *schemes: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme not in schemes:
        known = " or ".join(f"{known}://…" for known in schemes)
        raise Invalid(f"{section}.url begins with {scheme!r}", hint=f"write {known}, or leave it empty")
    return scheme
