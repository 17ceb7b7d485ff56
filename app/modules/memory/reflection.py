"""Reflections: background jobs that turn what an NPC remembers of a person into a conclusion of its own.

A model writes it within a budget of tokens; where none does, it is counted by rule. Nobody waits for one. What comes
out is told to no more ears than everything that it was made from, and says what that was.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown, Error, NotFound, Overloaded, Refused, Unavailable
from app.core.ids import new_id
from app.core.memory import Recollection
from app.core.messages import Change
from app.core.ports import Journal, Log
from app.core.prompts import Prompts
from app.core.words import Bill, Completion, Part, Words, WordsDelta, WordsEnd
from app.modules.memory import conclusions, logic, messages
from app.modules.memory.holding import Holding
from app.modules.memory.minds import Minds
from app.modules.memory.settings import ReflectionSettings
from app.world.entities import Npc
from app.world.events import MemoryForgotten, MemoryNoted
from app.world.memories import TEXT_MAX, emotion_of, name_of
from app.world.state import World, Worlds
from app.world.usage import charged

TASK = "memory.reflect"
TOPIC = "reflection"
LINKS_MAX = 64
BYTES_PER_TOKEN = 3
"""As the dialogue module estimates: high rather than low."""


@dataclass(slots=True)
class _Job:
    id: str
    tenant: str
    world: str
    npc: str
    about: str
    tokens_max: int
    state: messages.JobState = "waiting"
    rung: str = ""
    memories: list[str] = field(default_factory=list)
    tokens: int = 0
    error: str = ""

    def told(self) -> messages.Reflected:
        return messages.Reflected(
            job=self.id,
            npc=self.npc,
            state=self.state,
            rung=self.rung,
            memories=tuple(self.memories),
            tokens=self.tokens,
            error=self.error,
        )


class Reflections:
    """Holds the jobs, and runs a few at a time."""

    def __init__(
        self,
        settings: ReflectionSettings,
        *,
        minds: Minds,
        worlds: Worlds,
        journal: Journal,
        words: Words | None,
        prompts: Prompts,
        clock: Clock,
        log: Log,
    ) -> None:
        self._settings = settings
        self._minds = minds
        self._worlds = worlds
        self._journal = journal
        self._words = words
        self._prompts = prompts
        self._clock = clock
        self._log = log
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(settings.running_max)

    def begin(self, world: World, npc: str, about: str, tokens_max: int | None) -> messages.Reflected:
        """Queue a job; raises Overloaded when too many are not over."""
        for id in [id for id, job in self._jobs.items() if job.state in ("done", "failed")]:
            if len(self._jobs) < self._settings.jobs_max:
                break
            del self._jobs[id]
        if len(self._jobs) >= self._settings.jobs_max:
            raise Overloaded(f"{len(self._jobs)} reflections wait", hint="ask later", retry_after_s=1.0)
        most = self._settings.tokens_max
        job = _Job(
            id=new_id(self._clock.wall_ms()),
            tenant=world.tenant,
            world=world.id,
            npc=npc,
            about=about,
            tokens_max=most if tokens_max is None else min(tokens_max, most),
        )
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job), name=f"reflect {npc}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job.told()

    def job(self, tenant: str, world: str, id: str) -> messages.Reflected:
        """A job as it stands; raises NotFound."""
        job = self._jobs.get(id)
        if job is None or (job.tenant, job.world) != (tenant, world):
            raise NotFound(f"no reflection {id!r}", hint="its name was the answer to memory.reflect; old ones go")
        return job.told()

    async def close(self) -> None:
        """End what runs; nothing that is half done is kept."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: _Job) -> None:
        async with self._room:
            job.state = "running"
            try:
                await self._reflect(job)
            except Error as error:
                job.state, job.error = "failed", error.message
                self._log.warning("reflection.failed", reason=error.message)
            else:
                job.state = "done"

    async def _reflect(self, job: _Job) -> None:
        world = self._worlds.get(job.tenant, job.world)
        npc = world.npc(job.npc)
        held = self._minds.ready(world, npc) or await self._minds.read(world, job.npc)
        memories = logic.usable(world.state, held.memories.values())
        most = self._settings.persons_max
        persons = [job.about] if job.about else conclusions.persons_met(memories, job.npc, most)
        for person in persons:
            sources = conclusions.sources_about(memories, person, self._settings.memories_max)
            if sources:
                await self._conclude(job, world, held, person, sources)

    async def _conclude(
        self, job: _Job, world: World, held: Holding, person: str, sources: Sequence[Recollection]
    ) -> None:
        """Commit one conclusion in the place of an earlier one about the same person."""
        npc, bill = world.npc(job.npc), Bill()
        text, used, by_model = await self._worded(job, world, npc, person, sources, bill)
        changes: list[Change] = [charged(spent, npc=npc.id) for spent in bill.items]
        if text:
            before = [
                memory.id
                for memory in held.memories.values()
                if memory.source == "derived" and memory.topic == TOPIC and memory.participants[:1] == (person,)
            ]
            if before:
                changes.append(MemoryForgotten(holder=npc.id, ids=tuple(before)))
            noted = self._noted(npc.id, person, text, used, ai_generated=by_model)
            changes.append(noted)
            job.memories.append(noted.id)
            job.rung = "words" if by_model else job.rung or "rules"
        if changes:
            await self._journal.append(job.tenant, job.world, changes)

    def _noted(
        self, npc: str, person: str, text: str, used: Sequence[Recollection], *, ai_generated: bool
    ) -> MemoryNoted:
        others = dict.fromkeys(id for memory in used for id in logic.persons(memory))
        return MemoryNoted(
            id=new_id(self._clock.wall_ms()),
            holders=(npc,),
            source="derived",
            text=text[:TEXT_MAX],
            participants=tuple(dict.fromkeys((person, *others))),
            known_by=logic.shared_audience(used, npc),
            topic=TOPIC,
            importance=self._settings.importance,
            emotion=emotion_of(text),
            links=tuple(memory.id for memory in used)[:LINKS_MAX],
            ai_generated=ai_generated or any(memory.ai_generated for memory in used),
        )

    async def _worded(
        self, job: _Job, world: World, npc: Npc, person: str, sources: Sequence[Recollection], bill: Bill
    ) -> tuple[str, Sequence[Recollection], bool]:
        """(the conclusion, what it was made from, whether a model wrote it)."""
        name = name_of(world, person)
        if self._words is not None:
            try:
                text, used = await self._ask(job, world, npc, name, sources, bill)
            except (Unavailable, Refused) as error:
                self._log.debug("reflection.fell_back", reason=error.message)
            else:
                if text:
                    return text, used, True
        felt = world.relation(npc.id, person)
        return conclusions.plain_sentence(sources, npc=npc.id, person=person, name=name, felt=felt), sources, False

    async def _ask(
        self, job: _Job, world: World, npc: Npc, name: str, sources: Sequence[Recollection], bill: Bill
    ) -> tuple[str, Sequence[Recollection]]:
        """One request within what is left of the job's tokens; empty where too few are left."""
        variables = {"name": npc.name, "person": name}
        rendered = self._prompts.render(job.tenant, TASK, variables, unit=f"{job.world}/{npc.id}")
        most = min(rendered.output_tokens_max or self._settings.output_tokens_max, self._settings.output_tokens_max)
        left = job.tokens_max - job.tokens - most - sum(_tokens(part.text) for part in rendered.parts)
        parts, used = [], []
        for memory in sources:
            part = _part(world, memory)
            left -= _tokens(part.text)
            if left < 0:
                break
            parts.append(part)
            used.append(memory)
        if not used or self._words is None:
            return "", ()
        rules, *rest = rendered.parts
        completion = Completion(
            task=TASK,
            parts=(rules, *parts, *rest),
            output_tokens_max=most,
            sampling=rendered.sampling,
            prompt=rendered.version,
            prefer=rendered.model,
            tenant=job.tenant,
            world=job.world,
            npc=npc.id,
            bill=bill,
        )
        try:
            return await self._read(completion), used
        finally:
            job.tokens += sum(spent.usage.tokens_in + spent.usage.tokens_out for spent in bill.items)

    async def _read(self, completion: Completion) -> str:
        assert self._words is not None  # noqa: S101  # the caller has looked
        deadline = Deadline.after_ms(self._settings.deadline_ms, self._clock)
        text, ended = "", False
        async with aclosing(self._words.stream(completion, deadline)) as stream:
            async for event in stream:
                if isinstance(event, WordsDelta):
                    text += event.text
                    if len(text) > TEXT_MAX:
                        raise EngineDown("the conclusion has no end")
                ended = ended or isinstance(event, WordsEnd)
        if not ended:
            raise EngineDown("the conclusion was cut off")
        return " ".join(text.split())


def _part(world: World, memory: Recollection) -> Part:
    """A memory as a part: what a player said is data."""
    if memory.speaker in world.state.players:
        return Part(trust="player", text=memory.text, speaker=name_of(world, memory.speaker))
    said = f"{name_of(world, memory.speaker)} said: " if memory.speaker else ""
    return Part(trust="fact", text=f"{said}{memory.text}")


def _tokens(text: str) -> int:
    return (len(text.encode("utf-8", "replace")) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN
