"""Everything that is known before the first word of a line: roles, hearers, memories, scene, prompt, bounds.

It reads and decides nothing about what is said. What the NPC remembers is asked for under a limit of its own: a store
that does not answer costs the memories, never the line.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from app.core.clock import Clock
from app.core.errors import Conflict, Refused, Unavailable
from app.core.ids import new_id, stable_hash
from app.core.memory import Memory, Recollection
from app.core.module import Call
from app.core.prompts import Chosen, Prompts
from app.core.words import Bill, Completion, Trace, Words
from app.modules.dialogue import logic, messages, rooms, scenes
from app.modules.dialogue.asides import Asides
from app.modules.dialogue.book import Book, Dialogue
from app.modules.dialogue.context import compile_context
from app.modules.dialogue.intents import Lexicon
from app.modules.dialogue.judging import UNRATED
from app.modules.dialogue.keeping import keep_of
from app.modules.dialogue.rated import Ratings
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.stories.told import Stories
from app.modules.dialogue.turn import Turn
from app.world.gate.speech import Guard, clean_input
from app.world.loops import Governor
from app.world.scene import Scene
from app.world.state import World

GUARDS_MAX = 64
"""Versions of the prompt whose guards are kept."""
RECALL_SHARE = 0.2
"""Of the time left for a line: the most that recalling may take."""
PRESENT_MAX = 8
"""Others within earshot that a scene names."""
NOTHING: tuple[Recollection, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """What the lines come from: engines, prompts, lexicon, short lines, and what NPCs remember."""

    words: Words | None
    authored: Words
    rungs: tuple[str, ...]
    prompts: Prompts
    lexicon: Lexicon
    barks: dict[str, tuple[str, ...]]
    asides: dict[str, Asides]
    ratings: Ratings
    governor: Governor
    memory: Memory | None = None
    stories: Stories | None = None


class Composing:
    """Makes the turns of one module."""

    def __init__(self, settings: Settings, clock: Clock, sources: Sources, book: Book) -> None:
        self._settings = settings
        self._clock = clock
        self._sources = sources
        self._book = book
        self._guards: OrderedDict[str, Guard] = OrderedDict()
        self._recalls: set[asyncio.Task[tuple[Sequence[Recollection], Sequence[Recollection]]]] = set()

    async def close(self) -> None:
        """End what still recalls for lines that did not wait for it."""
        for task in self._recalls:
            task.cancel()
        await asyncio.gather(*self._recalls, return_exceptions=True)

    def prepare(self, dialogue: Dialogue) -> None:
        """Have ready what those who take part remember."""
        if self._sources.memory is not None:
            self._sources.memory.prepare(dialogue.tenant, dialogue.world, dialogue.everyone)

    async def turn(
        self, call: Call, world: World, dialogue: Dialogue, request: messages.Say, *, started_s: float
    ) -> Turn:
        """The line that answers `request`, before its first word; raises Conflict when its speaker is dead."""
        seed = stable_hash(call.tenant, call.world, dialogue.id, dialogue.turns, world.state.seq)
        found = rooms.roles(world, dialogue, request, seed)
        if not world.npc(found.speaker).alive:
            raise Conflict(f"NPC {found.speaker!r} is dead", hint="close the dialogue")
        audience = rooms.audience(world, dialogue, found, self._settings, whisper=request.whisper)
        judged = self._sources.ratings.of(call.tenant).hear(
            clean_input(request.text), language=world.npc(found.speaker).persona.language, seed=seed
        )
        talk = self._talk(call, world, dialogue, found, audience, judged.text, seed)
        recalled, pinned = await self._recall(call, world, dialogue, talk, audience)
        scene = scenes.compose(
            world,
            talk,
            self._sources.lexicon,
            self._book.names(world),
            self._settings,
            recalled=recalled,
            pinned=pinned,
        )
        others = (rooms.person(world, id) for id in audience[2 : 2 + PRESENT_MAX])
        npc = world.npc(found.speaker)
        scene = msgspec.structs.replace(
            scene,
            present=tuple(scenes.someone(world, npc, other) for other in others if other is not None),
            whisper=request.whisper,
            addressed=found.addressed,
        )
        scene = rooms.discreet(world, scene, audience)
        turn = self._made(call, world, dialogue, scene, audience, seed, started_s)
        turn.recalled, turn.pinned = recalled, pinned
        stories = self._sources.stories
        if judged.answer:
            turn.cut.append(messages.Cut(what="what was heard", reason=f"{UNRATED}: {judged.category}"))
            turn.refusal = judged.answer
        elif stories is not None and found.addressed:
            turn.falls += [messages.Cut(what="story", reason=fault) for fault in stories.faults(world, found.speaker)]
            turn.told = stories.turn(
                world, found.speaker, found.listener, scene.heard, seed=seed, thread=dialogue.id, hearers=audience[2:]
            )
        return turn

    def _talk(
        self,
        call: Call,
        world: World,
        dialogue: Dialogue,
        found: rooms.Roles,
        audience: Sequence[str],
        heard: str,
        seed: int,
    ) -> scenes.Talk:
        """What the book holds of it; of the lines before, those that everybody in the dialogue who hears has heard."""
        players = [id for id in audience if id in world.state.players]
        within = [id for id in players if id in dialogue.everyone]
        lines = dialogue.heard((*audience[:2], *within), players)
        return scenes.Talk(
            speaker=found.speaker,
            listener=found.listener,
            heard=heard,
            location=dialogue.location,
            lines=lines,
            stale=self._book.stale(call.tenant, call.world, found.speaker),
            news=self._book.news(world, world.npc(found.speaker)),
            seed=seed,
            before=dialogue.told - len(dialogue.lines),
        )

    def _made(
        self,
        call: Call,
        world: World,
        dialogue: Dialogue,
        scene: Scene,
        audience: tuple[str, ...],
        seed: int,
        started_s: float,
    ) -> Turn:
        npc, listener = scene.npc.id, scene.listener.id
        player = "" if scene.listener_is_npc else listener
        chosen = self._sources.prompts.choose(call.tenant, logic.TASK, unit=f"{call.world}/{player or npc}")
        acts = logic.open_acts(world, world.npc(npc), listener)
        canary = logic.canary_of(call.tenant, call.world, npc)
        compiled = compile_context(scene, chosen, acts, tokens_max=self._settings.context_tokens_max, canary=canary)
        others = {
            engine: compile_context(scene, chosen, acts, tokens_max=tokens, canary=canary).parts
            for engine, tokens in self._settings.context_tokens.items()
        }
        most, names = self._settings.output_tokens_max, self._book.names(world)
        completion = Completion(
            task=logic.TASK,
            parts=compiled.parts,
            parts_for=others,
            output_tokens_max=min(chosen.prompt.output_tokens_max or most, most),
            sampling=chosen.prompt.sampling,
            prompt=chosen.version,
            prefer=chosen.prompt.model,
            first_token_ms=self._settings.first_token_ms,
            seed=seed,
            tenant=call.tenant,
            world=call.world,
            npc=npc,
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
            secrets=names.secrets(world, world.npc(npc), world.state.players.get(listener) or world.npc(listener)),
            offers=self._book.offers(call.tenant, call.world, npc, listener),
            explain_id=new_id(self._clock.wall_ms()),
            started_s=started_s,
            audience=audience,
            filler_before=self._book.filler(call.tenant, call.world, npc),
        )

    def _guard(self, chosen: Chosen) -> Guard:
        """What of this version must never be spoken; made once for each."""
        found = self._guards.get(chosen.version)
        if found is None:
            found = self._guards[chosen.version] = logic.guard_of(chosen)
            while len(self._guards) > GUARDS_MAX:
                self._guards.popitem(last=False)
        return found

    async def _recall(
        self, call: Call, world: World, dialogue: Dialogue, talk: scenes.Talk, audience: Sequence[str]
    ) -> tuple[Sequence[Recollection], Sequence[Recollection]]:
        """(recalled, pinned) of what may be told to all who hear; nothing where memories do not come in time."""
        memory = self._sources.memory
        if memory is None:
            return NOTHING, NOTHING
        cue = scenes.cue_of(
            world,
            speaker=talk.speaker,
            listener=talk.listener,
            heard=talk.heard or rooms.name_of(world, talk.listener),
            lines=talk.lines,
            present=audience[2:],
            location=talk.location,
            thread=dialogue.id,
        )

        async def ask() -> tuple[Sequence[Recollection], Sequence[Recollection]]:
            recalled = await memory.recall(call.tenant, call.world, talk.speaker, cue)
            return recalled, await memory.pinned(call.tenant, call.world, talk.speaker, talk.listener)

        task = asyncio.create_task(ask(), name="recall")
        self._recalls.add(task)
        task.add_done_callback(self._forgotten)
        limit_ms = min(self._settings.recall_ms, call.deadline.left_ms() * RECALL_SHARE)
        # One that is late goes on: what it loads is there for the next line.
        await asyncio.wait({task}, timeout=limit_ms / 1000.0)
        try:
            recalled, pinned = task.result() if task.done() else (NOTHING, NOTHING)
        except (Unavailable, Refused) as error:
            call.log.warning("memories.left_out", dialogue=dialogue.id, reason=error.message)
            return NOTHING, NOTHING
        return rooms.tellable(world, recalled, audience), rooms.tellable(world, pinned, audience)

    def _forgotten(self, task: asyncio.Task[tuple[Sequence[Recollection], Sequence[Recollection]]]) -> None:
        self._recalls.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of, so that a late failure is no warning of its own
