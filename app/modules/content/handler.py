"""Answers the content messages: reads a world, lets logic make or judge, and keeps what was asked to be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.core.clock import Clock
from app.core.errors import Invalid
from app.core.ids import stable_hash
from app.core.messages import Change, Event, digest
from app.core.module import Call
from app.core.ports import Journal
from app.core.prompts import Prompts
from app.core.words import Bill, Words
from app.modules.content import checking, logic, messages
from app.modules.content.settings import Settings
from app.modules.content.wording import Wording
from app.world.state import World, Worlds, copied
from app.world.usage import charged


class ContentHandler:
    """Holds the ports that the messages need."""

    def __init__(
        self,
        *,
        settings: Settings,
        worlds: Worlds,
        journal: Journal,
        clock: Clock,
        library: logic.Library,
        words: Words | None,
        prompts: Prompts,
    ) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._library = library
        self._wording = Wording(settings, clock, library.lore, words, prompts)

    async def generate(self, call: Call, request: messages.Generate) -> messages.Generated:
        """Make what is asked for, and keep it where that is asked, too. A retry with its key is told the same.

        Raises Invalid and NotFound for what the request names and is not there, Conflict for a persona that is full.
        """
        call.deadline.check("making content")
        world = self._worlds.get(call.tenant, call.world)
        _require_sound(request)
        said = digest(request) if request.key else b""
        if request.key:
            before = await self._journal.append(call.tenant, world.id, (), key=request.key, request=said)
            if before:
                return self._told(call, request, before, self._seed(world, request, before[0].seq - 1))
        seed, seq, bill = self._seed(world, request, world.state.seq), world.state.seq, Bill()
        batch = await self._made(call, world, request, seed, bill)
        paid: list[Change] = [charged(spent) for spent in bill.items]
        if request.commit and (changes := [*logic.renewed(world, batch), *paid]):
            events = await self._journal.append(call.tenant, world.id, changes, key=request.key, request=said)
            call.notes["events"] = len(events)
            return self._told(call, request, events, seed)
        if paid:
            await self._journal.append(call.tenant, world.id, paid)
        return self._shown(call, request, batch.changes, seed, batch.lines, seq)

    async def check(self, call: Call, request: messages.Check) -> messages.Checked:
        """Judge hand-made content against the tables and canon; nothing is changed. Raises Invalid for its language."""
        call.deadline.check("checking content")
        logic.require_language(request.language)
        world = self._snapshot(call)
        return await asyncio.to_thread(checking.checked, self._library, world, request)

    async def _made(self, call: Call, world: World, request: messages.Generate, seed: int, bill: Bill) -> logic.Batch:
        """The batch of a request, made in a worker thread over the world as it is now."""
        still, make, settings = self._snapshot(call), request.make, self._settings
        match make:
            case messages.Items():
                return await asyncio.to_thread(logic.items, self._library, still, make, seed, settings)
            case messages.Barks():
                return await asyncio.to_thread(logic.barks, self._library, still, make, seed, settings)
        canon, founded, entries = await asyncio.to_thread(logic.entries, self._library, still, make, seed, settings)
        if make.words:
            entries = [
                await self._wording.worded(call, still, canon, entry, make.language, bill, seed) for entry in entries
            ]
        return logic.kept(founded, entries)

    def _snapshot(self, call: Call) -> World:
        """The world as it is, for a thread that must not see it change."""
        world = self._worlds.get(call.tenant, call.world)
        return World(world.tenant, world.id, state=copied(world.state))

    def _seed(self, world: World, request: messages.Generate, seq: int) -> int:
        return request.seed if request.seed is not None else stable_hash(world.tenant, world.id, "content", seq)

    def _told(self, call: Call, request: messages.Generate, events: Sequence[Event], seed: int) -> messages.Generated:
        """What was kept, read from its events, as it was told the first time."""
        return self._shown(call, request, [event.change for event in events], seed, (), events[-1].seq)

    def _shown(
        self,
        call: Call,
        request: messages.Generate,
        changes: Sequence[Change],
        seed: int,
        lines: tuple[messages.BarkLines, ...],
        seq: int,
    ) -> messages.Generated:
        world = self._worlds.get(call.tenant, call.world)
        told = logic.reply(self._library, world, request, changes, seed, lines, seq=seq)
        call.notes.update(rung=told.rung, engine=logic.GRAMMAR)
        return told


def _require_sound(request: messages.Generate) -> None:
    """Raise Invalid for what cannot be kept, or be asked again."""
    if request.key and not request.commit:
        raise Invalid("a key without commit", hint="a preview keeps nothing; leave the key out, or set commit")
    if request.commit and isinstance(request.make, messages.Barks) and not request.make.npc:
        raise Invalid("barks of nobody cannot be kept", hint="name an npc, or leave commit out")
