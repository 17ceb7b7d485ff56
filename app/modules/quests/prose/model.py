"""A model words the texts of a quest: it is told what is bound and nothing else, and each of its texts is checked.

A text that names or counts what is not bound, lacks a name that it must hold, is too long or unfit for the rating is
left as the grammar wrote it; so are all where no engine answers in time. It decides nothing about the quest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from app.core.clock import Deadline
from app.core.errors import EngineDown, Refused, Unavailable
from app.core.prompts import Prompts
from app.core.words import Bill, Completion, Words, WordsDelta, WordsEnd
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.checker import Checker, bound_of, checker_for
from app.modules.quests.prose.grammar import Grammar, grammar_for
from app.modules.quests.prose.names import Namer
from app.modules.quests.prose.telling import worded
from app.modules.quests.quest import Quest, QuestText
from app.world.gate.speech import clean_output
from app.world.moderation import DEFAULT_RATING, Moderation

TASK = "quests.prose"
CHARACTERS_PER_TOKEN_MAX = 12
"""An answer that is longer than its tokens allow is not read."""
TEXTS_MAX = 64
"""Texts of one quest that a model is asked for; the others stay."""
LENGTHS = {"title": 80, "plea": 700, "step": 200, "branch": 200}
"""Characters of a text, by its kind."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """For whom a model is asked, and within which bounds; `bill` is told what it cost, whatever becomes of it."""

    tenant: str
    world: str
    deadline: Deadline
    output_tokens_max: int
    bill: Bill
    rating: str = DEFAULT_RATING


class _Said(msgspec.Struct, frozen=True):
    id: str
    text: str


class _Answer(msgspec.Struct, frozen=True):
    texts: tuple[_Said, ...]


_answers = msgspec.json.Decoder(_Answer)


async def reworded(quest: Quest, view: View, *, words: Words | None, prompts: Prompts, ask: Ask) -> Quest:
    """The quest with every text that a model worded well, and the grammar's elsewhere; never raises for an engine.

    `quest` has its texts already (see `telling.told`) and is not recorded yet. Checking runs in a worker thread.
    """
    grammar = grammar_for(quest.language)
    open_texts = _open(quest)
    if words is None or not open_texts:
        return quest
    try:
        answer = await _asked(quest, view, grammar, open_texts, words, prompts, ask)
    except (Unavailable, Refused, TimeoutError):
        return quest
    kept = await asyncio.to_thread(fitting, quest, view, grammar, answer, ask.rating)
    return worded(quest, kept) if kept else quest


def fitting(
    quest: Quest, view: View, grammar: Grammar, answer: Mapping[str, str], rating: str = DEFAULT_RATING
) -> dict[str, str]:
    """Those of a model's texts, by id, that may stand in the place of the grammar's."""
    checker, moderation = checker_for(quest, grammar, view), Moderation.load(rating)
    namer = Namer(grammar, view)
    found: dict[str, str] = {}
    for text in _open(quest):
        said = clean_output(answer.get(text.id, ""))
        if said and not _fault(text, said, checker, namer, moderation):
            found[text.id] = said
    return found


def _fault(text: QuestText, said: str, checker: Checker, namer: Namer, moderation: Moderation) -> str:
    """Why a model's text may not stand; empty where it may."""
    kind = _kind(text.id)
    if len(said) > LENGTHS[kind]:
        return "too long"
    if kind != "plea":
        lower = said.casefold()
        for id in text.entities:
            if not any(form.casefold() in lower for form in namer.forms(id)):
                return f"{id!r} is not named"
    if wrong := checker.of(text.id, said):
        return wrong
    judged = moderation.judge(said)
    return "" if judged.allowed else judged.category


def _open(quest: Quest) -> tuple[QuestText, ...]:
    """The texts that a model may word: those of the grammar, but goals, which say what their steps say."""
    texts = (text for text in quest.texts if text.template and _kind(text.id) in LENGTHS)
    return tuple(texts)[:TEXTS_MAX]


def _kind(id: str) -> str:
    """What a text is, from its id: `branch.peace.step.s1` is a step."""
    parts = id.split(".")
    return next((part for part in ("step", "goal") if part in parts[:-1]), parts[0])


async def _asked(
    quest: Quest, view: View, grammar: Grammar, texts: tuple[QuestText, ...], words: Words, prompts: Prompts, ask: Ask
) -> dict[str, str]:
    """What the model wrote, by id; raises Unavailable where no engine answers in the shape that was asked for."""
    rendered = prompts.render(ask.tenant, TASK, _variables(quest, view, grammar, texts), unit=f"{ask.world}/")
    most = ask.output_tokens_max
    completion = Completion(
        task=TASK,
        parts=rendered.parts,
        output_tokens_max=min(rendered.output_tokens_max or most, most),
        sampling=rendered.sampling,
        prompt=rendered.version,
        prefer=rendered.model,
        tenant=ask.tenant,
        world=ask.world,
        npc=quest.giver,
        player=quest.player,
        seed=quest.certificate.seed,
        bill=ask.bill,
        schema=_shape(texts),
    )
    text, ended = "", False
    async with aclosing(words.stream(completion, ask.deadline)) as stream:
        async for event in stream:
            if isinstance(event, WordsDelta):
                text += event.text
                if len(text) > CHARACTERS_PER_TOKEN_MAX * most:
                    raise EngineDown("the texts have no end")
            ended = ended or isinstance(event, WordsEnd)
    if not ended:
        raise EngineDown("the texts were cut off")
    return _read(text)


def _read(text: str) -> dict[str, str]:
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = _answers.decode(text[start : end + 1])
    except msgspec.MsgspecError as error:
        raise EngineDown("the texts are not what was asked for") from error
    return {said.id: said.text for said in reversed(answer.texts)}


def _variables(quest: Quest, view: View, grammar: Grammar, texts: tuple[QuestText, ...]) -> dict[str, Any]:
    """What the prompt is given: bound names with their kinds, and deeds as the grammar words them."""
    namer = Namer(grammar, view)
    giver = view.npcs.get(quest.giver)
    named = (id for id in bound_of(quest) if view.entity(id) is not None)
    steps = {text.id: text.text for text in texts if _kind(text.id) == "step"}
    rows = ({"id": text.id, "kind": _kind(text.id), "draft": text.text} for text in texts)
    return {
        "language": quest.language,
        "speaker": _line(
            {
                "name": namer.plain(quest.giver),
                "is": giver.archetype if giver is not None else "",
                "wants": quest.motive,
            }
        ),
        "names": "\n".join(_line({"name": namer.called(id), "is": _what(view, id)}) for id in named),
        "facts": "\n".join(steps.values()),
        "texts": "\n".join(_line(row) for row in rows),
    }


def _what(view: View, id: str) -> str:
    if id in view.npcs:
        return view.npcs[id].archetype
    if id in view.items:
        return view.items[id].item_kind or "thing"
    return "the player" if id in view.players else "place" if id in view.locations else "people"


def _line(row: Mapping[str, str]) -> str:
    return msgspec.json.encode(row).decode()


def _shape(texts: tuple[QuestText, ...]) -> dict[str, Any]:
    """The JSON Schema of the answer."""
    row = {
        "type": "object",
        "properties": {"id": {"type": "string", "enum": [text.id for text in texts]}, "text": {"type": "string"}},
        "required": ["id", "text"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"texts": {"type": "array", "items": row}},
        "required": ["texts"],
        "additionalProperties": False,
    }
