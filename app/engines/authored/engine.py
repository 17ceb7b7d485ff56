"""The authored engine: a scene in, a line out, in microseconds and without anything that can fail.

It picks by seed, prefers what fits the moment closely, and does not say again what was said of late. It
does not read the player's words: the scene already tells what they want and what they are about.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from itertools import chain, islice

import msgspec

from app.core.clock import Deadline
from app.core.errors import EngineDown
from app.core.ids import stable_hash
from app.core.ports import EngineStatus
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines.authored import grammar
from app.engines.authored.phrases import slots_of, tags_of
from app.world.gate.claims import sentences
from app.world.scene import Scene

TRIES_MAX = 24
"""Ways to say a line that are looked at for one that is not stale."""
_TELLING = frozenset({"ask_quest", "ask_place", "ask_person", "trade"})
"""Questions that want a fact: better told twice than not at all."""
_PERSONA_INTENTS = frozenset({"greet", "goodbye", "thank", "threaten", "small_talk", "unknown"})


def open_authored(*, name: str = "authored", language: str = "en") -> Authored:
    """The engine with one language's grammar; raises Invalid when there is none."""
    return Authored(name=name, lines=grammar.load(language))


class Authored:
    """Writes `dialogue.reply` lines from a Scene."""

    def __init__(self, *, name: str, lines: grammar.Grammar) -> None:
        self.name = name
        self._grammar = lines

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="authored", state="ready", provider=self._grammar.language)

    async def close(self) -> None:
        return None

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """One delta a sentence; an act that goes with the line is a JSON line before it, as a model would write it."""
        scene = completion.scene
        if not isinstance(scene, Scene):
            raise EngineDown(f"{self.name!r} writes from a scene, not for {completion.task!r}")
        yield WordsStart(engine=self.name, model=f"grammar-{self._grammar.language}")
        act = _act(scene)
        if act:
            yield WordsDelta(text=f"{act}\n")
        for sentence in sentences(self.line(scene, completion.seed)):
            if sentence not in scene.said:
                yield WordsDelta(text=f"{sentence} ")
        yield WordsEnd(reason="stop", usage=Usage())

    def line(self, scene: Scene, seed: int) -> str:
        """The line itself: the first draw that says nothing stale, else the one that repeats least."""
        stale = set(chain.from_iterable(sentences(line) for line in (*scene.stale, *scene.said)))
        best, least = self._grammar.terms["silence"], 1_000
        for text in islice(self._candidates(scene, seed), TRIES_MAX):
            again = sum(sentence in stale for sentence in sentences(text))
            if again == 0:
                return text
            if again < least:
                best, least = text, again
        return best

    def _candidates(self, scene: Scene, seed: int) -> Iterator[str]:
        """Ways to answer: the persona's own authored lines now and then, the grammar, and small talk at last."""
        tags, slots = tags_of(scene, self._grammar), slots_of(scene, self._grammar, seed)
        symbol = f"chatter_{scene.topic or 'life'}" if scene.intent == "chatter" else scene.intent
        own = list(scene.persona.lines.get(scene.intent, ())) if scene.intent in _PERSONA_INTENTS else []
        if own:
            first = stable_hash(seed, "own") % len(own)
            yield from own[first:] + own[:first]
        for turn in range(4):
            yield from self._grammar.lines(symbol, tags, slots, stable_hash(seed, turn))
        if symbol not in _TELLING:
            yield from self._grammar.lines("unknown", tags, slots, seed)


def _act(scene: Scene) -> str:
    """The act that the line stands for, where it has one; the gate decides whether it is offered."""
    if scene.listener_is_npc:
        return ""
    offered = next((quest for quest in scene.quests if quest.state == "offered"), None)
    if scene.intent == "ask_quest" and offered is not None:
        return _json("offer_quest", {"quest": offered.id})
    if scene.intent == "trade" and scene.wares:
        return _json("trade", {})
    return ""


def _json(action: str, arguments: dict[str, str]) -> str:
    return msgspec.json.encode({"act": action, "arguments": arguments}).decode()
