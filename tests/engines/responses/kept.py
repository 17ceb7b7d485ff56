"""A response cache over an engine of the test's own, and what the tests of it ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from app.build import MODULE_SETTINGS
from app.core.clock import Clock, Deadline, SystemClock
from app.core.errors import DeadlineExceeded, EngineDown
from app.core.ports import Cache, EngineStatus
from app.core.profile import layers, load
from app.core.responses import Responses as Limits
from app.core.tenants import Held, Rules
from app.core.words import (
    Bill,
    Completion,
    Keep,
    Part,
    Spent,
    Usage,
    WordsDelta,
    WordsEnd,
    WordsEvent,
    WordsStart,
)
from app.engines.responses.cache import Responses
from app.engines.responses.semantic.vectors import Hashed
from tests.doubles import SilentLog

ROOT = Path(__file__).resolve().parents[3]
PROFILE = load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags={}), MODULE_SETTINGS).profile
USAGE = Usage(tokens_in=100, tokens_out=10, cost_nano_usd=1_500)


def limits(**changes: Any) -> Limits:
    """The shipped limits with a few changed; those of `semantic` as `semantic_…`."""
    semantic = {name.removeprefix("semantic_"): value for name, value in changes.items() if "semantic_" in name}
    own = {name: value for name, value in changes.items() if "semantic_" not in name}
    shipped = PROFILE.responses
    return msgspec.structs.replace(shipped, semantic=msgspec.structs.replace(shipped.semantic, **semantic), **own)


@dataclass
class Writer:
    """An engine that writes numbered lines in pieces, and can be told to wait, to fail or to stop short."""

    write: Callable[[Completion, int], str] = lambda _asked, number: f"Line {number}, said well."
    name: str = "writer"
    reason: str = "stop"
    fails: bool = False
    ends: bool = True
    piece: int = 5
    gate: asyncio.Event | None = None
    silent: bool = False
    """Whether it waits for the gate before its first piece, and not after it."""
    asked: list[Completion] = field(default_factory=list)
    closed: int = 0

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="writer", state="ready")

    async def close(self) -> None:
        return None

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        self.asked.append(completion)
        text = self.write(completion, len(self.asked))
        finished = False
        try:
            if self.silent:
                await self._wait(deadline)
            yield WordsStart(engine=self.name, model="writer-1")
            for at in range(0, len(text), self.piece):
                yield WordsDelta(text=text[at : at + self.piece])
                if not at:
                    await self._wait(deadline)
            if self.fails:
                raise EngineDown("writer broke", failure="server")
            if self.ends:
                self._book(completion, "stop")
                finished = True
                yield WordsEnd(reason=self.reason, usage=USAGE)  # type: ignore[arg-type]  # a test's own reason
        finally:
            if not finished:
                self._book(completion, "closed")
            self.closed += 1

    async def _wait(self, deadline: Deadline) -> None:
        try:
            async with asyncio.timeout(deadline.left_s()):
                if self.gate is not None:
                    await self.gate.wait()
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self.name} was late") from error

    def _book(self, completion: Completion, outcome: str) -> None:
        if completion.bill is not None:
            completion.bill.items.append(
                Spent(
                    engine=self.name,
                    model="writer-1",
                    task=completion.task,
                    usage=USAGE,
                    outcome=outcome,
                    estimated=outcome == "closed",
                )
            )


@dataclass
class Ruled:
    """Rules that a test sets."""

    held: dict[str, Held] = field(default_factory=dict)

    def of(self, tenant: str) -> Held:
        return self.held.get(tenant) or Held(tenant=tenant)


def cache_over(
    writer: Any,
    *,
    clock: Clock | None = None,
    rules: Rules | None = None,
    regions: dict[str, str | None] | None = None,
    shared: Cache | None = None,
    local_ms: int = 1_000,
    names: Callable[[str], tuple[str, ...]] = lambda _text: (),
    told: list[str] | None = None,
    **changes: Any,
) -> Responses:
    """A cache with the shipped limits but for the changes."""
    return Responses(
        writer,
        limits(**changes),
        clock=clock or SystemClock(),
        log=SilentLog(),
        rules=rules or Ruled(),
        regions=regions if regions is not None else {"writer": None, "other": "eu"},
        embedder=Hashed(),
        naming=lambda _tenant, _world: names,
        shared=shared,
        local_ms=local_ms,
        tell=(told if told is not None else []).append,
    )


def ask(
    said: str = "Any room left?",
    *,
    player: str = "p1",
    state: tuple[str, ...] = ("npc:mira",),
    tenant: str = "studio",
    world: str = "vale",
    bill: Bill | None = None,
    **changes: Any,
) -> Completion:
    """A request that may be kept."""
    keep = Keep(said=said, persona="mira-1", rating="teen", language="en", state=state)
    completion = Completion(
        task="dialogue.reply",
        parts=(Part(trust="player", text=said),),
        output_tokens_max=64,
        tenant=tenant,
        world=world,
        npc="mira",
        player=player,
        prompt="reply-1",
        keep=keep,
        bill=bill,
    )
    return msgspec.structs.replace(completion, **changes)


async def told(cache: Any, completion: Completion, milliseconds: float = 3_000.0) -> list[WordsEvent]:
    """Every event of the answer."""
    deadline = Deadline.after_ms(milliseconds, SystemClock())
    return [event async for event in cache.stream(completion, deadline)]


def text_of(events: list[WordsEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, WordsDelta))


async def said(cache: Any, completion: Completion, milliseconds: float = 3_000.0) -> str:
    """The text of the answer."""
    return text_of(await told(cache, completion, milliseconds))
