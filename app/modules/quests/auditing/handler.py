"""Answers `quests.audit`: the proofs run in a worker thread over a snapshot, and stop when the deadline has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from app.core.errors import NotFound, nearest
from app.core.module import Call
from app.modules.quests.auditing.audit import audited
from app.modules.quests.auditing.entry import entries_of
from app.modules.quests.auditing.judge import Judge
from app.modules.quests.auditing.past import TABLES
from app.modules.quests.generation.generator import Library
from app.modules.quests.messages import Audit, Audited
from app.modules.quests.settings import Settings
from app.world.state import State, Worlds

ENGINE = "planner"


class AuditHandler:
    """One method, beside those of the module's own handler; it reads the world and changes nothing."""

    def __init__(self, *, settings: Settings, worlds: Worlds, library: Library) -> None:
        self._settings = settings
        self._worlds = worlds
        self._library = library

    async def audit(self, call: Call, request: Audit) -> Audited:
        """The report; faults are its content, never an error. Raises NotFound for an unknown start."""
        call.deadline.check("auditing quests")
        world = self._worlds.get(call.tenant, call.world)
        if request.start and request.start not in world.state.locations:
            hint = nearest(request.start, world.state.locations)
            raise NotFound(f"no location {request.start!r} in world {world.id!r}", hint=hint)
        judge = Judge(self._library, _frozen(world.state), self._settings, start=request.start)

        def proving(_title: str, _total: int) -> Callable[[], None]:
            return lambda: call.deadline.check("auditing quests")

        report = await asyncio.to_thread(audited, judge, entries_of(request.quests), proving=proving)
        call.notes.update(rung="proof", engine=ENGINE, quests=report.quests)
        return Audited(report=report, seq=judge.base.seq)


def _frozen(state: State) -> State:
    """The state with copies of the tables that an audit reads; entities never change, tables do."""
    names = (*TABLES, "factions", "facts", "relations")
    return msgspec.structs.replace(state, **{name: dict(getattr(state, name)) for name in names})
