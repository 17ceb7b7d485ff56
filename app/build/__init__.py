"""The composition root: a profile becomes a running server.

Reads top to bottom in the order of dependency and closes in reverse. The only package that names
concrete engines (in `engines.py`) and modules; heavy libraries are imported only when the profile names them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from app.build.engines import Engines, open_network, open_words
from app.control.auth import ALL_SCOPES, Authority, Key, make_key
from app.core.clock import Clock, SystemClock
from app.core.module import Module
from app.core.ports import Log
from app.core.profile import Profile
from app.edge.feed import Feed
from app.edge.limits import Limits
from app.edge.router import Router
from app.edge.session import Sessions
from app.modules.behavior import module as behavior_module
from app.modules.behavior.settings import Settings as BehaviorSettings
from app.modules.dialogue import module as dialogue_module
from app.modules.dialogue.settings import Settings as DialogueSettings
from app.modules.pathfinding import module as pathfinding_module
from app.modules.pathfinding.settings import Settings as PathfindingSettings
from app.modules.quests import module as quests_module
from app.modules.quests.settings import Settings as QuestsSettings
from app.modules.world import module as world_module
from app.modules.world.settings import Settings as WorldSettings
from app.stores import failpoints, repositories
from app.stores.database import Database, open_database
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.events import Stream
from app.stores.features.opening import OpenFeatures, open_features
from app.stores.journal import WorldJournal
from app.stores.outlet import Outlet
from app.stores.shared import Shared, open_shared
from app.stores.usage import spent
from app.stores.writer import Writer
from app.telemetry.logs import open_log
from app.telemetry.metrics import Metrics, RungWatch
from app.world.state import Worlds

ROOT = Path(__file__).resolve().parents[2]
"""Where profiles, models and migrations lie: beside the package."""
SIGNING_KEY_BYTES = 32
DEFAULT_TENANT = "default"

MODULE_SETTINGS: Mapping[str, type[msgspec.Struct]] = {
    "world": WorldSettings,
    "behavior": BehaviorSettings,
    "pathfinding": PathfindingSettings,
    "dialogue": DialogueSettings,
    "quests": QuestsSettings,
}


@dataclass(slots=True)
class Innkeeper:
    """A server that is ready to answer, without a port of its own."""

    profile: Profile
    clock: Clock
    log: Log
    metrics: Metrics
    watch: RungWatch
    database: Database
    writer: Writer
    journal: WorldJournal
    shared: Shared
    worlds: Worlds
    features: OpenFeatures
    authority: Authority
    modules: tuple[Module, ...]
    engines: Engines
    router: Router
    feed: Feed
    sessions: Sessions
    first_key: str
    """The key that this start made, shown once; empty on later starts."""
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    warming: asyncio.Task[None] | None = None
    warm: bool = False
    stopping: bool = False

    def start_warming(self) -> None:
        """Import and compile what is slow, in a thread, while requests are already answered."""
        self.warming = asyncio.create_task(self._warm(), name="warm")

    async def _warm(self) -> None:
        for module in self.modules:
            if module.warm is not None:
                await asyncio.to_thread(module.warm)
        self.warm = True
        self.log.info("server.warmed")

    def readiness(self) -> dict[str, Any]:
        """What /health/ready tells: ready means that every request gets an answer in time."""
        engines = self.engines.statuses()
        degraded = [engine.name for engine in engines if engine.state == "degraded"]
        faults = {**self.shared.faults(), **self.features.faults()}
        return {
            "ready": not self.stopping,
            "degraded": sorted([*degraded, *self.watch.down, *faults, *(["database"] if self.writer.fault else [])]),
            "mode": self.profile.mode,
            "warm": self.warm,
            "engines": engines,
            "rungs_down": self.watch.down,
            "database": self.writer.fault or "ok",
            **faults,
            "worlds": len(self.worlds.all()),
        }

    def begin_stopping(self) -> None:
        """Say no to readiness and end streams that would never end by themselves."""
        self.stopping = True
        self.feed.close()

    async def close(self) -> None:
        """Finish what is in flight, commit what waits, and free everything, in reverse order."""
        self.begin_stopping()
        patience_s = self.profile.server.drain_ms_max / 1000.0
        try:
            async with asyncio.timeout(patience_s):
                await self.sessions.drain()
        except TimeoutError:
            self.log.warning("drain.cut", after_ms=self.profile.server.drain_ms_max)
        if self.warming is not None:
            await asyncio.wait({self.warming}, timeout=patience_s)
        for close in reversed(self.closers):
            await close()


async def build(
    profile: Profile, *, root: Path = ROOT, clock: Clock | None = None, log: Log | None = None
) -> Innkeeper:
    """Open everything that the profile names; raises an Error of the tree when a store cannot be opened."""
    clock = clock or SystemClock()
    log = log or open_log(level=profile.telemetry.log_level, format=profile.telemetry.log_format)
    metrics = Metrics()
    watch = RungWatch(log, metrics)
    closers: list[Callable[[], Awaitable[None]]] = []

    # Stores
    folder = Path(profile.server.data_folder)
    database = open_database(profile.database.url, folder=folder, migrations=root / "migrations")
    closers.append(database.close)
    await database.upgrade()
    log.debug("database.opened", url=database.url)
    reached = failpoints.from_environment(os.environ, log)
    writer = Writer(
        database,
        clock=clock,
        log=log,
        metrics=metrics,
        queue_events_max=profile.database.queue_events_max,
        batch_events_max=profile.database.batch_events_max,
        retry_ms=profile.database.retry_ms,
        reached=reached,
    )
    writer.start()
    shared = open_shared(profile, clock=clock, log=log)
    closers.append(shared.close)
    stream = Stream()
    worlds = Worlds()
    journal = WorldJournal(
        worlds=worlds,
        database=database,
        writer=writer,
        stream=stream,
        clock=clock,
        log=log,
        idempotency_keys_max=profile.database.idempotency_keys_max,
        checkpoint_events=profile.database.checkpoint_events,
        reached=reached,
    )
    replayed = await journal.restore()
    log.debug("worlds.restored", worlds=len(worlds.all()), events=replayed)
    for world in worlds.all():
        shared.budgets.know(world.tenant, world.id, spent(world.state.usage))
    features = open_features(profile, database=database, stream=stream, worlds=worlds, clock=clock, log=log)
    closers.append(features.close)

    if profile.stream.url:
        outlet = Outlet(database, shared.stream, log=log)
        stream.subscribe(outlet.take)
        outlet.start(worlds.all())
        shared.servers["outlet"] = outlet

    async def close_journal() -> None:
        if await writer.close(patience_s=profile.server.drain_ms_max / 1000.0):
            await journal.checkpoint()

    closers.append(close_journal)

    # Control
    authority, first_key = await _open_authority(database, profile, clock)

    # Engines
    engines = Engines()
    words, authored = open_words(
        profile, engines, root=root, clock=clock, watch=watch, environment=os.environ, budgets=shared.budgets
    )
    policy = open_network("policy", profile, engines, root=root)
    closers.append(engines.close)

    # Modules
    settings = profile.modules
    modules = (
        world_module.build(settings=settings["world"], worlds=worlds, journal=journal, maker=journal),
        behavior_module.build(
            settings=settings["behavior"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            watcher=watch,
            policy=policy,
            rungs=profile.ladder["behavior"],
        ),
        pathfinding_module.build(settings=settings["pathfinding"], worlds=worlds, journal=journal, clock=clock),
        dialogue_module.build(
            settings=settings["dialogue"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            watcher=watch,
            words=words,
            authored=authored,
            rungs=profile.ladder["dialogue"],
        ),
        quests_module.build(settings=settings["quests"], worlds=worlds, journal=journal),
    )
    journal.reactions = [module.react for module in modules if module.react is not None]
    closers.extend(module.close for module in modules if module.close is not None)

    # Edge
    strangers = EmbeddedLimiter(clock=clock, keys_max=profile.cache.keys_max)
    limits = Limits(profile.limits, shared.limiter, addresses=strangers)
    router = Router(
        modules, limits=limits, server=profile.server, behind_s=writer.behind_s, clock=clock, log=log, metrics=metrics
    )
    announcers = [module.announce for module in modules if module.announce is not None]
    feed = Feed(announcers, pushes_kept_max=profile.server.pushes_kept_max)
    stream.subscribe(feed.publish)

    return Innkeeper(
        profile=profile,
        clock=clock,
        log=log,
        metrics=metrics,
        watch=watch,
        database=database,
        writer=writer,
        journal=journal,
        shared=shared,
        worlds=worlds,
        features=features,
        authority=authority,
        modules=modules,
        engines=engines,
        router=router,
        feed=feed,
        sessions=Sessions(),
        first_key=first_key,
        closers=closers,
    )


async def _open_authority(database: Database, profile: Profile, clock: Clock) -> tuple[Authority, str]:
    """The authority over the database's keys; a first start makes the signing key, a tenant and one key."""

    def load(connection: Any) -> tuple[bytes, list[dict[str, Any]], str]:
        signing_key = repositories.secret(connection, "token_signing_key")
        if signing_key is None:
            signing_key = secrets.token_bytes(SIGNING_KEY_BYTES)
            repositories.insert_secret(connection, "token_signing_key", signing_key)
        text = ""
        if not repositories.tenant_ids(connection):
            now_ms = clock.wall_ms()
            new = make_key(label="first run", scopes=ALL_SCOPES, created_ms=now_ms)
            repositories.add_api_key(connection, DEFAULT_TENANT, new.row, now_ms)
            text = new.text
        return signing_key, repositories.api_keys(connection), text

    signing_key, rows, text = await database.run(load)
    authority = Authority(clock=clock, signing_key=signing_key, token_minutes=profile.security.token_minutes)
    for row in rows:
        authority.learn(Key.from_row(row))
    return authority, text
