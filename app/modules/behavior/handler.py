"""Answers the messages of the behavior module: read the tick, let the brains decide, say what was wrong, remember.

It orchestrates; scores, masks and seeds are in `logic.py` and `considerations.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, NotFound, Unavailable, nearest
from app.core.ids import stable_hash
from app.core.messages import digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.behavior import frames, logic, messages
from app.modules.behavior.brains import Answer, Brains, Question, in_spans, off_loop
from app.modules.behavior.directives import Directives
from app.modules.behavior.logic import Flag, Taste
from app.modules.behavior.recent import Decision, Kept, Recent
from app.modules.behavior.recorder import Recorder
from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.settings import Settings
from app.world.events import IntentSet
from app.world.state import World, Worlds


@dataclass(frozen=True, slots=True)
class _Prepared:
    question: Question
    flags: U8
    """(n,) what is wrong with each row, see logic.Flag"""
    seen: int
    """All flags together, 0 when every row is fine."""
    clipped: int


class Behavior:
    """One method for each message."""

    def __init__(
        self, *, settings: Settings, worlds: Worlds, journal: Journal, brains: Brains, recorder: Recorder | None = None
    ) -> None:
        self._settings, self._worlds, self._journal, self._brains = settings, worlds, journal, brains
        self._schema, self._recorder = brains.schema, recorder
        intents, share = len(self._schema.intents), settings.taste_share
        self._tastes = logic.taste_table(intents, share) if share > 0.0 else np.zeros((1, intents), np.float32)
        self._directives = Directives(self._schema, worlds_max=settings.recent_worlds_max)
        self._recent = Recent(rows_max=settings.recent_rows_max, worlds_max=settings.recent_worlds_max)

    async def decide(self, call: Call, request: messages.Decide) -> messages.Decided:
        """Every NPC's intent for this tick; a bad row is an error of that row, the others are answered."""
        world = self._worlds.get(call.tenant, call.world)
        tick = frames.read(request, self._schema, world, npcs_max=self._settings.npcs_max)
        ready = await self._prepare(call, world, tick)
        answer, rung = await self._brains.decide(ready.question, call.deadline)
        choice, rung_of, handles = answer.choice, answer.rung_of, tick.handles
        if ready.seen & Flag.NOT_FINITE:
            self._flinch(ready, answer)
        if ready.seen & Flag.UNKNOWN:
            unknown = (ready.flags & Flag.UNKNOWN) != 0
            choice.intents[unknown] = choice.targets[unknown] = NONE
            handles = np.where(unknown, np.uint32(frames.UNKNOWN), handles)
        question = ready.question
        kept = Kept(tick.number, handles, question.obs, question.mask, choice, rung_of, self._brains.names)
        self._recent.keep(call.tenant, call.world, kept)
        if self._recorder is not None:
            self._recorder.offer(
                (call.tenant, call.world), kept, self._brains, flags=ready.flags, seed=question.taste.seed,
                game_s=world.state.game_s, taste_share=self._settings.taste_share,
            )  # fmt: skip
        errors = _errors(request, ready.flags) if ready.seen else ()
        rows = len(handles)
        engine = self._brains.provider if rung == "policy" else self._brains.passes.name
        call.notes.update(rung=rung, engine=engine, npcs=rows, bad_rows=len(errors), clipped=ready.clipped)
        return messages.Decided(
            tick=tick.number,
            npcs=rows,
            intents=choice.intents.tobytes(),
            targets=choice.targets.tobytes(),
            confidence=choice.confidence.tobytes(),
            rung_of=rung_of.tobytes(),
            rungs=self._brains.names,
            errors=errors,
            clipped=ready.clipped,
            lists=_lists(self._schema, kept) if request.format == "lists" else None,
        )

    async def _prepare(self, call: Call, world: World, tick: frames.Tick) -> _Prepared:
        """Clean rows with directives in them. Of a row that is not finite only the NPC's archetype is kept."""
        rows, known, passes = len(tick.handles), len(world.state.handles), self._brains.passes
        flags = np.empty(rows, np.uint8)

        def work(first: int, last: int) -> int:  # The lightest of the passes.
            return passes.survey(tick.obs, tick.mask, tick.handles, known, flags, first, last)

        seen, obs, clipped = await in_spans(rows, 2 * passes.loop_rows_max, work), tick.obs, 0
        if seen or world.state.intents:
            obs, clipped = await off_loop(rows, lambda: self._mend(world, tick, flags))
        seed = stable_hash(call.tenant, call.world, tick.number // max(1, self._settings.taste_ticks_max))
        return _Prepared(Question(obs, tick.mask, Taste(self._tastes, seed, tick.handles)), flags, seen, clipped)

    def _mend(self, world: World, tick: frames.Tick, flags: U8) -> tuple[F32, int]:
        """Observations in range with directives in them, and how many values were clipped."""
        obs, clipped = logic.clip(self._schema, tick.obs, flags)
        if obs is not tick.obs:
            self._say_roles(world, tick.handles, flags, obs)
        return self._directives.lay_over(world, tick.handles, obs), clipped

    def _say_roles(self, world: World, handles: NDArray[np.uint32], flags: U8, obs: F32) -> None:
        """Write the archetype of the NPCs whose rows were emptied, in place."""
        ids = tuple(world.state.handles)
        for row in np.flatnonzero((flags & (Flag.NOT_FINITE | Flag.UNKNOWN)) == Flag.NOT_FINITE).tolist():
            npc = world.state.npcs.get(ids[handles[row]])
            column = self._schema.columns.get(f"is_{npc.archetype}") if npc is not None else None
            if column is not None:
                obs[row, column] = 1.0

    def _flinch(self, ready: _Prepared, answer: Answer) -> None:
        """Reflexes for rows that are not finite, in place."""
        bad = np.flatnonzero(ready.flags & Flag.NOT_FINITE)
        question = ready.question
        answer.choice.put(bad, logic.follow_reflexes(self._schema, question.obs[bad], question.mask[bad]))
        answer.rung_of[bad] = len(self._brains.names) - 1

    async def explain(self, call: Call, request: messages.Explain) -> messages.Explained:
        """Why an NPC did what it did last; raises NotFound when it has not decided lately."""
        world = self._worlds.get(call.tenant, call.world)
        world.npc(request.npc)
        decision = self._recent.last(call.tenant, call.world, world.state.handles[request.npc])
        if decision is None:
            raise NotFound(f"NPC {request.npc!r} has not decided lately", hint="send it in a behavior.decide first")
        call.notes.update(rung=decision.rung, engine="numpy")
        option, reasons = self._rule_reasons(decision)
        if decision.rung == "policy":
            option, reasons = "", await self._policy_reasons(decision, call)
        return self._tell(world, request.npc, decision, option, reasons)

    def _tell(
        self, world: World, npc: str, decision: Decision, option: str, reasons: list[messages.Reason]
    ) -> messages.Explained:
        names = self._schema.intent_names
        return messages.Explained(
            npc=npc,
            tick=decision.tick,
            intent=names[decision.intent] if decision.intent != NONE else "",
            target=decision.target if decision.target != NONE else None,
            confidence=round(decision.confidence, 4),
            rung=decision.rung,
            option=option,
            features=self._schema.decode(decision.obs),
            scores={name: round(float(score), 4) for name, score in zip(names, decision.scores, strict=True)},
            reasons=tuple(reasons[: self._settings.reasons_max]),
            directive=self._directives.of(world, npc),
        )

    def _rule_reasons(self, decision: Decision) -> tuple[str, list[messages.Reason]]:
        """The utility option that won and its curves; a curve's height is its effect."""
        if decision.rung != "utility" or decision.intent == NONE:
            return "", []
        rules = self._brains.rules
        option = rules.winner(decision.obs, decision.intent)
        if option is None:
            return "", []
        natural = self._schema.decode(decision.obs)
        reasons = [
            messages.Reason(name=name, value=natural[name], effect=round(height, 4))
            for name, height in rules.curves(decision.obs, option)
        ]
        return rules.options[option].name, reasons

    async def _policy_reasons(self, decision: Decision, call: Call) -> list[messages.Reason]:
        """How much the margin of the chosen intent falls when a feature is set to 0, strongest first."""
        held = np.flatnonzero(decision.obs)
        rows = np.repeat(decision.obs[None], len(held) + 1, axis=0)
        rows[np.arange(len(held)) + 1, held] = 0.0
        try:
            logits = await self._brains.logits(rows, call.deadline)
        except Unavailable:
            return []  # The decision is told without its reasons while the policy is down.
        call.notes.update(engine="policy")
        margins = _margins(logits[:, : len(self._schema.intents)], decision)
        effects = margins[0] - margins[1:]
        natural = self._schema.decode(decision.obs)
        names = self._schema.feature_names
        return [
            messages.Reason(name=names[held[at]], value=natural[names[held[at]]], effect=round(float(effects[at]), 4))
            for at in np.argsort(-np.abs(effects)).tolist()
        ]

    async def intent(self, call: Call, request: messages.SetIntent) -> messages.IntentAccepted:
        """Set a slow goal through the journal; raises Invalid for an intent that the schema lacks."""
        known = self._schema.intent_index
        if request.intent not in known:
            raise Invalid(f"intent {request.intent!r} is not in the schema", hint=nearest(request.intent, known))
        if request.until_s is not None and not np.isfinite(request.until_s):
            raise Invalid(f"until_s is {request.until_s!r}", hint="send game seconds, or leave it out")
        change = IntentSet(npc=request.npc, intent=request.intent, target=request.target, until_s=request.until_s)
        events = await self._journal.append(call.tenant, call.world, [change], key=request.key, request=digest(request))
        call.notes.update(rung="journal", engine="journal")
        return messages.IntentAccepted(npc=request.npc, intent=request.intent, seq=events[-1].seq)

    def describe(self, tenant: str, world: str, npc: str) -> dict[str, Any]:
        """The last decision in the shape of Explained, without running a network; empty when there is none."""
        home = self._worlds.get(tenant, world)
        handle = home.state.handles.get(npc)
        decision = self._recent.last(tenant, world, handle) if handle is not None else None
        if decision is None:
            return {}
        option, reasons = self._rule_reasons(decision)
        shown: dict[str, Any] = msgspec.to_builtins(self._tell(home, npc, decision, option, reasons))
        return shown


def _errors(request: messages.Decide, flags: U8) -> tuple[messages.RowError, ...]:
    """What to say of the rows; a row that was only clipped is no error."""
    found = []
    for row in np.flatnonzero(flags & (Flag.UNKNOWN | Flag.IDLE | Flag.NOT_FINITE)).tolist():
        packed = request.handles[4 * row : 4 * row + 4]
        npc = request.npcs[row] if request.npcs else str(int.from_bytes(packed, "little"))
        if flags[row] & Flag.UNKNOWN:
            found.append(_row_error(row, npc, "unknown_npc", f"no NPC {npc!r} in this world; upsert it first"))
        elif flags[row] & Flag.IDLE:
            found.append(_row_error(row, npc, "nothing_allowed", "the mask allows no intent; allow one"))
        else:
            found.append(_row_error(row, npc, "not_finite", "a value is NaN or infinite; send finite numbers"))
    return tuple(found)


def _row_error(row: int, npc: str, code: Any, message: str) -> messages.RowError:
    return messages.RowError(row=row, npc=npc, code=code, message=message)


def _margins(logits: F32, decision: Decision) -> F32:
    """How far the chosen intent leads the best other allowed one, per row of `logits` (rows, intents)."""
    others = np.where(decision.mask != 0, logits, np.float32(-1e9))
    others[:, decision.intent] = -1e9
    found: F32 = logits[:, decision.intent] - others.max(axis=1)
    return found


def _lists(schema: Schema, kept: Kept) -> messages.Lists:
    names = schema.intent_names
    choice = kept.choice
    return messages.Lists(
        intents=tuple("" if intent == NONE else names[intent] for intent in choice.intents.tolist()),
        targets=tuple(-1 if target == NONE else target for target in choice.targets.tolist()),
        confidence=tuple(round(value, 4) for value in choice.confidence.tolist()),
        rungs=tuple(kept.rungs[rung] for rung in kept.rung_of.tolist()),
    )
