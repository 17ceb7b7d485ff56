"""Answers the dialogue messages: who talks, one line at a time, its effects, and what may be asked of it afterwards.

What is known before a line lies in `composing`, how it is spoken in `speaking`, what becomes of it in `effects`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import msgspec

from app.core.clock import Clock
from app.core.errors import Conflict, NotFound, Refused, StoreDown, Unavailable, nearest
from app.core.ids import new_id, stable_hash
from app.core.ladder import Ladder, Rung, Watcher
from app.core.messages import digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.dialogue import asides, effects, logic, messages, rooms, turns
from app.modules.dialogue.bills import Bills, used
from app.modules.dialogue.book import Book, Dialogue
from app.modules.dialogue.chatter import Chatter
from app.modules.dialogue.composing import Composing, Sources
from app.modules.dialogue.judging import Judging, kept_proposals
from app.modules.dialogue.records import Record, Recorder
from app.modules.dialogue.replaying import Replaying
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.speaking import Speaking
from app.modules.dialogue.storytelling import Telling
from app.modules.dialogue.turn import Turn
from app.world import barks
from app.world.entities import Npc
from app.world.state import World, Worlds

RUNGS = ("words", "authored", "bark")
"""Every rung there is, best first."""
COMMIT_SHARE = 0.5
"""Of the time left when a line is spoken: the most that its commit may take, so that the reply is in time."""


class DialogueHandler:
    """Holds the ports and the book that the messages need."""

    def __init__(
        self,
        settings: Settings,
        worlds: Worlds,
        journal: Journal,
        clock: Clock,
        watcher: Watcher,
        sources: Sources,
        book: Book,
        recorder: Recorder,
    ) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._clock = clock
        self._sources = sources
        self._book = book
        self._bills = Bills(journal)
        self._recorder = recorder
        self._replaying = Replaying(settings, clock, sources, book)
        self._chatter = Chatter(settings, clock)
        self._composing = Composing(settings, clock, sources, book)
        judging = Judging(settings, clock, sources.ratings, sources.governor)
        self._speaking = Speaking(
            settings, clock, sources.words, sources.authored, sources.barks, sources.asides, judging
        )
        self._telling = Telling(settings, clock, sources.words, judging)
        speaking = self._speaking
        answers = {"words": speaking.words, "authored": speaking.authored, "bark": speaking.bark}
        rungs = [
            Rung(name, answers[name], reserve_ms=settings.reserve_ms if name == "words" else 0.0, last=name != "words")
            for name in sources.rungs
        ]
        self._ladder = self._over(rungs, watcher)
        self._quick = self._over([rung for rung in rungs if rung.last], watcher)

    def _over(self, rungs: list[Rung[Turn, None]], watcher: Watcher) -> Ladder[Turn, None]:
        return Ladder(
            "dialogue",
            rungs,
            clock=self._clock,
            watcher=watcher,
            failures_max=self._settings.failures_max,
            rest_ms=self._settings.rest_ms,
        )

    async def finish(self) -> None:
        """Write down what lines that are over have cost."""
        await self._composing.close()
        await self._bills.close()

    async def open(self, call: Call, request: messages.Open) -> messages.Opened:
        world = self._worlds.get(call.tenant, call.world)
        npc = world.npc(request.npc)
        rooms.require_seats(world, npc, request.participants, self._settings)
        location = request.location or npc.location
        if location and location not in world.state.locations:
            raise NotFound(f"no location {location!r}", hint=nearest(location, world.state.locations))
        dialogue = Dialogue(
            id=new_id(self._clock.wall_ms()),
            tenant=call.tenant,
            world=call.world,
            npc=npc.id,
            participants=request.participants,
            location=location,
            used_s=self._clock.monotonic_s(),
            lines=deque(maxlen=self._settings.turns_kept_max),
        )
        self._book.open(dialogue)
        self._composing.prepare(dialogue)
        return _opened(dialogue)

    async def join(self, call: Call, request: messages.Join) -> messages.Opened:
        world = self._worlds.get(call.tenant, call.world)
        dialogue = self._book.dialogue(call.tenant, call.world, request.dialogue)
        if request.participant not in dialogue.everyone:
            participants = (*dialogue.participants, request.participant)
            rooms.require_seats(world, world.npc(dialogue.npc), participants, self._settings)
            dialogue.participants = participants
            self._composing.prepare(dialogue)
        return _opened(dialogue)

    async def leave(self, call: Call, request: messages.Leave) -> messages.Opened:
        world = self._worlds.get(call.tenant, call.world)
        dialogue = self._book.dialogue(call.tenant, call.world, request.dialogue)
        if request.participant in dialogue.everyone:
            dialogue.npc, dialogue.participants = rooms.without(world, dialogue, request.participant)
        return _opened(dialogue)

    async def say(self, call: Call, request: messages.Say) -> messages.Said:
        started_s = self._clock.monotonic_s()
        world = self._worlds.get(call.tenant, call.world)
        dialogue = self._book.dialogue(call.tenant, call.world, request.dialogue)
        said = digest(request) if request.key else b""
        if request.key and (before := dialogue.replied(request.key, said)) is not None:
            return before
        if dialogue.busy.locked():
            raise Conflict(f"dialogue {dialogue.id!r} is still speaking", hint="wait for its reply, or interrupt it")
        async with dialogue.busy:
            turn = await self._composing.turn(call, world, dialogue, request, started_s=started_s)
            try:
                await self._aloud(turn)
                committed = await self._commit(call, turn)
            finally:
                self._bills.send(call, turn)
            reply = self._reply(call, turn, committed=committed)
            if request.key:
                dialogue.keep_reply(request.key, said, reply)
            return reply

    async def interrupt(self, call: Call, request: messages.Interrupt) -> messages.Interrupted:
        dialogue = self._book.dialogue(call.tenant, call.world, request.dialogue)
        if request.by and request.by not in dialogue.everyone:
            raise NotFound(
                f"{request.by!r} is not in dialogue {dialogue.id!r}", hint=nearest(request.by, dialogue.everyone)
            )
        return messages.Interrupted(dialogue=dialogue.id, interrupted=dialogue.interrupt(request.by))

    async def bark(self, call: Call, request: messages.Bark) -> messages.Barked:
        world = self._worlds.get(call.tenant, call.world)
        npc = world.npc(request.npc)
        if not npc.alive:
            raise Conflict(f"NPC {npc.id!r} is dead", hint="only the living talk")
        for id in (request.actor, request.target, request.item, request.location):
            if id and world.entity(id) is None:
                raise NotFound(f"no entity {id!r} in world {world.id!r}", hint="tell of it with world.upsert first")
        where = [f"npc {npc.id}", *([f"place {npc.location}"] if npc.location else [])]
        said = self._book.barked(call.tenant, call.world, *where)
        names = {
            "actor": rooms.name_of(world, request.actor),
            "target": rooms.name_of(world, request.target),
            "item": rooms.name_of(world, request.item),
            "place": rooms.name_of(world, request.location or npc.location),
        }
        words = [word for word in (request.event, request.topic) if word]
        seed = stable_hash(call.tenant, call.world, npc.id, world.state.seq, self._book.barks)
        closer = _closer(world, npc, request) if request.event else ()
        line = asides.bark(self._sources.asides, npc.persona, words, names, said, seed, closer)
        line = self._fit(call.tenant, npc, line, names, seed)
        self._book.bark(call.tenant, call.world, line.text, *where)
        near = rooms.bystanders(world, npc.location, (npc.id,), (npc.id,), cells=self._settings.earshot_cells)
        heard_by = tuple(near[: self._settings.hearers_max])
        return messages.Barked(npc=npc.id, text=line.text, event=line.event, heard_by=heard_by)

    def _fit(self, tenant: str, npc: Npc, line: asides.Barked, names: Mapping[str, str], seed: int) -> asides.Barked:
        """A bark as the tenant's rating lets it be said; else a shipped one for any event."""
        rated = self._sources.ratings.of(tenant).judge(line.text, guess=False)
        if rated.allowed or rated.text:
            return line if rated.allowed else line._replace(text=rated.text)
        return asides.bark(self._sources.asides, msgspec.structs.replace(npc.persona, lines={}), (), names, (), seed)

    async def close(self, call: Call, request: messages.Close) -> messages.Closed:
        turns = self._book.close(call.tenant, call.world, request.dialogue)
        return messages.Closed(dialogue=request.dialogue, turns=turns)

    async def explain(self, call: Call, request: messages.Explain) -> messages.Explained:
        return await self.line(call.tenant, call.world, request.explain_id)

    async def replay(self, call: Call, request: messages.Replay) -> messages.Replayed:
        world = self._worlds.get(call.tenant, call.world)
        return await self._replaying.replay(
            call, world, await self._record(call.tenant, call.world, request.explain_id)
        )

    async def line(self, tenant: str, world: str, id: str) -> messages.Explained:
        """Everything behind a line; raises NotFound when it has gone, StoreDown."""
        known = self._book.explained(tenant, world, id)
        return known if known is not None else (await self._record(tenant, world, id)).explained

    async def _record(self, tenant: str, world: str, id: str) -> Record:
        found = await self._recorder.find(tenant, world, id)
        if found is None:
            raise NotFound(f"no explained line {id!r}", hint="records go after privacy.lines_days_max")
        return found

    async def _aloud(self, turn: Turn) -> None:
        """Speak the line in a task that an interruption may end; what was said by then is the line."""
        dialogue = turn.dialogue
        dialogue.cut_by = None
        dialogue.speaking = asyncio.create_task(self._speak(turn), name="line")
        try:
            await dialogue.speaking
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if not dialogue.was_cut or (own is not None and own.cancelling()):
                raise
            turn.interrupted = True
        finally:
            dialogue.speaking = None
            if turn.filler:
                self._book.filled(turn.call.tenant, turn.call.world, turn.scene.npc.id, turn.filler)
        turn.ms_total = (self._clock.monotonic_s() - turn.started_s) * 1000.0

    async def _speak(self, turn: Turn) -> None:
        """Tell the NPC's story, or run the ladder; a rung whose every sentence was cut had nothing to say."""
        if turn.told is not None:
            with self._speaking.bridged(turn):
                await self._telling.tell(turn, turn.told)
            if turn.spoken:
                return
        deadline = turn.call.deadline
        if turn.refusal:
            await self._speaking.refusal(turn, deadline)
            return
        hurried = deadline.left_ms() <= 2.0 * self._settings.reserve_ms
        taken = turn.compiled.tokens + turn.completion.output_tokens_max
        among_npcs = turn.scene.listener_is_npc and "words" in self._sources.rungs
        if turn.compiled.over and "words" in self._sources.rungs:
            turn.falls.append(messages.Cut(what="words", reason=f"the context is {turn.compiled.over} tokens too long"))
            turn.call.log.warning("context.too_long", id=turn.scene.npc.id, tokens=turn.compiled.over)
            hurried = True
        if hurried or (among_npcs and not self._chatter.take(turn.world, taken)):
            await self._quick.run(turn, deadline)
        else:
            try:
                await self._ladder.run(turn, deadline)
            finally:
                if among_npcs:
                    self._chatter.settle(turn.world, taken, turn.tokens_billed)
        if not turn.spoken and turn.rung == "words":
            await self._quick.run(turn, deadline)
        if not turn.spoken:
            await self._speaking.last_word(turn)

    async def _commit(self, call: Call, turn: Turn) -> bool:
        """Write the line's effects; a line whose effects cannot be written is still said, without them."""
        scene, dialogue = turn.scene, turn.dialogue
        turn.delta = logic.relation_delta(scene, dialogue.kindness, self._settings.talk_relation_max)
        limit_s = min(self._settings.journal_ms, call.deadline.left_ms() * COMMIT_SHARE) / 1000.0
        changes = [*effects.effects(turn), *used(turn)]
        try:
            if self._journal.fault:
                raise StoreDown(self._journal.fault)
            async with asyncio.timeout(limit_s):
                await self._journal.append(call.tenant, call.world, changes, key=turn.explain_id)
        except (Unavailable, Refused, TimeoutError) as error:
            call.log.warning("dialogue.effects_dropped", dialogue=dialogue.id, reason=str(error) or "late")
            turn.delta = 0.0
            return False
        turn.bill.items.clear()
        dialogue.kindness += max(0.0, turn.delta)
        for proposal in kept_proposals(turn):
            turn.offers[proposal.action] = turn.world.state.game_s
        return True

    def _reply(self, call: Call, turn: Turn, *, committed: bool) -> messages.Said:
        dialogue = turn.dialogue
        dialogue.tell(effects.lines(turn))
        dialogue.turns += 1
        if turn.spoken:
            self._book.spoke(call.tenant, call.world, turn.scene.npc.id, turn.text, ai_generated=turn.by_model)
            self._sources.governor.said(call.tenant, call.world, turn.scene.npc.id, turn.text)
        stories, npc, listener = self._sources.stories, turn.scene.npc.id, turn.scene.listener.id
        reply = effects.said(
            turn,
            committed=committed,
            next_speaker=self._next(turn.world, turn),
            choices=stories.choices(turn.world, npc, listener) if stories is not None else (),
        )
        explained = effects.explained(turn, reply)
        self._book.explain(call.tenant, call.world, explained)
        self._recorder.keep(turn, explained)
        call.notes.update(rung=turn.rung, engine=turn.engine, tokens=turn.tokens.input + turn.tokens.output)
        return reply

    def _next(self, world: World, turn: Turn) -> str:
        """Who would speak next among those who heard the line; whoever has cut it has the word."""
        if turn.interrupted and turn.dialogue.cut_by:
            return turn.dialogue.cut_by
        npc = turn.scene.npc.id
        seats = [seat for seat in rooms.seats(world, turn.dialogue, npc) if seat.id in turn.audience]
        return turns.next_speaker(
            seats,
            turns.Uttered(npc, turn.text, turn.scene.listener.id),
            [told.line.speaker for told in turn.dialogue.lines],
            npc_lines_row_max=self._settings.npc_lines_row_max,
            seed=turn.completion.seed,
        )


def _opened(dialogue: Dialogue) -> messages.Opened:
    return messages.Opened(
        dialogue=dialogue.id, npc=dialogue.npc, participants=dialogue.participants, location=dialogue.location
    )


def _closer(world: World, npc: Npc, request: messages.Bark) -> tuple[str, ...]:
    """The intents of the NPC's own lines for an event, in its mood, about who did it and what it is about."""
    mood = request.mood or str(npc.attributes.get("mood", ""))
    felt = barks.relation_of(world.relation(npc.id, request.actor)) if request.actor else ""
    return barks.intents(request.event, mood if mood in barks.MOODS else "", felt, request.topic)
