"""A model's summary of a person: asked for with bound facts alone, and used only where it says nothing else.

Names are held against the world with the person in it, claims against its facts, numbers against what was given. What
does not pass leaves the authored summary as it is. It does not know how people are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import msgspec

from app.core.clock import Deadline
from app.core.errors import EngineDown, Refused, Unavailable
from app.core.prompts import Prompts
from app.core.words import Bill, Completion, Words, WordsDelta, WordsEnd
from app.modules.characters.canon import TIES, Member
from app.modules.characters.settings import Settings
from app.world.entities import Npc
from app.world.gate.claims import check_claims
from app.world.gate.names import Names
from app.world.gate.speech import clean_output
from app.world.state import World, copied, pair

TASK = "characters.summary"
MARK = "ai_generated"
"""The attribute of an NPC whose summary a model has worded."""
LANGUAGES = {"en": "English", "de": "German"}
_NUMBERS = re.compile(
    r"\d+|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|"
    r"zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|zwanzig|dreißig|vierzig|fünfzig|hundert|tausend)\b",
    re.I,
)


class Wording:
    """Words summaries, where the server has an engine that does."""

    def __init__(self, settings: Settings, words: Words | None, prompts: Prompts) -> None:
        self._settings = settings
        self._words = words
        self._prompts = prompts

    async def worded(
        self, world: World, members: Sequence[Member], bill: Bill, deadline: Deadline
    ) -> tuple[Member, ...]:
        """The people, those with a summary of a model's that passed marked by the attribute `ai_generated`."""
        if self._words is None:
            return tuple(members)
        trial = with_members(world, members)
        names = Names.of(trial)
        return tuple([await self._one(trial, names, member, bill, deadline) for member in members])

    async def _one(self, trial: World, names: Names, member: Member, bill: Bill, deadline: Deadline) -> Member:
        npc, known = member.npc, "\n".join(_known(trial, member))
        try:
            text = clean_output(await self._asked(trial, npc, known, bill, deadline))
        except (Unavailable, Refused):
            return member
        if len(text) > self._settings.summary_chars_max or against(trial, names, member, known, text):
            return member
        persona = msgspec.structs.replace(npc.persona, summary=text)
        marked = msgspec.structs.replace(npc, persona=persona, attributes={**npc.attributes, MARK: True})
        return msgspec.structs.replace(member, npc=marked)

    async def _asked(self, trial: World, npc: Npc, known: str, bill: Bill, deadline: Deadline) -> str:
        if self._words is None:
            raise EngineDown("no engine of words")
        variables = {"name": npc.name, "language": LANGUAGES[npc.persona.language], "known": known}
        rendered = self._prompts.render(trial.tenant, TASK, variables, unit=f"{trial.id}/{npc.id}")
        most = self._settings.summary_tokens_max
        completion = Completion(
            task=TASK,
            parts=rendered.parts,
            output_tokens_max=min(rendered.output_tokens_max or most, most),
            sampling=rendered.sampling,
            prompt=rendered.version,
            prefer=rendered.model,
            tenant=trial.tenant,
            world=trial.id,
            npc=npc.id,
            bill=bill,
        )
        text, ended = "", False
        async with aclosing(self._words.stream(completion, deadline)) as stream:
            async for event in stream:
                if isinstance(event, WordsDelta):
                    text += event.text
                    if len(text) > 4 * self._settings.summary_chars_max:
                        raise EngineDown("the summary has no end")
                ended = ended or isinstance(event, WordsEnd)
        if not ended:
            raise EngineDown("the summary was cut off")
        return text


def with_members(world: World, members: Sequence[Member]) -> World:
    """The world as it would be with these people in it; the real one stays as it is."""
    state = copied(world.state)
    for member in members:
        state.npcs[member.npc.id] = member.npc
        state.items |= {item.id: item for item in member.items}
        state.facts |= {pair(fact.subject, fact.predicate): (fact,) for fact in member.facts}
    return World(world.tenant, world.id, state)


def against(trial: World, names: Names, member: Member, known: str, text: str) -> str:
    """What a summary says that nobody told it: a name, a number, a claim; empty where it says nothing of the kind."""
    npc = member.npc
    if not text:
        return "nothing is said"
    bound = {npc.id, npc.home, npc.work, npc.faction, *(item.id for item in member.items)}
    bound |= {str(fact.value) for fact in member.facts if fact.subject == npc.id and fact.predicate in TIES}
    mentions = names.find(text)
    for mention in mentions:
        if mention.id not in bound:
            return f"names {text[mention.start : mention.end]!r}"
    if npc.persona.language == "en" and (invented := names.invented(trial, text, mentions)):
        return f"invents {invented!r}"
    given = {found.casefold() for found in _NUMBERS.findall(known)}
    for number in _NUMBERS.findall(text):
        if number.casefold() not in given:
            return f"says the number {number!r}"
    wrong = next((claim for claim in check_claims(trial, npc.id, text, names) if claim.verdict == "contradicted"), None)
    return f"claims {wrong.text!r}" if wrong is not None else ""


def _known(trial: World, member: Member) -> Iterator[str]:
    """What is public of somebody, a line each; never a secret."""
    npc = member.npc
    yield f"{npc.name}, {npc.archetype}, {npc.attributes['gender']}, {npc.attributes['age']:g} years old."
    yield f"Traits: {', '.join(npc.persona.traits)}. Voice: {npc.persona.voice}."
    for word, place in (("Lives at", npc.home), ("Works at", npc.work)):
        if found := trial.state.locations.get(place):
            yield f"{word}: {found.name or place}."
    for fact in member.facts:
        if fact.subject == npc.id and fact.predicate in TIES:
            other = trial.state.npcs[str(fact.value)]
            yield f"{fact.predicate.replace('_', ' ')}: {other.name}."
    yield f"Notes: {npc.persona.summary}"
