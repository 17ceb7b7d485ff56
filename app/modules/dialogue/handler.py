"""Answers the dialogue messages: scene and context, one engine's stream, the gate, the reply and its events.

What is decided lies in `scenes` and `logic`; what one line is while it is being spoken lies in `turn`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass

import msgspec

from app.core.clock import Clock
from app.core.errors import Conflict, Invalid, NotFound, Refused, StoreDown, Unavailable, nearest
from app.core.ids import new_id, stable_hash
from app.core.ladder import Ladder, Rung, Watcher
from app.core.messages import Change, digest
from app.core.module import Call
from app.core.ports import Journal
from app.core.prompts import Chosen, Prompts
from app.core.words import Bill, Completion, Trace, Words
from app.modules.dialogue import logic, messages, scenes
from app.modules.dialogue.bills import Bills, used
from app.modules.dialogue.book import Book, Dialogue
from app.modules.dialogue.intents import Lexicon
from app.modules.dialogue.keeping import keep_of
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.turn import Speaking, Turn
from app.world.events import Happened, ProposalOffered, RelationChanged
from app.world.gate.speech import Guard, clean_input
from app.world.scene import Line, Scene
from app.world.state import World, Worlds

RUNGS = ("words", "authored", "bark")
"""Every rung there is, best first."""
GUARDS_MAX = 64
"""Versions of the prompt whose guards are kept."""
COMMIT_SHARE = 0.5
"""Of the time left when a line is spoken: the most that its commit may take, so that the reply is in time."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the lines come from: the engines that are there, the prompts, the lexicon and the barks."""

    words: Words | None
    authored: Words
    rungs: tuple[str, ...]
    prompts: Prompts
    lexicon: Lexicon
    barks: dict[str, tuple[str, ...]]


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
    ) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._clock = clock
        self._sources = sources
        self._book = book
        self._bills = Bills(journal)
        self._guards: OrderedDict[str, Guard] = OrderedDict()
        speaking = Speaking(settings, clock, sources.words, sources.authored, sources.barks)
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
        await self._bills.close()

    async def open(self, call: Call, request: messages.Open) -> messages.Opened:
        world = self._worlds.get(call.tenant, call.world)
        npc = world.npc(request.npc)
        if not npc.alive:
            raise Conflict(f"NPC {npc.id!r} is dead", hint="only the living talk")
        if len(set(request.participants) | {npc.id}) != len(request.participants) + 1:
            raise Invalid(f"participants {request.participants!r} repeat", hint="name each once, without the NPC")
        for id in request.participants:
            if id not in world.state.players and id not in world.state.npcs:
                known = {**world.state.players, **world.state.npcs}
                raise NotFound(f"participant {id!r} is neither player nor NPC", hint=nearest(id, known))
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
        return messages.Opened(dialogue=dialogue.id, npc=npc.id, participants=request.participants, location=location)

    async def say(self, call: Call, request: messages.Say) -> messages.Said:
        started_s = self._clock.monotonic_s()
        world = self._worlds.get(call.tenant, call.world)
        dialogue = self._book.dialogue(call.tenant, call.world, request.dialogue)
        said = digest(request) if request.key else b""
        if request.key and (before := dialogue.replied(request.key, said)) is not None:
            return before
        if dialogue.busy.locked():
            raise Conflict(f"dialogue {dialogue.id!r} is still speaking", hint="wait for its reply")
        async with dialogue.busy:
            turn = self._turn(call, world, dialogue, request, started_s)
            try:
                rung = await self._speak(turn)
                committed = await self._commit(call, turn)
            finally:
                self._bills.send(call, turn)
            reply = self._reply(call, turn, rung, committed=committed)
            if request.key:
                dialogue.keep_reply(request.key, said, reply)
            return reply

    async def close(self, call: Call, request: messages.Close) -> messages.Closed:
        turns = self._book.close(call.tenant, call.world, request.dialogue)
        return messages.Closed(dialogue=request.dialogue, turns=turns)

    async def explain(self, call: Call, request: messages.Explain) -> messages.Explained:
        return self._book.explained(call.tenant, call.world, request.explain_id)

    def _turn(self, call: Call, world: World, dialogue: Dialogue, request: messages.Say, started_s: float) -> Turn:
        """Everything that is known before the first word."""
        talk = self._talk(call, world, dialogue, request)
        speaker = world.npc(talk.speaker)
        names = self._book.names(world)
        scene = scenes.compose(world, talk, self._sources.lexicon, names, self._settings)
        player = "" if scene.listener_is_npc else talk.listener
        chosen = self._sources.prompts.choose(call.tenant, logic.TASK, unit=f"{call.world}/{player or speaker.id}")
        compiled = logic.compile_context(
            scene,
            chosen,
            logic.open_acts(world, speaker, talk.listener),
            tokens_max=self._settings.context_tokens_max,
            canary=logic.canary_of(call.tenant, call.world, speaker.id),
        )
        most = self._settings.output_tokens_max
        completion = Completion(
            task=logic.TASK,
            parts=compiled.parts,
            output_tokens_max=min(chosen.prompt.output_tokens_max or most, most),
            sampling=chosen.prompt.sampling,
            prompt=chosen.version,
            prefer=chosen.prompt.model,
            first_token_ms=self._settings.first_token_ms,
            seed=talk.seed,
            tenant=call.tenant,
            world=call.world,
            npc=speaker.id,
            player=player,
            bill=Bill(),
            trace=Trace(),
            scene=scene,
            keep=keep_of(world, scene, compiled.parts),
        )
        return Turn(
            call=call,
            world=world,
            dialogue=dialogue,
            scene=scene,
            compiled=compiled,
            guard=self._guard(chosen),
            completion=completion,
            prompt_label=chosen.label,
            names=names,
            secrets=names.secrets(world, speaker, world.state.players.get(talk.listener) or world.npc(talk.listener)),
            offers=self._book.offers(call.tenant, call.world, speaker.id, talk.listener),
            explain_id=new_id(self._clock.wall_ms()),
            started_s=started_s,
        )

    def _guard(self, chosen: Chosen) -> Guard:
        """What of this version must never be spoken; made once for each."""
        found = self._guards.get(chosen.version)
        if found is None:
            found = self._guards[chosen.version] = logic.guard_of(chosen)
            while len(self._guards) > GUARDS_MAX:
                self._guards.popitem(last=False)
        return found

    def _talk(self, call: Call, world: World, dialogue: Dialogue, request: messages.Say) -> scenes.Talk:
        """Who speaks to whom, and what the book holds of it; raises Conflict when the speaker is dead."""
        roles = _roles(world, dialogue, request)
        speaker = world.npc(roles.speaker)
        if not speaker.alive:
            raise Conflict(f"NPC {speaker.id!r} is dead", hint="close the dialogue")
        return scenes.Talk(
            speaker=speaker.id,
            listener=roles.listener,
            heard=clean_input(request.text),
            location=dialogue.location,
            lines=tuple(dialogue.lines),
            stale=self._book.stale(call.tenant, call.world, speaker.id),
            news=self._book.news(world, speaker),
            seed=stable_hash(call.tenant, call.world, dialogue.id, dialogue.turns, world.state.seq),
        )

    async def _speak(self, turn: Turn) -> str:
        """Run the ladder; a rung whose every sentence was cut counts as one that had nothing to say."""
        deadline = turn.call.deadline
        hurried = deadline.left_ms() <= 2.0 * self._settings.reserve_ms
        _, rung = await (self._quick if hurried else self._ladder).run(turn, deadline)
        if not turn.spoken and rung == "words":
            _, rung = await self._quick.run(turn, deadline)
        if not turn.spoken:
            rung = "bark"
            await Speaking.last_word(turn, self._sources.barks)
        turn.ms_total = (self._clock.monotonic_s() - turn.started_s) * 1000.0
        return rung

    async def _commit(self, call: Call, turn: Turn) -> bool:
        """Write the line's effects; a line whose effects cannot be written is still said, without them."""
        scene, dialogue = turn.scene, turn.dialogue
        turn.delta = logic.relation_delta(scene, dialogue.kindness, self._settings.talk_relation_max)
        limit_s = min(self._settings.journal_ms, call.deadline.left_ms() * COMMIT_SHARE) / 1000.0
        try:
            if self._journal.fault:
                raise StoreDown(self._journal.fault)
            async with asyncio.timeout(limit_s):
                await self._journal.append(call.tenant, call.world, [*_effects(turn), *used(turn)], key=turn.explain_id)
        except (Unavailable, Refused, TimeoutError) as error:
            call.log.warning("dialogue.effects_dropped", dialogue=dialogue.id, reason=str(error) or "late")
            turn.delta = 0.0
            return False
        turn.bill.items.clear()
        dialogue.kindness += max(0.0, turn.delta)
        for proposal in turn.proposals:
            turn.offers[proposal.action] = turn.world.state.game_s
        return True

    def _reply(self, call: Call, turn: Turn, rung: str, *, committed: bool) -> messages.Said:
        text = turn.text
        self._remember(call, turn, text)
        reply = messages.Said(
            dialogue=turn.dialogue.id,
            npc=turn.scene.npc.id,
            text=text,
            emotion=logic.emotion_of(turn.scene),
            relation_delta=turn.delta,
            proposals=tuple(turn.proposals) if committed else (),
            claims=tuple(turn.claims),
            rung=rung,
            engine=turn.engine,
            tokens=turn.tokens,
            cost_usd=turn.cost_usd,
            ms_first_token=turn.ms_first_token,
            ms_total=turn.ms_total,
            explain_id=turn.explain_id,
            ai_generated=turn.by_model,
        )
        self._book.explain(call.tenant, call.world, _explained(turn, reply))
        call.notes.update(rung=rung, engine=turn.engine, tokens=turn.tokens.input + turn.tokens.output)
        return reply

    def _remember(self, call: Call, turn: Turn, text: str) -> None:
        scene, dialogue = turn.scene, turn.dialogue
        if scene.heard:
            heard = Line(
                speaker=scene.listener.id, name=scene.listener.name, text=scene.heard, npc=scene.listener_is_npc
            )
            dialogue.lines.append(heard)
        line = Line(
            speaker=scene.npc.id,
            name=scene.npc.name,
            text=text,
            npc=True,
            topic=scene.topic,
            ai_generated=turn.by_model,
        )
        dialogue.lines.append(line)
        dialogue.turns += 1
        self._book.spoke(call.tenant, call.world, scene.npc.id, text, ai_generated=turn.by_model)


class _Roles(msgspec.Struct, frozen=True):
    """Who opens its mouth, and to whom."""

    speaker: str
    listener: str


def _roles(world: World, dialogue: Dialogue, request: messages.Say) -> _Roles:
    """An NPC that sends no text speaks itself; whatever else is sent is answered by the NPC addressed."""
    everyone = (dialogue.npc, *dialogue.participants)
    if request.speaker not in everyone:
        raise NotFound(
            f"{request.speaker!r} is not in dialogue {dialogue.id!r}", hint=nearest(request.speaker, everyone)
        )
    if request.speaker in world.state.npcs and not request.text:
        listener = dialogue.participants[0] if request.speaker == dialogue.npc else dialogue.npc
        return _Roles(request.speaker, listener)
    if request.speaker != dialogue.npc:
        return _Roles(dialogue.npc, request.speaker)
    answering = next((id for id in dialogue.participants if id in world.state.npcs), None)
    if answering is None:
        raise Invalid(f"nobody can answer {request.speaker!r}", hint="let the NPC speak with empty text")
    return _Roles(answering, request.speaker)


def _effects(turn: Turn) -> list[Change]:
    """The changes that a line makes: feelings, offers, and that the two have talked."""
    scene = turn.scene
    changes: list[Change] = []
    if turn.delta:
        changes.append(RelationChanged(npc=scene.npc.id, other=scene.listener.id, delta=turn.delta))
    changes += [
        ProposalOffered(
            id=proposal.id,
            npc=scene.npc.id,
            player=scene.listener.id,
            action=proposal.action,
            arguments=proposal.arguments,
        )
        for proposal in turn.proposals
    ]
    speaker, hearer = (scene.listener, scene.npc) if scene.heard else (scene.npc, scene.listener)
    location = turn.dialogue.location if turn.dialogue.location in turn.world.state.locations else ""
    topic = scene.topic or scene.intent
    changes.append(Happened(verb="talked", actor=speaker.id, target=hearer.id, location=location, topic=topic))
    return changes


def _explained(turn: Turn, reply: messages.Said) -> messages.Explained:
    scene: Scene = turn.scene
    return messages.Explained(
        explain_id=turn.explain_id,
        dialogue=turn.dialogue.id,
        npc=scene.npc.id,
        speaker=scene.listener.id,
        heard=scene.heard,
        intent=scene.intent,
        context=turn.compiled.parts,
        context_tokens=turn.compiled.tokens,
        context_cut=turn.compiled.cut,
        line=reply.text,
        line_cut=tuple(turn.cut),
        claims=reply.claims,
        rulings=tuple(turn.rulings),
        rung=reply.rung,
        engine=reply.engine,
        model=turn.model,
        cache=turn.cache,
        falls=tuple(turn.falls),
        tokens=reply.tokens,
        cost_usd=reply.cost_usd,
        prompt_version=turn.completion.prompt,
        prompt_label=turn.prompt_label,
        seed=turn.completion.seed,
        ms_first_token=reply.ms_first_token,
        ms_total=reply.ms_total,
        ai_generated=turn.model_wrote or any(line.ai_generated for line in turn.dialogue.lines),
    )
