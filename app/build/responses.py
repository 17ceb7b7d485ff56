"""Opens what stands over the orchestrator: structured output, and the response cache, which hears of every world.

A world's committed events purge what was written about what they changed; tenants' settings purge what was written
under the former ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.build.engines import Engines
from app.control.tenants import Tenants, offer_of
from app.core.clock import Clock
from app.core.messages import Event
from app.core.ports import Cache, Log
from app.core.profile import Profile
from app.core.responses import Counts
from app.core.words import Words
from app.stores.events import Stream
from app.telemetry.metrics import Metrics
from app.world.events import EntityRemoved, EntityUpserted, SubjectErased, SubjectRestricted, WorldRestored
from app.world.gate.claims import Names
from app.world.state import World, Worlds
from app.world.tags import erased, tags_of

if TYPE_CHECKING:
    from app.engines.responses.cache import Responses
    from app.engines.responses.semantic.verifier import Names as Find

_RENAMING = (EntityUpserted, EntityRemoved, SubjectErased, SubjectRestricted, WorldRestored)


class Kept:
    """The response cache where there is one, as the rest of the server meets it."""

    def __init__(self, worlds: Worlds) -> None:
        self.cache: Responses | None = None
        self._worlds = worlds
        self._names: dict[tuple[str, str], Names] = {}

    def forget(self, tenant: str, world: str, player: str) -> None:
        """Let go of what was said to a player."""
        if self.cache is not None:
            self.cache.forget(tenant, world, player)

    def counts(self, tenant: str) -> Counts:
        """What is kept of a tenant, and has been done."""
        return self.cache.counts(tenant) if self.cache is not None else Counts()

    def purge(self, tenant: str, world: str, tag: str) -> None:
        """Forget what depends on the tag in that world."""
        if self.cache is not None:
            self.cache.purge(tenant, world, tag)

    def observe(self, world: World, events: Sequence[Event]) -> None:
        """Purge what a world's events have put out of date; a subscriber of the stream."""
        cache = self.cache
        if cache is None:
            return
        if not events:
            self._names.pop((world.tenant, world.id), None)
            cache.distrust()
            return
        if any(isinstance(event.change, _RENAMING) for event in events):
            self._names.pop((world.tenant, world.id), None)
        for tag in tags_of(world, events):
            cache.purge(world.tenant, world.id, tag)
        for subject in erased(events):
            cache.forget(world.tenant, world.id, subject)

    def naming(self, tenant: str, world: str) -> Find:
        """What finds the entities of a world that a text names; of a world that is not here, none."""
        key = (tenant, world)
        if key not in self._names:
            if not self._worlds.has(tenant, world):
                return _nobody
            self._names[key] = Names.of(self._worlds.get(tenant, world))
        names = self._names[key]
        return lambda text: tuple(mention.id for mention in names.find(text))


def open_responses(
    words: Words | None,
    profile: Profile,
    engines: Engines,
    *,
    shared: Cache,
    stream: Stream,
    tenants: Tenants,
    worlds: Worlds,
    clock: Clock,
    log: Log,
    metrics: Metrics,
) -> tuple[Words | None, Kept]:
    """The response cache over structured output over `words`; None without any."""
    kept = Kept(worlds)
    if words is None:
        return None, kept
    from app.engines.responses.cache import Responses
    from app.engines.responses.semantic.vectors import Hashed
    from app.engines.structured.structured import Structured

    structured = engines.add(Structured(words, profile.structured, clock=clock))
    cache = Responses(
        structured,
        profile.responses,
        clock=clock,
        log=log,
        rules=tenants,
        regions=offer_of(profile).regions,
        embedder=Hashed(),
        naming=kept.naming,
        shared=shared if profile.cache.url else None,
        local_ms=profile.cache.local_ms,
        tell=lambda outcome: metrics.answered_from(outcome).inc(),
    )
    kept.cache = cache
    stream.subscribe(kept.observe)
    tenants.changed.append(cache.obey)
    return engines.add(cache), kept


async def forget_shared(profile: Profile, tenant: str, player: str, *, clock: Clock, log: Log) -> None:
    """While no server runs: let go of what was said to a player in the cache that replicas share. Raises StoreDown."""
    section = profile.cache
    if not section.url:
        return
    from app.engines.responses.keys import PLAYER
    from app.stores.embedded.cache import EmbeddedCache
    from app.stores.redis.cache import RedisCache
    from app.stores.redis.client import Client

    client = Client(section.url, connections_max=1, command_ms=section.command_ms, log=log)
    client.start()
    near = EmbeddedCache(clock=clock, entries_max=1, value_bytes_max=1)
    try:
        await RedisCache(client, near, local_ms=1, value_bytes_max=1).purge(tenant, PLAYER + player)
    finally:
        await client.close()


def _nobody(_text: str) -> tuple[str, ...]:
    return ()
