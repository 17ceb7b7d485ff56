"""Test doubles of the ports, small and real enough to trust."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from app.core.errors import Conflict, NotFound
from app.core.messages import Change, Event
from app.core.reports import Report, State
from app.world import reducers
from app.world.state import World, Worlds


@dataclass
class RamJournal:
    """A Journal without a database: checks and applies changes to real worlds, then awaits `commit`."""

    worlds: Worlds
    commit: Callable[[], Awaitable[None]] | None = None
    events: list[Event] = field(default_factory=list)
    answered: dict[tuple[str, str, str], tuple[bytes, Sequence[Event]]] = field(default_factory=dict)
    fault: str = ""
    observers: list[Callable[[World, Sequence[Event]], None]] = field(default_factory=list)
    """Told of events when they are committed, as modules are."""

    async def append(
        self,
        tenant: str,
        world: str,
        changes: Sequence[Change],
        *,
        key: str = "",
        request: bytes = b"",
        game_s: float | None = None,
    ) -> Sequence[Event]:
        """Apply at once, all or nothing; a key that was used before gets the events of its first use."""
        if key and (tenant, world, key) in self.answered:
            first, events = self.answered[tenant, world, key]
            if first != request:
                raise Conflict(f"the key {key!r} was used for another request", hint="use a new key")
            return events
        if not changes:
            return ()
        target = self.worlds.get(tenant, world)
        for change in changes:
            reducers.check(target, change)
        added = []
        for change in changes:
            seq = target.state.seq + 1
            now_s = target.state.game_s if game_s is None else game_s
            event = Event(seq=seq, id=f"e{seq}", wall_ms=0, game_s=now_s, change=change)
            reducers.apply(target.state, event)
            added.append(event)
        self.events += added
        if key:
            self.answered[tenant, world, key] = (request, added)
        if self.commit is not None:
            await self.commit()
        for observe in self.observers:
            observe(target, added)
        return added


@dataclass
class SilentLog:
    """A Log that keeps what it was told."""

    told: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def debug(self, event: str, **fields: object) -> None:
        self.told.append(("debug", event, fields))

    def info(self, event: str, **fields: object) -> None:
        self.told.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.told.append(("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        self.told.append(("error", event, fields))


@dataclass
class ManualClock:
    """A clock that stands still until a test moves it."""

    now_s: float = 1_000.0

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


class AlwaysHere:
    """Places of a server that is alone."""

    def here(self, tenant: str, world: str) -> bool:
        return True

    async def find(self, tenant: str, world: str) -> str:
        return ""

    async def lives(self, address: str) -> bool:
        return False

    async def all(self, tenant: str) -> Sequence[tuple[str, str]]:
        return ()

    def doubt(self, address: str) -> None:
        """Nobody else is there."""


class NoAudit:
    """Keeps nothing."""

    def note(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        """Forget it."""

    async def write(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        """Forget it."""


@dataclass
class RamReports:
    """Reports without a database."""

    kept: dict[tuple[str, str], Report] = field(default_factory=dict)

    async def add(self, tenant: str, report: Report, *, open_max: int) -> Report:
        """Keep it; the one of the same player and line where there is one."""
        place = (report.world, report.player, report.explain_id)
        for (owner, _), one in self.kept.items():
            if owner == tenant and (one.world, one.player, one.explain_id) == place:
                return one
        self.kept[tenant, report.id] = report
        return report

    async def page(self, tenant: str, *, state: State | None, after: str, most: int) -> Sequence[Report]:
        """Those of the tenant and the state, the oldest first."""
        mine = sorted(id for owner, id in self.kept if owner == tenant and id > after)
        found = [self.kept[tenant, id] for id in mine]
        return [one for one in found if state in (None, one.state)][:most]

    async def get(self, tenant: str, id: str) -> Report:
        """One of them; raises NotFound."""
        if (tenant, id) not in self.kept:
            raise NotFound(f"no report {id!r}")
        return self.kept[tenant, id]

    async def settle(self, tenant: str, id: str, *, note: str, actor: str, now_ms: int) -> Report:
        """Close one; raises NotFound."""
        found = await self.get(tenant, id)
        done = msgspec.structs.replace(found, state="settled", note=note, settled_by=actor, settled_ms=now_ms)
        self.kept[tenant, id] = done
        return done
