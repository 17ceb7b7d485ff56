"""Answers that are data, as a Words: buffered to their end, held against their schema, and handed on as one piece.

An answer that does not fit is asked for once more within the same deadline, with the path where it failed. What still
does not fit is a failure like a stream that broke off. It knows no provider and how none of them is made to obey.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown
from app.core.ports import EngineStatus
from app.core.responses import Structured as Limits
from app.core.words import (
    Completion,
    Part,
    Turn,
    Usage,
    Words,
    WordsDelta,
    WordsEnd,
    WordsEvent,
    WordsStart,
)
from app.engines.structured.schemas import Misfit, Schemas

_FENCE = "```"
_AGAIN = (
    "That answer does not fit the JSON Schema: {misfit}. Answer again, with the whole JSON value that fits the schema, "
    "and with nothing before or after it."
)


@dataclass(slots=True)
class _Answer:
    """What one attempt wrote."""

    start: WordsStart | None = None
    text: str = ""
    end: WordsEnd | None = None


class Structured:
    """Schemas kept over `inner`, as one Words engine."""

    def __init__(self, inner: Words, limits: Limits, *, clock: Clock) -> None:
        self.name = "structured"
        self._inner = inner
        self._limits = limits
        self._clock = clock
        self._schemas = Schemas(limits)
        self._fitted, self._repaired, self._failed = 0, 0, 0

    def status(self) -> EngineStatus:
        detail = f"{self._fitted} fitted, {self._repaired} repaired, {self._failed} failed"
        return EngineStatus(name=self.name, kind="structured", state="ready", detail=detail)

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """One start, one delta that fits the schema, one end with the usage of both attempts.

        Raises Invalid for a schema that cannot be used, before anything is asked, and EngineDown (`incomplete`) when
        the answer does not fit. Without a schema, or with tools, it is `inner`'s stream.
        """
        if completion.schema is None or completion.tools:
            async with aclosing(self._inner.stream(completion, deadline)) as events:
                async for event in events:
                    yield event
            return
        schema = await self._schemas.of(completion.schema)
        begun_s = self._clock.monotonic_s()
        answer, usage = await self._ask(completion, deadline), Usage()
        for tries in (1, 2):
            start, end = answer.start, answer.end
            if start is None or end is None:
                raise EngineDown(f"{self._inner.name} ended without a finish", failure="incomplete")
            usage = _sum(usage, end.usage)
            if end.reason == "filtered":
                yield start
                yield WordsEnd(reason="filtered", usage=usage)
                return
            text, misfit = await schema.check(unfenced(answer.text))
            if misfit is None:
                self._count(tries)
                yield start
                yield WordsDelta(text=text)
                yield WordsEnd(reason="stop", usage=usage)
                return
            if completion.trace is not None:
                completion.trace.falls.append(f"structured: {misfit}")
            took_ms = (self._clock.monotonic_s() - begun_s) * 1000.0
            if tries == 2 or deadline.left_ms() < max(self._limits.repair_ms_min, took_ms):
                break
            answer = await self._ask(_again(completion, answer.text, misfit), deadline)
        self._failed += 1
        raise EngineDown("the answer does not fit its schema", hint="ask for less at once", failure="incomplete")

    async def _ask(self, completion: Completion, deadline: Deadline) -> _Answer:
        """One whole answer; raises EngineDown for one that has no end."""
        answer = _Answer()
        pieces: list[str] = []
        size = 0
        async with aclosing(self._inner.stream(completion, deadline)) as events:
            async for event in events:
                match event:
                    case WordsStart():
                        answer.start = event
                    case WordsDelta():
                        pieces.append(event.text)
                        size += len(event.text)
                        if size > self._limits.answer_bytes_max:
                            raise EngineDown("the answer has no end", failure="incomplete")
                    case WordsEnd():
                        answer.end = event
        answer.text = "".join(pieces)
        return answer

    def _count(self, tries: int) -> None:
        if tries == 1:
            self._fitted += 1
        else:
            self._repaired += 1


def unfenced(text: str) -> str:
    """The text without white space and a code fence around it."""
    bare = text.strip().removeprefix("\ufeff").strip()
    if not (bare.startswith(_FENCE) and bare.endswith(_FENCE) and len(bare) >= 2 * len(_FENCE)):
        return bare
    inside = bare[len(_FENCE) : -len(_FENCE)]
    label, line_end, rest = inside.partition("\n")
    return (rest if (line_end and label.strip().isalnum()) or not label.strip() else inside).strip()


def _again(completion: Completion, faulty: str, misfit: Misfit) -> Completion:
    """The same conversation with the faulty answer, and what is wrong with it in our own words."""
    text = _AGAIN.format(misfit=misfit)
    if completion.turns:
        more = (Turn(role="assistant", text=faulty), Turn(role="user", text=text))
        return msgspec.structs.replace(completion, turns=(*completion.turns, *more))
    parts = (Part(trust="npc", text=faulty), Part(trust="system", text=text))
    return msgspec.structs.replace(completion, parts=(*completion.parts, *parts))


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_out=one.tokens_out + other.tokens_out,
        cached_tokens_in=one.cached_tokens_in + other.cached_tokens_in,
        cost_nano_usd=one.cost_nano_usd + other.cost_nano_usd,
    )
