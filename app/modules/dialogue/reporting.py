"""`dialogue.report`: a player's report of a line, kept for the people who run the game.

The line is looked up by its `explain_id`, so a report names what was truly said. It settles nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, ClassVar

import msgspec

from app.core.clock import Clock
from app.core.errors import NotFound, nearest
from app.core.ids import new_id
from app.core.messages import Reply, Request
from app.core.module import Call, Handler, Scope
from app.core.reports import Category, Reports, State
from app.core.reports import Report as Kept
from app.modules.dialogue.messages import Explained
from app.modules.dialogue.settings import Settings
from app.world.entities import Id
from app.world.state import Worlds

Find = Callable[[str, str, str], Awaitable[Explained]]
"""(tenant, world, explain_id) -> the record behind a line; raises NotFound."""


class Report(Request, frozen=True, kw_only=True):
    """A player objects to a line; `explain_id` comes with its reply, `text` is what they say about it.

    Sent by the game server on the player's behalf. The same line, reported again by the same player, is one report.
    """

    op: ClassVar[str] = "dialogue.report"

    explain_id: Id
    player: Id
    category: Category
    text: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class Reported(Reply, frozen=True, kw_only=True):
    """`report` names it in /v1/reports."""

    report: str
    state: State


class Reporting:
    """Holds the ports that the message needs."""

    def __init__(self, reports: Reports, worlds: Worlds, find: Find, clock: Clock, *, open_max: int) -> None:
        self._reports = reports
        self._worlds = worlds
        self._find = find
        self._clock = clock
        self._open_max = open_max

    async def report(self, call: Call, request: Report) -> Reported:
        """Keep the report, with the line where it is still known; raises NotFound, TooLarge, StoreDown."""
        players = self._worlds.get(call.tenant, call.world).state.players
        if request.player not in players:
            raise NotFound(f"no player {request.player!r}", hint=nearest(request.player, players))
        now_ms = self._clock.wall_ms()
        kept = Kept(
            id=new_id(now_ms),
            world=call.world,
            player=request.player,
            explain_id=request.explain_id,
            npc="",
            category=request.category,
            text=request.text.replace("\x00", ""),
            line="",
            ai_generated=False,
            made_ms=now_ms,
        )
        with suppress(NotFound):  # it has left memory; what the player says of it is kept all the same
            found = await self._find(call.tenant, call.world, request.explain_id)
            kept = msgspec.structs.replace(kept, npc=found.npc, line=found.line, ai_generated=found.ai_generated)
        done = await self._reports.add(call.tenant, kept, open_max=self._open_max)
        return Reported(report=done.id, state=done.state)


def handler_of(reports: Reports, worlds: Worlds, find: Find, clock: Clock, settings: Settings) -> Handler:
    """The handler of `dialogue.report`."""
    reporting = Reporting(reports, worlds, find, clock, open_max=settings.reports_open_max)
    return Handler(Report, Reported, reporting.report, Scope.PLAY, settings.say_deadline_ms)
