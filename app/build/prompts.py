"""Opens the prompts: the bundled ones, what tenants have put, and the desk where that is changed."""

from __future__ import annotations

from dataclasses import dataclass

from app.control.prompts.bundled import load_bundled
from app.control.prompts.desk import Desk
from app.control.prompts.registry import Registry
from app.core.clock import Clock
from app.core.ports import Audit, Log
from app.core.prompts import PromptLimits
from app.stores.database import Database
from app.stores.prompts import DatabasePrompts, PromptsFeed


@dataclass(frozen=True, slots=True)
class OpenPrompts:
    """The registry that renders, the desk that changes it, and the feed between them."""

    registry: Registry
    desk: Desk
    feed: PromptsFeed


async def open_prompts(
    database: Database, limits: PromptLimits, *, clock: Clock, audit: Audit, log: Log
) -> OpenPrompts:
    """Prompts as every replica has them, kept up to date until the feed is closed."""
    registry = Registry(load_bundled(), limits, log)
    feed = PromptsFeed(database, learn=registry.learn, keep_only=registry.keep_only, log=log)
    await feed.start()
    store = DatabasePrompts(database, registry.learn)
    return OpenPrompts(registry, Desk(store, registry.bundled, limits, clock=clock, audit=audit), feed)
