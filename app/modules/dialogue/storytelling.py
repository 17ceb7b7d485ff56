"""How an authored story speaks: its acts through the gate, its lines as written, or as their tags allow a model to.

A line is never lost: where a model fails, is late or leaves the bounds that the author set, it is said as written.
It does not know how a story decides what comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import Unavailable
from app.core.words import Completion, Part, Usage, Words, WordsDelta, WordsEnd, WordsStart
from app.modules.dialogue.judging import Judging
from app.modules.dialogue.messages import Cut
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.stories import saying
from app.modules.dialogue.stories.model import Spoken
from app.modules.dialogue.stories.told import Told
from app.modules.dialogue.turn import Take, Turn
from app.world.gate.acts import Proposed
from app.world.gate.speech import Speech

RUNG = "story"
WORDS = "words"
PARAPHRASE = "Say this one line in your own words and voice, with nothing added and no act: {line}"
KEEP = " These words must stand in it as they are: {must}."
FILL = "Write nothing but a few words for the gap in this line. Line: {line} Gap: {wish}."
_act = msgspec.json.Decoder(Proposed)


class Telling:
    """Speaks what stories tell."""

    def __init__(self, settings: Settings, clock: Clock, words: Words | None, judging: Judging) -> None:
        self._settings = settings
        self._clock = clock
        self._words = words
        self._judging = judging

    async def tell(self, turn: Turn, told: Told) -> None:
        """Propose the acts and say the lines; leaves the rung as it was where the story only asks something."""
        take = Take(rung=RUNG, engine=RUNG)
        for act in told.acts:
            take.text += msgspec.json.encode(act).decode() + "\n"
            self._judging.act(turn, act)
        turn.falls += [Cut(what=RUNG, reason=fault) for fault in told.faults]
        for line in told.lines:
            turn.rung = turn.engine = RUNG
            text, by_model = await self._worded(turn, line)
            named = f"{line.speaker}: {text}" if self._another(turn, line.speaker) else text
            take.text += named + "\n"
            await self._say(turn, named, by_model=by_model)
        take.ended = True
        if told.lines or told.acts:
            turn.takes.append(take)

    async def again(self, turn: Turn, take: Take) -> None:
        """What `tell` said, from its record."""
        for line in take.text.splitlines():
            if line.startswith('{"action"'):
                self._judging.act(turn, _act.decode(line))
            else:
                await self._say(turn, line, by_model=False)

    @staticmethod
    def _another(turn: Turn, speaker: str) -> bool:
        """Whether a line is somebody else's than the NPC that tells the story."""
        me = turn.scene.npc
        return bool(speaker) and speaker.casefold() not in (me.name.casefold(), me.id.casefold(), "npc")

    async def _say(self, turn: Turn, text: str, *, by_model: bool) -> None:
        text = self._judging.told(turn, text)
        if not text:
            return
        turn.spoken.append(text)
        turn.by_model = turn.by_model or by_model
        await turn.send(text, self._clock.monotonic_s(), ai_generated=by_model)

    async def _worded(self, turn: Turn, line: Spoken) -> tuple[str, bool]:
        """(the words of a line, whether a model chose any)."""
        written, manner = saying.verbatim(line), saying.manner(line)
        if self._words is None or manner.mode == "verbatim":
            return written, False
        if manner.mode == "fill":
            drafts = {slot: await self._draft(turn, _gap(line, slot, wish)) for slot, wish in manner.slots.items()}
            text = saying.filled(line, drafts)
        else:
            keep = KEEP.format(must=", ".join(manner.must)) if manner.must else ""
            text = saying.paraphrased(line, await self._draft(turn, PARAPHRASE.format(line=written) + keep))
        if text == written or not self._judging.fits(turn, text):
            return written, False
        return text, True

    async def _draft(self, turn: Turn, wish: str) -> str:
        """What a model makes of a wish; empty where it fails or is late."""
        if any(fall.what == WORDS for fall in turn.falls):
            return ""  # it has failed in this very line: nobody waits for it twice
        limit_s = min(self._settings.first_token_ms / 1000.0, turn.call.deadline.left_s() / 2.0)
        parts = (*turn.compiled.parts, Part(trust="system", text=wish))
        completion = msgspec.structs.replace(turn.completion, parts=parts, keep=None)
        try:
            async with asyncio.timeout(limit_s):
                text = await self._read(turn, completion, Deadline.after_ms(limit_s * 1000.0, self._clock))
        except (Unavailable, TimeoutError) as error:
            turn.falls.append(Cut(what=WORDS, reason=str(error) or "late"))
            return ""
        return self._clean(turn, text)

    def _clean(self, turn: Turn, text: str) -> str:
        """A draft as speech; empty where it echoes, tells a secret, acts or is no speech."""
        speech = Speech(
            guard=turn.guard,
            canary=turn.compiled.canary,
            name=turn.scene.npc.name,
            sentence_characters_max=self._settings.sentence_characters_max,
            private=turn.secrets,
        )
        sentences = [*speech.feed(text), *speech.flush()]
        turn.cut += [Cut(what=what, reason=reason) for what, reason in speech.cut]
        return "" if speech.cut or speech.acts else " ".join(sentences)

    async def _read(self, turn: Turn, completion: Completion, deadline: Deadline) -> str:
        text = ""
        if self._words is None:
            return text
        async with aclosing(self._words.stream(completion, deadline)) as events:
            async for event in events:
                match event:
                    case WordsStart():
                        turn.model = event.model
                    case WordsDelta():
                        text += event.text
                        turn.model_wrote = True
                    case WordsEnd():
                        turn.usage = _sum(turn, event)
        return text


def _gap(line: Spoken, slot: str, wish: str) -> str:
    otherwise: Mapping[str, str] = saying.manner(line).otherwise
    words = line.text
    for other, text in otherwise.items():
        words = words.replace(f"%{other}%", "____" if other == slot else text)
    return FILL.format(line=words, wish=wish)


def _sum(turn: Turn, end: WordsEnd) -> Usage:
    one, two = turn.usage, end.usage
    return msgspec.structs.replace(
        one,
        tokens_in=one.tokens_in + two.tokens_in,
        tokens_out=one.tokens_out + two.tokens_out,
        cached_tokens_in=one.cached_tokens_in + two.cached_tokens_in,
        cost_nano_usd=one.cost_nano_usd + two.cost_nano_usd,
    )
