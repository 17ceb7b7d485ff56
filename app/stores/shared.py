"""What replicas share, opened by the profile: cache, rate limits, leases and streams.

Each is in the process where its address is empty; leases are then in the database, if several servers may share
that. It does not wait for a server: one that is not there
yet is named as a fault, and is used once it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from app.core import profile
from app.core.clock import Clock
from app.core.errors import Invalid
from app.core.ports import Cache, Leases, Limiter, Log, Stream
from app.stores.database import Database
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
    """The four stores, and by section of the profile the servers they live on; closed from the last to the first."""

    cache: Cache
    limiter: Limiter
    leases: Leases
    stream: Stream
    servers: dict[str, Server]

    def faults(self) -> dict[str, str]:
        """Section -> why its server cannot be used now."""
        return {section: server.fault for section, server in self.servers.items() if server.fault}

    async def close(self) -> None:
        for server in reversed(list(self.servers.values())):
            await server.close()


def open_shared(cache: profile.Cache, stream: profile.Stream, *, database: Database, clock: Clock, log: Log) -> Shared:
    """Open what the two sections name; raises Invalid for an address of another kind or a package that is missing."""
    servers: dict[str, Server] = {}
    try:
        stores = _open_cache(cache, servers, database=database, clock=clock, log=log)
        line = _open_stream(stream, servers, clock=clock, log=log)
    except ModuleNotFoundError as error:
        package = error.name or ""
        raise Invalid(f"the package {package!r} is not installed", hint=f"uv sync --extra {package}") from error
    return Shared(*stores, line, servers)


def _open_cache(
    section: profile.Cache, servers: dict[str, Server], *, database: Database, clock: Clock, log: Log
) -> tuple[Cache, Limiter, Leases]:
    near = EmbeddedCache(clock=clock, entries_max=section.entries_max, value_bytes_max=section.value_bytes_max)
    counts = EmbeddedLimiter(clock=clock, keys_max=section.keys_max)
    own = EmbeddedLeases(clock=clock, names_max=section.keys_max)
    if not section.url:
        if database.alone is None:
            from app.stores.postgres_leases import PostgresLeases

            return near, counts, PostgresLeases(database, clock=clock)
        return near, counts, own
    _require("cache", section.url, "redis", "rediss")
    if not 0.0 < section.alone_share <= 1.0:
        raise Invalid(f"cache.alone_share is {section.alone_share!r}", hint="give 1 / replicas, above 0 and up to 1")
    from app.stores.redis.cache import RedisCache
    from app.stores.redis.client import Client
    from app.stores.redis.leases import RedisLeases
    from app.stores.redis.limiter import RedisLimiter

    client = Client(section.url, connections_max=section.connections_max, command_ms=section.command_ms, log=log)
    client.start()
    servers["cache"] = client
    return (
        RedisCache(client, near, local_ms=section.local_ms, value_bytes_max=section.value_bytes_max),
        RedisLimiter(client, counts, alone_share=section.alone_share),
        RedisLeases(client, clock=clock) if database.alone is None else own,
    )


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
