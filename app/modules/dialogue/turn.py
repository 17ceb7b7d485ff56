"""One line while it is being spoken: what the rungs of the ladder share, and how each of them speaks.

Sentences leave one by one, each after the gate has seen it. A rung that dies in mid-line leaves what was
said behind, and the next one goes on from there. It does not know where a line's effects go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Unavailable
from app.core.ids import new_id, stable_hash
from app.core.module import Call
from app.core.words import Bill, Completion, Usage, Words, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.modules.dialogue.book import Dialogue
from app.modules.dialogue.logic import Compiled
from app.modules.dialogue.messages import ClaimMade, Cut, Proposal, Ruling, Spoken, Tokens
from app.modules.dialogue.settings import Settings
from app.world.gate.acts import Proposed, check_proposal
from app.world.gate.names import Names
from app.world.gate.revise import Revision, revise
from app.world.gate.secrets import SecretsView
from app.world.gate.speech import Guard, Speech, squeeze
from app.world.scene import Scene
from app.world.state import World

PARROT_LETTERS_MIN = 12
"""A model's sentence of so many letters that stands whole in the player's line is the player's, not the NPC's."""


@dataclass(slots=True)
class Turn:
    """What is known before the first word, and what the line has become so far."""

    call: Call
    world: World
    dialogue: Dialogue
    scene: Scene
    compiled: Compiled
    guard: Guard
    completion: Completion
    prompt_label: str
    """How the version of the prompt was found."""
    names: Names
    secrets: SecretsView
    offers: dict[str, float]
    explain_id: str
    started_s: float
    spoken: list[str] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    claims: list[ClaimMade] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    falls: list[Cut] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    engine: str = ""
    model: str = ""
    stood_in: bool = False
    """Whether a sentence of the gate's own has been spoken."""
    by_model: bool = False
    """Whether a model wrote anything that was spoken..."""
    model_wrote: bool = False
    """...or anything at all."""
    delta: float = 0.0
    ms_first_token: float = 0.0
    ms_total: float = 0.0

    @property
    def bill(self) -> Bill:
        """What the line has cost so far and is not written down yet."""
        return self.completion.bill or Bill()

    @property
    def text(self) -> str:
        return " ".join(self.spoken)

    @property
    def cache(self) -> Literal["off", "miss", "hit"]:
        """Whether what was spoken comes from the response cache."""
        trace = self.completion.trace
        return trace.cache if trace is not None and self.by_model else "off"

    @property
    def tokens(self) -> Tokens:
        usage = self.usage
        return Tokens(input=usage.tokens_in, output=usage.tokens_out, cached_input=usage.cached_tokens_in)

    @property
    def cost_usd(self) -> float:
        return self.usage.cost_nano_usd / 1e9


class Speaking:
    """The rungs: a model, the authored lines, a bark."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        words: Words | None,
        authored: Words,
        barks: dict[str, tuple[str, ...]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._words = words
        self._authored = authored
        self._barks = barks

    async def words(self, turn: Turn, deadline: Deadline) -> None:
        """A model's line; raises Unavailable when it is silent too long, fails or is late."""
        if self._words is None:
            raise EngineDown("no words engine", hint="give a provider a key")
        try:
            await self._stream(self._words, turn, deadline, trusted=False)
        except (Unavailable, asyncio.CancelledError) as error:
            turn.falls.append(Cut(what="words", reason=str(error) or "late"))
            raise

    async def authored(self, turn: Turn, deadline: Deadline) -> None:
        """The authored line, or the rest of it after what a model left behind."""
        said = tuple(turn.spoken)
        turn.completion = msgspec.structs.replace(
            turn.completion, scene=msgspec.structs.replace(turn.scene, said=said), first_token_ms=None
        )
        try:
            await self._stream(self._authored, turn, deadline, trusted=True)
        except Unavailable as error:
            turn.falls.append(Cut(what="authored", reason=error.message))
            raise

    async def bark(self, turn: Turn, deadline: Deadline) -> None:
        """One short line that needs nothing."""
        if not turn.spoken:
            await self.last_word(turn, self._barks)

    @staticmethod
    async def last_word(turn: Turn, barks: dict[str, tuple[str, ...]]) -> None:
        """Say a bark: the persona's own, else one of its language."""
        persona = turn.scene.persona
        lines = persona.lines.get("bark") or barks.get(persona.language) or barks["en"]
        turn.engine, turn.model = "bark", ""
        turn.spoken.append(lines[stable_hash(turn.completion.seed, "bark") % len(lines)])
        await _send(turn, ai_generated=False)

    async def _stream(self, engine: Words, turn: Turn, deadline: Deadline, *, trusted: bool) -> None:
        """Speak one engine's stream; `trusted` text is the author's, so its claims are noted and never cut."""
        speech = Speech(
            guard=turn.guard,
            canary=turn.compiled.canary,
            name=turn.scene.npc.name,
            sentence_characters_max=self._settings.sentence_characters_max,
            private=None if trusted else turn.secrets,
        )
        patience = deadline if trusted else self._sooner(deadline, self._settings.first_token_ms)
        async with aclosing(engine.stream(turn.completion, deadline)) as events:
            while True:
                event = await _next(events, patience, engine.name)
                match event:
                    case None:
                        raise EngineDown(f"{engine.name} ended without a finish")
                    case WordsStart():
                        turn.engine, turn.model = event.engine, event.model
                    case WordsDelta():
                        patience = deadline
                        turn.model_wrote = turn.model_wrote or not trusted
                        await self._utter(turn, speech, speech.feed(event.text), trusted=trusted)
                    case WordsEnd():
                        turn.usage = event.usage
                        await self._utter(turn, speech, speech.flush(), trusted=trusted)
                        turn.cut += [Cut(what=what, reason=reason) for what, reason in speech.cut]
                        return

    async def _utter(self, turn: Turn, speech: Speech, clean: Iterable[str], *, trusted: bool) -> None:
        """Judge the acts first, for what is said may only promise what the gate let through."""
        while speech.acts:
            self._rule(turn, speech.acts.pop(0))
        for heard in clean:
            revised = self._revised(turn, heard, trusted=trusted)
            sentence = "" if revised.stand_in and turn.stood_in else revised.text
            against = revised.reason or self._against(turn, sentence, trusted=trusted)
            if against:
                turn.cut.append(Cut(what=heard, reason=against))
            if not sentence or self._against(turn, sentence, trusted=trusted):
                continue
            turn.claims += [ClaimMade(text=one.text, subject=one.subject, source=one.source) for one in revised.claims]
            turn.spoken.append(sentence)
            turn.stood_in = turn.stood_in or revised.stand_in
            by_model = not trusted and not revised.stand_in
            turn.by_model = turn.by_model or by_model
            if len(turn.spoken) == 1:
                turn.ms_first_token = (self._clock.monotonic_s() - turn.started_s) * 1000.0
            await _send(turn, ai_generated=by_model)

    def _rule(self, turn: Turn, act: Proposed) -> None:
        """Judge one act and keep it as a proposal if it may be offered."""
        scene = turn.scene
        verdict = check_proposal(
            turn.world,
            act,
            scene.npc.id,
            scene.listener.id,
            last_s=turn.offers,
            cooldown_s=self._settings.proposal_cooldown_s,
        )
        allowed, reason = verdict.allowed, verdict.reason
        if allowed and any(known.action == act.action for known in turn.proposals):
            allowed, reason = False, "proposed already in this line"
        if allowed and len(turn.proposals) >= self._settings.proposals_max:
            allowed, reason = False, f"more than {self._settings.proposals_max} acts in one line"
        turn.rulings.append(
            Ruling(action=act.action[:80], arguments=act.arguments if allowed else {}, allowed=allowed, reason=reason)
        )
        if allowed:
            id = new_id(turn.call.deadline.clock.wall_ms())
            turn.proposals.append(Proposal(id=id, action=act.action, arguments=act.arguments))

    @staticmethod
    def _revised(turn: Turn, sentence: str, *, trusted: bool) -> Revision:
        npc, other = turn.scene.npc.id, turn.scene.listener.id
        return revise(turn.world, npc, other, sentence, names=turn.names, offered=turn.proposals, trusted=trusted)

    def _against(self, turn: Turn, sentence: str, *, trusted: bool) -> str:
        """Why a sentence may not be said in this line."""
        if sum(map(len, turn.spoken)) + len(sentence) > self._settings.line_characters_max:
            return f"the line is longer than {self._settings.line_characters_max} characters"
        bare = squeeze(sentence)
        if bare in {squeeze(said) for said in turn.spoken}:
            return "said already"
        if not trusted and len(bare) >= PARROT_LETTERS_MIN and bare in squeeze(turn.scene.heard):
            return "repeats the player's words"
        return ""

    def _sooner(self, deadline: Deadline, milliseconds: float) -> Deadline:
        mine = Deadline.after_ms(milliseconds, self._clock)
        return mine if mine.at_s < deadline.at_s else deadline


async def _send(turn: Turn, *, ai_generated: bool) -> None:
    chunk = Spoken(
        dialogue=turn.dialogue.id,
        npc=turn.scene.npc.id,
        text=turn.spoken[-1],
        index=len(turn.spoken) - 1,
        ai_generated=ai_generated,
    )
    await turn.call.send(chunk)


async def _next(events: AsyncIterator[WordsEvent], deadline: Deadline, name: str) -> WordsEvent | None:
    try:
        async with asyncio.timeout(deadline.left_s()):
            return await anext(events, None)
    except TimeoutError as error:
        raise DeadlineExceeded(f"{name} was silent too long") from error
