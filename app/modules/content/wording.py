"""Lets a model word an entry of lore: it is given the facts by number, writes sentences that cite them, and is checked.

A sentence that fails, or a fact that is not told, and the grammar's own text stands. Without an engine it always does.
"""

from __future__ import annotations

import re
from contextlib import aclosing

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown, Refused, Unavailable
from app.core.module import Call
from app.core.prompts import Prompts
from app.core.words import Bill, Completion, Part, Words, WordsDelta, WordsEnd
from app.modules.content.logic import Entry
from app.modules.content.lore.canon import Canon, called
from app.modules.content.lore.citing import Checker
from app.modules.content.lore.tables import Tables
from app.modules.content.lore.telling import Told
from app.modules.content.settings import Settings
from app.world.state import World

TASK = "content.lore"
TEXT_CHARACTERS_MAX = 4_000
LANGUAGES = {"en": "English", "de": "German"}


class Wording:
    """Words entries, one request to the model each."""

    def __init__(self, settings: Settings, clock: Clock, tables: Tables, words: Words | None, prompts: Prompts) -> None:
        self._settings = settings
        self._clock = clock
        self._tables = tables
        self._words = words
        self._prompts = prompts

    async def worded(
        self, call: Call, world: World, canon: Canon, entry: Entry, language: str, bill: Bill, seed: int
    ) -> Entry:
        """The entry in a model's words, or as it was where those do not hold."""
        if self._words is None:
            return entry
        keys = [key for sentence in entry.sentences for key in sentence.cites]
        facts = {key: held for key in keys if (held := canon.get(*_split(key))) is not None}
        rows = [
            f"[{number}] {called(world, held.fact.subject)}: {held.fact.predicate.replace('_', ' ')} ="
            f" {_shown(held.fact.value)}"
            for number, held in enumerate(facts.values(), 1)
        ]
        try:
            text = await self._ask(call, world, rows, language, bill, seed)
        except (Unavailable, Refused) as error:
            call.log.debug("lore.fell_back", reason=error.message)
            return entry
        sentences = _read(text, list(facts))
        checker = Checker(world, self._tables.language(language), facts)
        if not sentences or any(checker.fault(each.text, each.cites) for each in sentences):
            return entry
        if {key for each in sentences for key in each.cites} != facts.keys():
            return entry
        return Entry(entry.id, entry.about, entry.known_by, tuple(sentences), entry.keys, by_model=True)

    async def _ask(self, call: Call, world: World, rows: list[str], language: str, bill: Bill, seed: int) -> str:
        assert self._words is not None  # noqa: S101  # the caller has looked
        variables = {"language": LANGUAGES.get(language.partition("-")[0].lower(), "English")}
        rendered = self._prompts.render(call.tenant, TASK, variables, unit=world.id)
        most = min(rendered.output_tokens_max or self._settings.output_tokens_max, self._settings.output_tokens_max)
        completion = Completion(
            task=TASK,
            parts=(*rendered.parts, Part(trust="fact", text="\n".join(rows))),
            output_tokens_max=most,
            sampling=rendered.sampling,
            prompt=rendered.version,
            prefer=rendered.model,
            tenant=call.tenant,
            world=world.id,
            seed=seed,
            bill=bill,
        )
        deadline = Deadline.after_ms(min(self._settings.words_ms, call.deadline.left_ms()), self._clock)
        text, ended = "", False
        async with aclosing(self._words.stream(completion, deadline)) as stream:
            async for event in stream:
                if isinstance(event, WordsDelta):
                    text += event.text
                    if len(text) > TEXT_CHARACTERS_MAX:
                        raise EngineDown("the text has no end")
                ended = ended or isinstance(event, WordsEnd)
        if not ended:
            raise EngineDown("the text was cut off")
        return text


def _read(text: str, keys: list[str]) -> list[Told]:
    """The sentences of an answer, one a line with the numbers of its facts; none where a line has no such numbers."""
    found: list[Told] = []
    for row in filter(None, (line.strip() for line in text.splitlines())):
        numbers = [int(number) for number in re.findall(r"\[(\d{1,3})\]", row)]
        bare = " ".join(re.sub(r"\s*\[\d{1,3}\]", "", row).split())
        if not numbers or not bare or not all(1 <= number <= len(keys) for number in numbers):
            return []
        found.append(Told(bare, tuple(dict.fromkeys(keys[number - 1] for number in numbers))))
    return found


def _split(key: str) -> tuple[str, str]:
    subject, _, predicate = key.rpartition(" ")
    return subject, predicate


def _shown(value: str | float | bool) -> str:
    return f"{value:g}" if isinstance(value, float | int) and not isinstance(value, bool) else str(value)
