"""Answers the messages of the behavior module: read the tick, let the brains decide, say what was wrong, remember.

It orchestrates; what belongs to a schema is in `minds.py`, why a decision came about in `explaining.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from app.core.errors import Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.core.messages import Event, digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.behavior import explaining, faults, frames, logic, messages
from app.modules.behavior.asking import Question
from app.modules.behavior.brains import Answer, off_loop
from app.modules.behavior.explaining import Findings
from app.modules.behavior.frames import Tick
from app.modules.behavior.leads import Led
from app.modules.behavior.logic import Flag, Taste
from app.modules.behavior.memory import Memories
from app.modules.behavior.minds import Mind, Seated
from app.modules.behavior.passes import Look
from app.modules.behavior.planner import Planner
from app.modules.behavior.recent import Decision, Kept, Recent
from app.modules.behavior.recorder import Recorder
from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.settings import Settings
from app.world.events import EntityRemoved, IntentSet, WorldRestored
from app.world.state import World, Worlds

REFLEXED: tuple[messages.Fault, ...] = (
    "unknown_archetype", "wrong_width", "unknown_feature", "not_finite", "out_of_range",
)  # fmt: skip
"""Faults of which an NPC's observation or role cannot be used."""


@dataclass(slots=True)
class _Prepared:
    tick: Tick
    """As sent, with archetypes and candidates in its observations."""
    question: Question
    seated: Seated | None
    look: Look
    clipped: int = 0
    """Values that were brought into their range."""


class Behavior:
    """One method for each message."""

    def __init__(
        self, *, settings: Settings, worlds: Worlds, journal: Journal, minds: Mapping[str, Mind],
        planner: Planner | None = None, recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        self._settings, self._worlds, self._journal, self._minds = settings, worlds, journal, minds
        self._planner, self._recorder = planner, recorder
        self._memories = Memories(worlds_max=settings.recent_worlds_max, npcs_max=settings.memory_npcs_max)
        self._recent = Recent(rows_max=settings.recent_rows_max, worlds_max=settings.recent_worlds_max)

    async def decide(self, call: Call, request: messages.Decide) -> messages.Decided:
        """Every NPC's intent for this tick; what is wrong with one is an error of its own."""
        world, mind = self._worlds.get(call.tenant, call.world), self._mind(request.schema)
        if frames.is_slow(request):
            tick = await asyncio.to_thread(frames.read, request, mind.schema, world, self._settings)
        else:
            tick = frames.read(request, mind.schema, world, self._settings)
        ready = await self._prepare(call, world, mind, tick)
        if mind.leads.leads(world):
            answer, led = await mind.leads.decide(
                world, mind.brains, ready.question, call.deadline, number=tick.number, dt_s=request.dt_s
            )
        else:
            (answer, _), led = await mind.brains.decide(ready.question, call.deadline), ()
        if ready.look.seen:
            faults.gather(ready.tick.faults, ready.look.flags, strict=request.strict)
        kept = await self._settle(mind, ready, answer, led)
        if self._recorder is not None:
            self._recorder.offer(
                (call.tenant, call.world), kept, mind.brains, flags=ready.look.flags,
                game_s=world.state.game_s, taste_share=self._settings.taste_share,
            )  # fmt: skip
        if ready.seated is not None:
            kept = mind.gather(world, kept, ready.seated)
        self._recent.keep(call.tenant, call.world, kept)
        if self._planner is not None and mind.schema.name == messages.DEFAULT:
            self._planner.saw(world, kept.handles, kept.obs, kept.mask)
        verdict = await self._verdict(request, mind, ready.tick)
        rung = answer.lead
        engine = mind.brains.provider if rung == "policy" else mind.brains.passes.name
        bad_rows = len(verdict.errors) + verdict.more
        call.notes.update(rung=rung, engine=engine, npcs=len(kept.handles), bad_rows=bad_rows, clipped=ready.clipped)
        return await self._reply(request, mind, ready, kept, verdict)

    def _mind(self, schema: str) -> Mind:
        found = self._minds.get(schema)
        if found is None:
            raise Invalid(f"schema {schema!r} is not known", hint=nearest(schema, self._minds))
        return found

    async def _prepare(self, call: Call, world: World, mind: Mind, tick: Tick) -> _Prepared:
        """Rows with roles and candidates in them, which whoever decides over them looks at as well.

        Only where something is laid over them are they looked at before.
        """
        tick, seated = await mind.lay(tick)
        rows, known = len(tick.handles), len(world.state.handles)
        look = Look(known, np.empty(rows, np.uint8), lambda: self._mend(world, mind, ready))
        seed = stable_hash(call.tenant, call.world, tick.number // max(1, self._settings.taste_ticks_max))
        taste = Taste(mind.tastes, seed, tick.handles)
        memory = self._memories.of(call.tenant, call.world, known) if mind.brains.remembers else None
        question = Question(tick.obs, tick.mask, taste, tick.importance, memory=memory, look=look)
        ready = _Prepared(tick, question, seated, look)
        nudge = mind.nudges.at(world)
        if nudge is not None:
            clean = await mind.brains.clean(question)
            laid = await off_loop(rows, lambda: nudge.lay(tick.handles, clean.obs, tick.mask))
            ready.question = replace(clean, obs=laid.obs, mask=laid.mask, bonus=laid.bonus)
        return ready

    def _mend(self, world: World, mind: Mind, ready: _Prepared) -> F32:
        """Observations in range, with the roles of those that were sent without."""
        tick, flags = ready.tick, ready.look.flags
        obs, ready.clipped = logic.clip(mind.schema, tick.obs, flags)
        nameless = np.flatnonzero((flags & (Flag.NOT_FINITE | Flag.ROLELESS) != 0) & (flags & Flag.UNKNOWN == 0))
        if len(nameless):
            obs = obs.copy() if obs is tick.obs else obs
            part = obs[nameless]
            if tick.archetypes is not None:
                mind.say_roles(part, tick.archetypes[nameless])
            else:
                mind.say_roles(part, _roles_of(world, mind.schema, tick, nameless.tolist()))
            obs[nameless] = part
        return obs

    async def _verdict(self, request: messages.Decide, mind: Mind, tick: Tick) -> faults.Verdict:
        if not tick.faults.any:
            return faults.Verdict((), 0)
        most = self._settings.errors_max
        return await asyncio.to_thread(faults.tell, request, mind.schema, tick, most)

    async def _settle(self, mind: Mind, ready: _Prepared, answer: Answer, led: tuple[Led, ...]) -> Kept:
        """The tick as it was decided, with reflexes where an observation could not be used."""
        tick, obs, mask, choice = ready.tick, answer.obs, ready.question.mask, answer.choice
        handles, rungs = tick.handles, answer.rungs or mind.brains.names
        if tick.faults.any:
            bad = np.flatnonzero(tick.faults.of(*REFLEXED))
            if len(bad):
                follow = mind.brains.reflexes.follow
                part = await off_loop(len(bad), lambda: follow(obs[bad], mask[bad]))
                choice.put(bad, part)
                answer.rung_of[bad] = len(rungs) - 1
            unknown = tick.faults.of("unknown_npc")
            choice.intents[unknown] = choice.targets[unknown] = NONE
            handles = np.where(unknown, np.uint32(frames.UNKNOWN), handles)
        return Kept(
            tick=tick.number, schema=mind.schema.name, handles=handles, obs=obs, mask=mask,
            taste=ready.question.taste, choice=choice, slot_handles=ready.seated.handles if ready.seated else None,
            rung_of=answer.rung_of, rungs=rungs, bonus=ready.question.bonus,
            remembered=answer.remembered, led=led,
        )  # fmt: skip

    async def _reply(
        self, request: messages.Decide, mind: Mind, ready: _Prepared, kept: Kept, verdict: faults.Verdict
    ) -> messages.Decided:
        choice = kept.choice
        targets = choice.targets if ready.seated is None else ready.seated.targets(choice.targets)
        numbers = np.empty((len(targets), 0), np.float32)
        if request.parameters:
            numbers = await off_loop(2 * len(targets), lambda: mind.parameters.of(kept.obs, choice.intents))
        lists = None
        if request.format == "lists":
            lists = await off_loop(len(targets), lambda: _lists(mind, kept, targets, numbers))
        return messages.Decided(
            tick=kept.tick,
            npcs=len(kept.handles),
            intents=choice.intents.tobytes(),
            targets=targets.tobytes(),
            confidence=choice.confidence.tobytes(),
            rung_of=kept.rung_of.tobytes(),
            rungs=kept.rungs,
            parameters=numbers.tobytes(),
            errors=verdict.errors,
            errors_more=verdict.more,
            clipped=0 if request.strict else ready.clipped,
            lists=lists,
        )

    def observe(self, world: World, events: Sequence[Event]) -> None:
        """Learn who is led by what, and forget what a recurrent policy remembers of NPCs that are gone."""
        for mind in self._minds.values():
            mind.leads.observe(world, events)
        for event in events:
            change = event.change
            if isinstance(change, WorldRestored):
                self._memories.clear(world.tenant, world.id)
            if isinstance(change, EntityRemoved) and change.entity_kind == "npc":
                self._memories.forget(world.tenant, world.id, world.state.handles.get(change.id, frames.UNKNOWN))

    async def explain(self, call: Call, request: messages.Explain) -> messages.Explained:
        """Why an NPC did what it did last; raises NotFound when it has not decided lately."""
        world = self._worlds.get(call.tenant, call.world)
        world.npc(request.npc)
        decision = self._recent.last(call.tenant, call.world, world.state.handles[request.npc])
        if decision is None:
            raise NotFound(f"NPC {request.npc!r} has not decided lately", hint="send it in a behavior.decide first")
        mind = self._minds[decision.schema]
        call.notes.update(rung=decision.rung, engine="policy" if decision.rung == "policy" else "numpy")
        findings = await explaining.explain(mind, decision, call.deadline, rows_max=self._settings.tipping_rows_max)
        return self._tell(world, mind, request.npc, decision, findings)

    def _tell(self, world: World, mind: Mind, npc: str, decision: Decision, findings: Findings) -> messages.Explained:
        names, most = mind.schema.intent_names, self._settings.reasons_max
        told = world.directive(npc)
        why = self._planner.why(world, npc) if self._planner is not None else ""
        seen = _told(mind.schema, decision.obs)
        return messages.Explained(
            npc=npc,
            tick=decision.tick,
            schema=decision.schema,
            intent=names[decision.intent] if decision.intent != NONE else "",
            target=decision.target if decision.target != NONE else None,
            target_npc=_called(world, decision.target_handle),
            confidence=round(decision.confidence, 4),
            rung=decision.rung,
            rule=findings.rule,
            steps=findings.steps,
            features=mind.schema.decode(decision.obs),
            scores={name: round(float(score), 4) for name, score in zip(names, decision.scores, strict=True)},
            parts=findings.parts,
            reasons=findings.reasons[:most],
            target_reasons=findings.target_reasons[:most],
            runner_up=findings.runner_up,
            lead=findings.lead,
            tipping=findings.tipping,
            directive=told.intent if told is not None else seen,
            directive_source="" if not seen else "schedule" if told is None else told.source,
            directive_why=why,
            ai_generated=bool(why),
            steering=tuple(
                messages.Steered(name=each.name, intent=each.intent, bonus=round(each.bonus, 4), veto=each.veto)
                for each in mind.nudges.effects(world, decision.obs)
            ),
        )

    async def intent(self, call: Call, request: messages.SetIntent) -> messages.IntentAccepted:
        """Set a slow goal through the journal; raises Invalid for an intent that no schema has."""
        known = {name for mind in self._minds.values() for name in mind.schema.intent_names}
        if request.intent not in known:
            raise Invalid(f"intent {request.intent!r} is in no schema", hint=nearest(request.intent, known))
        if request.until_s is not None and not np.isfinite(request.until_s):
            raise Invalid(f"until_s is {request.until_s!r}", hint="send game seconds, or leave it out")
        change = IntentSet(
            npc=request.npc,
            intent=request.intent,
            target=request.target,
            until_s=request.until_s,
            source=request.source,
        )
        events = await self._journal.append(call.tenant, call.world, [change], key=request.key, request=digest(request))
        call.notes.update(rung="journal", engine="journal")
        return messages.IntentAccepted(npc=request.npc, intent=request.intent, seq=events[-1].seq)

    def describe(self, tenant: str, world: str, npc: str) -> dict[str, Any]:
        """The last decision in the shape of Explained, without asking a brain again; empty when there is none."""
        home = self._worlds.get(tenant, world)
        handle = home.state.handles.get(npc)
        decision = self._recent.last(tenant, world, handle) if handle is not None else None
        if decision is None:
            return {}
        mind = self._minds[decision.schema]
        told = self._tell(home, mind, npc, decision, explaining.glance(mind, decision))
        shown: dict[str, Any] = msgspec.to_builtins(told)
        return shown


def _roles_of(world: World, schema: Schema, tick: Tick, rows: list[int]) -> U8:
    """The role of each row's NPC as its entity says (rows,), NONE where the schema has none such: a fault."""
    ids = tuple(world.state.handles)
    found = np.full(len(rows), NONE, np.uint8)
    for at, row in enumerate(rows):
        npc = world.state.npcs.get(ids[tick.handles[row]])
        archetype = npc.archetype if npc is not None else ""
        if archetype in schema.role_index:
            found[at] = schema.role_index[archetype]
        else:
            tick.faults.add(row, "unknown_archetype", archetype)
    return found


def _told(schema: Schema, row: F32) -> str:
    """The intent that a row (features,) was told, or empty."""
    told = np.flatnonzero(row[schema.block("told")])
    return schema.intent_names[int(told[0])] if len(told) else ""


def _called(world: World, handle: int | None) -> str:
    """The id behind a handle, "" for nobody."""
    if handle is None or handle >= len(world.state.handles):
        return ""
    return tuple(world.state.handles)[handle]


def _lists(mind: Mind, kept: Kept, targets: U8, numbers: F32) -> messages.Lists:
    names, choice = mind.schema.intent_names, kept.choice
    return messages.Lists(
        intents=tuple("" if intent == NONE else names[intent] for intent in choice.intents.tolist()),
        targets=tuple(-1 if target == NONE else target for target in targets.tolist()),
        confidence=tuple(round(value, 4) for value in choice.confidence.tolist()),
        rungs=tuple(kept.rungs[rung] for rung in kept.rung_of.tolist()),
        parameters=tuple(
            {name: round(value, 4) for name, value in zip(mind.parameters.names, row, strict=True)}
            for row in (numbers.tolist() if numbers.shape[1] else ())
        ),
    )
