"""Answers the characters module's requests: makes people over a snapshot in a worker thread, judges hand-written ones.

People enter a world through the journal alone, in one append, and only while nothing contradicts them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import Conflict, TooLarge
from app.core.ids import stable_hash
from app.core.messages import Change, Event, digest
from app.core.module import Call
from app.core.ports import Journal
from app.core.words import Bill
from app.modules.characters import logic, messages
from app.modules.characters.canon import Canon, Member
from app.modules.characters.library import Library
from app.modules.characters.plans import Wish
from app.modules.characters.rules import judge
from app.modules.characters.settings import Settings
from app.modules.characters.wording import MARK, Wording
from app.world.state import State, World, Worlds, copied
from app.world.usage import charged

ROUNDS_MAX = 4
"""How often people are made anew because the world has changed while they were."""
RESERVE_MS = 250.0
"""Kept of a deadline for the commit, after a model was asked."""


class CharactersHandler:
    """One method for each message."""

    def __init__(
        self,
        *,
        settings: Settings,
        worlds: Worlds,
        journal: Journal,
        library: Library,
        wording: Wording,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._library = library
        self._wording = wording
        self._clock = clock

    async def generate(self, call: Call, request: messages.Generate) -> messages.Cast:
        """Make people, and put them into the world; raises NotFound, Invalid, or Conflict with what stands against."""
        call.deadline.check("making people")
        world = self._worlds.get(call.tenant, call.world)
        said = digest(request) if request.key else b""
        if request.key and request.commit:
            before = await self._journal.append(call.tenant, world.id, (), key=request.key, request=said)
            if before:
                return self._reply(world, before, tries=0)
        made, bill = await self._made(call, world, request)
        changes = logic.changes(made.members, self._settings.schedules)
        bills: list[Change] = [charged(spent) for spent in bill.items]
        call.notes.update(rung="words" if bill.items else "grammar", tries=made.tries, npcs=len(made.members))
        if request.commit:
            events = await self._journal.append(
                call.tenant, world.id, [*changes, *bills], key=request.key, request=said
            )
            return self._reply(world, events, tries=made.tries)
        if bills:
            await self._journal.append(call.tenant, world.id, bills)
        return _cast(changes, seq=world.state.seq, tries=made.tries, committed=False)

    async def check(self, call: Call, request: messages.Check) -> messages.Checked:
        """Judge a hand-written character; contradictions are a reply, never an error. Raises TooLarge."""
        call.deadline.check("checking a character")
        size, most = len(msgspec.json.encode((request.npc, request.facts))), self._settings.check_bytes_max
        if size > most:
            raise TooLarge(f"the character has {size} bytes", hint=f"send at most {most}")
        world = self._worlds.get(call.tenant, call.world)
        state, member = copied(world.state), Member(npc=request.npc, facts=request.facts)

        def judged() -> list[messages.Finding]:
            return judge(Canon.of(state, self._settings).without(request.npc.id), [member], self._library.trades)

        findings = await asyncio.to_thread(judged)
        call.notes.update(rung="rules", verdict="contradicted" if findings else "sound")
        return messages.Checked(sound=not findings, findings=tuple(findings), seq=state.seq)

    async def _made(self, call: Call, world: World, request: messages.Generate) -> tuple[logic.Made, Bill]:
        """People that fit the world as it is at this very moment: nothing waits after the last look."""
        bill, seed = Bill(), request.seed
        for _ in range(ROUNDS_MAX):
            state = copied(world.state)
            wish = _wish(request, stable_hash("characters", world.id, state.seq) if seed is None else seed)
            made = await asyncio.to_thread(self._drawn, state, wish)
            if request.words:
                most_ms = min(self._settings.words_ms, max(0.0, call.deadline.left_ms() - RESERVE_MS))
                deadline = Deadline.after_ms(most_ms, self._clock)
                worded = await self._wording.worded(world, made.members, bill, deadline)
                made = logic.Made(members=worded, tries=made.tries)
            if world.state.seq == state.seq:
                return made, bill
            now = Canon.of(world.state, self._settings)
            if not judge(now, made.members, self._library.trades):
                return made, bill
        raise Conflict("the world changes faster than people are made", hint="ask again")

    def _drawn(self, state: State, wish: Wish) -> logic.Made:
        return logic.generate(self._library, Canon.of(state, self._settings), wish)

    def _reply(self, world: World, events: Sequence[Event], *, tries: int) -> messages.Cast:
        return _cast([event.change for event in events], seq=world.state.seq, tries=tries, committed=True)


def _wish(request: messages.Generate, seed: int) -> Wish:
    return Wish(
        plan=request.plan,
        count=request.count,
        seed=seed,
        place=request.place,
        faction=request.faction,
        archetype=request.archetype,
        culture=request.culture,
        language=request.language,
        level=request.level,
    )


def _cast(changes: Sequence[Change], *, seq: int, tries: int, committed: bool) -> messages.Cast:
    people = logic.shown(changes)
    written = any(one.npc.attributes.get(MARK) is True for one in people)
    return messages.Cast(characters=people, committed=committed, seq=seq, tries=tries, ai_generated=written)
