"""A server that is ready to answer: everything that was opened, what it says of itself, and how it ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from app.build.access import Access
from app.build.engines import Engines
from app.build.responses import Kept
from app.build.sign_in import People
from app.control.audit import Trail
from app.control.auth import Authority
from app.control.guardrails import Guardrails
from app.control.privacy import Privacy
from app.control.prompts.desk import Desk
from app.control.reports import ReportDesk
from app.control.tenants import Tenants
from app.core.batches import Batches
from app.core.clock import Clock
from app.core.module import Module
from app.core.ports import Log
from app.core.profile import Profile
from app.core.words import Words
from app.edge.doors.door import Doors
from app.edge.elsewhere import Elsewhere
from app.edge.feed import Feed
from app.edge.follow import Followers
from app.edge.router import Router
from app.edge.sessions import Sessions
from app.edge.visits import Visits
from app.stores.database import Database
from app.stores.door_usage import DoorUsage
from app.stores.features.opening import OpenFeatures
from app.stores.journal import WorldJournal
from app.stores.ownership import Ownership
from app.stores.shared import Shared
from app.stores.tenant_settings import SettingsFeed
from app.stores.writer import Writer
from app.telemetry.metrics import Metrics, RungWatch
from app.world.state import Worlds


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
    ownership: Ownership
    shared: Shared
    worlds: Worlds
    features: OpenFeatures
    authority: Authority
    access: Access
    audit: Trail
    people: People
    modules: tuple[Module, ...]
    engines: Engines
    words: Words | None
    door_usage: DoorUsage
    batches: Batches | None
    router: Router
    elsewhere: Elsewhere
    feed: Feed
    followers: Followers
    sessions: Sessions
    visits: Visits
    doors: Doors
    tenants: Tenants
    settings: SettingsFeed
    privacy: Privacy
    kept: Kept
    prompts: Desk
    reports: ReportDesk
    guardrails: Guardrails
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    warming: asyncio.Task[None] | None = None
    warm: bool = False
    stopping: bool = False

    def start_warming(self) -> None:
        """Import and compile what is slow, in a thread, while requests are already answered."""
        self.warming = asyncio.create_task(self._warm(), name="warm")

    async def _warm(self) -> None:
        await asyncio.to_thread(self.authority.ring.warm)
        for module in self.modules:
            if module.warm is not None:
                await asyncio.to_thread(module.warm)
        self.warm = True
        self.log.info("server.warmed")

    def readiness(self) -> dict[str, Any]:
        """What /health/ready tells: ready means that every request gets an answer in time."""
        engines = self.engines.statuses()
        degraded = [engine.name for engine in engines if engine.state == "degraded"]
        faults = {**self.shared.faults(), **self.features.faults(), **self.ownership.faults(), **_descriptors()}
        if self.database.weakness:
            faults["isolation"] = self.database.weakness
        return {
            "ready": not self.stopping,
            "degraded": sorted([*degraded, *self.watch.down, *faults, *(["database"] if self.writer.fault else [])]),
            "mode": self.profile.mode,
            "warm": self.warm,
            "engines": engines,
            "rungs_down": self.watch.down,
            "database": self.writer.fault or "ok",
            **faults,
            "replica": self.ownership.name,
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


def _descriptors() -> dict[str, str]:
    """`descriptors` -> why nobody new can connect; asked by taking one and giving it back."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return {"descriptors": f"no file descriptor is left ({error.strerror}): raise the limit, as with ulimit -n"}
    return {}
