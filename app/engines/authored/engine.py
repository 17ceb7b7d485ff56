"""The authored engine: a scene in, a line out, in well under a millisecond and without anything that can fail.

It picks by seed, prefers what fits the moment and the words just said closely, and does not say again what was
said of late. The player's words choose among lines; they are never a source of what is stated.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Set
from itertools import chain, islice

import msgspec

from app.core.clock import Deadline
from app.core.errors import EngineDown
from app.core.ids import stable_hash
from app.core.ports import EngineStatus
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines.authored import grammar
from app.engines.authored.hearing import Heard, listen
from app.engines.authored.phrases import slots_of, tags_of
from app.engines.authored.retrieval import Retrieval, filled
from app.world.gate.claims import sentences
from app.world.loops import Governor, Voice
from app.world.scene import Scene

TRIES_MAX = 24
"""Ways to say a line that are looked at for one that is not stale."""
_TELLING = frozenset(
    {"ask_quest", "ask_place", "ask_person", "trade", "ask_time", "ask_weather", "bargain", "ask_self"}
)
"""Questions that want a fact: better told twice than not at all."""
_TURNS = 4
"""Times that the grammar is drawn from anew."""


def open_authored(*, name: str = "authored", language: str = "en", governor: Governor | None = None) -> Authored:
    """The engine with every language's grammar; `language` is for personas whose own is not shipped.

    Raises Invalid when that one is not shipped either.
    """
    return Authored(
        name=name,
        lines=grammar.load(language),
        others=tuple(grammar.load(other) for other in grammar.languages() if other != language),
        governor=governor,
    )


class Authored:
    """Writes `dialogue.reply` lines from a Scene. `governor` knows what was said by whom of late, on all rungs."""

    def __init__(
        self,
        *,
        name: str,
        lines: grammar.Grammar,
        others: tuple[grammar.Grammar, ...] = (),
        governor: Governor | None = None,
    ) -> None:
        self.name = name
        self._grammar = lines
        self._grammars = {each.language: each for each in (*others, lines)}
        self._retrievals = {each.language: Retrieval(each) for each in self._grammars.values()}
        self._governor = governor

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="authored", state="ready", provider=self._grammar.language)

    async def close(self) -> None:
        return None

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """One delta a sentence; an act that goes with the line is a JSON line before it, as a model would write it."""
        scene = completion.scene
        if not isinstance(scene, Scene):
            raise EngineDown(f"{self.name!r} writes from a scene, not for {completion.task!r}")
        yield WordsStart(engine=self.name, model=f"grammar-{self._grammar_of(scene).language}")
        act = _act(scene)
        if act:
            yield WordsDelta(text=f"{act}\n")
        turned_down = completion.trace.turned_down if completion.trace is not None else []
        goes_round = self._rounds(scene, completion, turned_down)
        for sentence in sentences(self.line(scene, completion.seed, goes_round)):
            if sentence not in scene.said:
                yield WordsDelta(text=f"{sentence} ")
        yield WordsEnd(reason="stop", usage=Usage())

    def _rounds(self, scene: Scene, completion: Completion, turned_down: list[str]) -> Callable[[str], bool]:
        """Whether a way to say it goes round in circles now, or did when the scene was played first."""
        voice = Voice(completion.tenant, completion.world, completion.npc or scene.npc.id)

        def goes_round(text: str) -> bool:
            if scene.turned_down is not None:
                return text in scene.turned_down
            if self._governor is None or not self._governor.judge(*voice, text):
                return False
            turned_down.append(text)
            return True

        return goes_round

    def line(self, scene: Scene, seed: int, goes_round: Callable[[str], bool] = lambda _text: False) -> str:
        """The line itself: the first draw that is fresh, else the one that repeats least."""
        lines = self._grammar_of(scene)
        stale = set(chain.from_iterable(sentences(line) for line in (*scene.stale, *scene.said)))
        openings = {_opening(line) for line in scene.stale[-3:]}
        best, least = lines.terms["silence"], 1_000.0
        for text in islice(self._candidates(scene, lines, seed), TRIES_MAX):
            again = float(sum(2 for sentence in sentences(text) if sentence in stale))
            again += 0.5 if _opening(text) in openings else 0.0
            if again < least:
                again += 1.0 if goes_round(text) else 0.0
            if again == 0.0:
                return text
            if again < least:
                best, least = text, again
        return best

    def _grammar_of(self, scene: Scene) -> grammar.Grammar:
        return self._grammars.get(scene.persona.language, self._grammar)

    def _candidates(self, scene: Scene, lines: grammar.Grammar, seed: int) -> Iterator[str]:
        """Ways to answer: the persona's own line that fits, the grammar, and what fits anything at last."""
        scene, heard = listen(scene, lines)
        slots = slots_of(scene, heard, lines, seed)
        own = [text for each in self._own(scene, heard, lines, seed) if (text := filled(each, scene, slots))]
        slots["own_line"] = tidy(own[0]) if own else ""
        tags = tags_of(scene, heard, slots, lines)
        symbol = symbol_of(scene, slots, tags)
        if symbol not in _TELLING or not _knows(scene, heard):
            yield from map(tidy, own)
        for turn in range(_TURNS):
            for text in lines.lines(symbol, tags, slots, stable_hash(seed, turn), heard.words):
                yield tidy(text)
        if symbol not in _TELLING:
            for text in lines.lines(
                "chatter" if scene.intent == "chatter" else "unknown", tags, slots, seed, heard.words
            ):
                yield tidy(text)

    def _own(self, scene: Scene, heard: Heard, lines: grammar.Grammar, seed: int) -> Iterator[str]:
        """The persona's lines for this intent, in a drawn order, then those that fit the words."""
        if scene.intent != "chatter" and heard.text:
            yield from self._retrievals[lines.language].fitting(scene, heard.text)
        own = scene.persona.lines.get(scene.intent, ())
        if own and not (scene.intent == "trade" and scene.wares):
            first = stable_hash(seed, "own") % len(own)
            yield from (*own[first:], *own[:first])


def symbol_of(scene: Scene, slots: Mapping[str, str], tags: Set[str]) -> str:
    """Where the grammar begins: the intent; among NPCs the topic, but news that was not told yet comes first."""
    if scene.intent == "greet" and not scene.heard and "talked" in tags:
        return "remark"
    if scene.intent != "chatter":
        return scene.intent
    news = slots["news"].casefold()
    if "told_news" in tags:
        return "news_answer"
    told = (*scene.stale, *(line.text for line in scene.lines))
    if news and "answer" not in tags and not any(news in line.casefold() for line in told):
        return "news_open"
    return f"chatter_{scene.topic}" if scene.topic not in ("", "news") else "chatter_life"


def tidy(text: str) -> str:
    """One line of speech: each sentence begins with a capital and ends with a stop, no space is doubled."""
    bare = " ".join(text.split())
    bare = _START.sub(lambda match: match.group().upper(), bare)
    return bare if not bare or bare[-1] in '.!?…”"»“' else f"{bare}."


def _knows(scene: Scene, heard: Heard) -> bool:
    """Whether the world itself has an answer: then it goes before a fixed line."""
    if scene.intent in ("trade", "bargain"):
        return heard.ware is not None
    return bool(scene.spot or scene.person or scene.quests) or scene.intent in ("ask_time", "ask_weather")


def _opening(line: str) -> str:
    return " ".join(line.casefold().split()[:2])


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


_START = re.compile(r"(?:^|(?<=[^.][.!?] ))[\"“„]?[^\W\d_]")
