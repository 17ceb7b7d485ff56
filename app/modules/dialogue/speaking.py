"""How a line is spoken: the rungs of the ladder, and the filler that bridges the wait for the first of them.

Sentences leave one by one, each after the gate has seen it. A rung that dies in mid-line leaves what was
said behind, and the next one goes on from there. It does not know where a line's effects go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Unavailable
from app.core.ids import stable_hash
from app.core.words import Words, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.modules.dialogue import asides
from app.modules.dialogue.asides import Asides
from app.modules.dialogue.judging import Judging
from app.modules.dialogue.messages import Cut
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.turn import Take, Turn
from app.world.gate.speech import Speech

ENDS = (".", "!", "?", "…", "—")
GOES_ON = "… "
"""Before an author's sentence that follows a model's half sentence."""


class Speaking:
    """The rungs: a model, the authored lines, a bark."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        words: Words | None,
        authored: Words,
        barks: Mapping[str, tuple[str, ...]],
        lines: Mapping[str, Asides],
        judging: Judging,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._words = words
        self._authored = authored
        self._barks = barks
        self._asides = lines
        self._judging = judging

    async def words(self, turn: Turn, deadline: Deadline) -> None:
        """A model's line; raises Unavailable when it is silent too long, fails or is late."""
        if self._words is None:
            raise EngineDown("no words engine", hint="give a provider a key")
        turn.rung = "words"
        with self.bridged(turn):
            try:
                await self._stream(self._words, turn, deadline, trusted=False)
            except (Unavailable, asyncio.CancelledError) as error:
                turn.falls.append(Cut(what="words", reason=str(error) or "late"))
                raise
            if turn.held_back and not turn.spoken:
                await self._say(turn, turn.held_back, by_model=True)

    async def authored(self, turn: Turn, deadline: Deadline) -> None:
        """The authored line, or the rest of it after what a model left behind."""
        turn.rung = "authored"
        turn.broken = bool(turn.spoken) and not turn.spoken[-1].rstrip("\"'”’)").endswith(ENDS)
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
            await self.last_word(turn)

    async def refusal(self, turn: Turn, deadline: Deadline) -> None:
        """What an NPC says to words that it will not answer."""
        turn.rung, turn.engine, turn.model = "authored", "moderation", ""
        turn.takes.append(Take(rung="refusal", engine="moderation", text=turn.refusal, ended=True))
        await self._say(turn, turn.refusal, by_model=False)

    async def last_word(self, turn: Turn) -> None:
        """Say a bark: the persona's own, else one of its language."""
        persona = turn.scene.persona
        lines = persona.lines.get("bark") or self._barks.get(persona.language) or self._barks["en"]
        turn.rung, turn.engine, turn.model = "bark", "bark", ""
        turn.takes.append(Take(rung="bark", engine="bark", ended=True))
        line = self._judging.rated(turn, lines[stable_hash(turn.completion.seed, "bark") % len(lines)])
        shipped = self._barks.get(persona.language) or self._barks["en"]
        await self._say(turn, line or shipped[stable_hash(turn.completion.seed, "bark") % len(shipped)], by_model=False)

    @contextmanager
    def bridged(self, turn: Turn) -> Iterator[None]:
        """Within it a filler goes out when a player waits too long for the first sentence."""
        bridge = asyncio.create_task(self._bridge(turn), name="filler") if self._waits(turn) else None
        try:
            yield
        finally:
            if bridge is not None:
                bridge.cancel()

    def _waits(self, turn: Turn) -> bool:
        """Whether a player waits for the line, and nothing of it was said."""
        return not turn.sent and any(id in turn.world.state.players for id in turn.audience)

    async def _bridge(self, turn: Turn) -> None:
        """Say a filler if there is no sentence by then; once a line at most."""
        waited_s = self._clock.monotonic_s() - turn.started_s
        await asyncio.sleep(max(0.0, self._settings.filler_after_ms / 1000.0 - waited_s))
        line = asides.filler(self._asides, turn.scene.persona, turn.filler_before, turn.completion.seed)
        line = self._judging.rated(turn, line)
        if line and not turn.sent:
            turn.filler = line
            await turn.send(line, self._clock.monotonic_s(), ai_generated=False, filler=True)

    async def _stream(self, engine: Words, turn: Turn, deadline: Deadline, *, trusted: bool) -> None:
        """Speak one engine's stream; `trusted` text is the author's, so its claims are noted and never cut."""
        speech = Speech(
            guard=turn.guard,
            canary=turn.compiled.canary,
            name=turn.scene.npc.name,
            sentence_characters_max=self._settings.sentence_characters_max,
            private=turn.secrets,
        )
        take = Take(rung=turn.rung)
        turn.takes.append(take)
        patience = deadline if trusted else self._sooner(deadline, self._settings.first_token_ms)
        async with aclosing(engine.stream(turn.completion, deadline)) as events:
            while True:
                event = await _next(events, patience, engine.name)
                match event:
                    case None:
                        raise EngineDown(f"{engine.name} ended without a finish")
                    case WordsStart():
                        turn.engine, turn.model = event.engine, event.model
                        take.engine, take.model = event.engine, event.model
                    case WordsDelta():
                        patience = deadline
                        take.text += event.text
                        turn.model_wrote = turn.model_wrote or not trusted
                        await self._utter(turn, speech, speech.feed(event.text), trusted=trusted)
                        if speech.exhausted:  # whoever writes without an end is not paid for more
                            take.ended = True
                            return self._noted(turn, speech)
                    case WordsEnd():
                        turn.usage, take.ended = event.usage, True
                        await self._utter(turn, speech, speech.flush(), trusted=trusted)
                        return self._noted(turn, speech)

    @staticmethod
    def _noted(turn: Turn, speech: Speech) -> None:
        turn.cut += [Cut(what=what, reason=reason) for what, reason in speech.cut]

    async def _utter(self, turn: Turn, speech: Speech, clean: Iterable[str], *, trusted: bool) -> None:
        """Judge the acts first, for what is said may only promise what the gate let through."""
        while speech.acts:
            self._judging.act(turn, speech.acts.pop(0))
        for sentence in clean:
            allowed = self._judging.sentence(turn, sentence, trusted=trusted)
            if allowed.text:
                await self._say(turn, allowed.text, by_model=allowed.by_model)

    async def _say(self, turn: Turn, sentence: str, *, by_model: bool) -> None:
        if turn.broken:
            sentence, turn.broken = f"{GOES_ON}{sentence}", False
        turn.spoken.append(sentence)
        turn.by_model = turn.by_model or by_model
        await turn.send(sentence, self._clock.monotonic_s(), ai_generated=by_model)

    def _sooner(self, deadline: Deadline, milliseconds: float) -> Deadline:
        mine = Deadline.after_ms(milliseconds, self._clock)
        return mine if mine.at_s < deadline.at_s else deadline


async def _next(events: AsyncIterator[WordsEvent], deadline: Deadline, name: str) -> WordsEvent | None:
    try:
        async with asyncio.timeout(deadline.left_s()):
            return await anext(events, None)
    except TimeoutError as error:
        raise DeadlineExceeded(f"{name} was silent too long") from error
