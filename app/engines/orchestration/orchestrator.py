"""Words from the first provider that can: an ordered list of engines that acts as one.

Before the first token a failed or silent engine is replaced without a trace; after it the next one goes
on with the same context and what was said already, and what it repeats is taken out. An engine that
fails again and again rests. It knows no vendor, and what lies below it (authored lines) is not its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import Broken, DeadlineExceeded, EngineDown, NotPermitted, OverBudget, Unavailable
from app.core.ladder import Watcher
from app.core.ports import EngineStatus
from app.core.spending import Amount, Budgets, Reservation, Spender
from app.core.tenants import NoRules, Rules, may_write
from app.core.words import Completion, Part, Spent, Usage, Words, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines.wire import within
from app.world.scene import Scene

OVERLAP_CHARACTERS_MIN = 4
"""A shorter repetition at the seam of two engines is taken for chance."""
FIRST_TOKEN_SHARE = 0.95
"""Of the time that the caller waits for the first text: what the engines still to try share evenly."""
FIRST_TOKEN_MS_MIN = 700.0
"""A fair chance for a cloud model: no share is shorter while the caller's patience lasts."""
RETRY_AFTER_MAX_S = 300.0
"""The longest that a provider may ask us to stay away."""


@runtime_checkable
class Metered(Protocol):
    """An engine whose calls are counted: it knows the most that one can cost, and guesses what a broken one has."""

    def most(self, completion: Completion) -> Usage: ...
    def estimate(self, completion: Completion, written: str) -> Usage: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """One engine's three clocks: until its first text, between two pieces, until its end."""

    first_token_ms: float = 800.0
    gap_ms: float = 800.0
    total_ms: float = 20_000.0


@dataclass(slots=True)
class _Health:
    failures: int = 0
    rests_until_s: float = 0.0
    reason: str = ""


@dataclass(slots=True)
class _Attempt:
    """What one engine has given so far, and how long it may take for its first text."""

    first_token_ms: float
    hold: Reservation | None = None
    model: str = ""
    """What the engine says that it runs; empty until it has begun."""
    written: str = ""


class Orchestrator:
    """The engines of `engines` in order, as one Words engine."""

    def __init__(
        self,
        engines: Sequence[Words],
        *,
        clock: Clock,
        watcher: Watcher,
        name: str = "words",
        limits: Mapping[str, Limits] = MappingProxyType({}),
        failures_max: int = 3,
        rest_ms: float = 4_000.0,
        budgets: Budgets | None = None,
        rules: Rules | None = None,
        regions: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`limits` are the clocks by engine name; without room in `budgets` a metered engine is not called.

        `rules` tell what a tenant has set, `regions` where each engine is that is not on this machine.
        """
        if not engines:
            raise Broken(f"the orchestrator {name!r} has no engine")
        self.name = name
        self._engines = tuple(engines)
        self._clock = clock
        self._watcher = watcher
        self._limits = {engine.name: limits.get(engine.name, Limits()) for engine in engines}
        self._failures_max, self._rest_s = failures_max, rest_ms / 1000.0
        self._budgets = budgets
        self._rules: Rules = rules or NoRules()
        self._regions = regions
        self._health = {engine.name: _Health() for engine in engines}

    def status(self) -> EngineStatus:
        able = [engine.name for engine in self._engines if not self._resting(engine.name)]
        trouble = "; ".join(health.reason for health in self._health.values() if health.failures)
        return EngineStatus(
            name=self.name,
            kind="orchestrator",
            state="ready" if len(able) == len(self._engines) else "degraded",
            asked=tuple(engine.name for engine in self._engines),
            provider=able[0] if able else "",
            detail=trouble,
        )

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """One start, deltas, one end with the usage of every engine that took part.

        Raises OverBudget when nothing but money was lacking, NotPermitted when the tenant's settings allow no engine,
        EngineDown when all fail.
        """
        said, total, started = "", Usage(), False
        completion, allowed, reasons = self._ruled(completion)
        refusal: OverBudget | None = None
        broke = False
        able = [engine for engine in allowed if not self._resting(engine.name)]
        reasons += [
            f"{name} rests after: {health.reason}" for name, health in self._health.items() if self._resting(name)
        ]
        first_by = deadline if completion.first_token_ms is None else self._sooner(deadline, completion.first_token_ms)
        for left, engine in zip(range(len(able), 0, -1), able, strict=True):
            waits_until = deadline if said else first_by
            all_ms = waits_until.left_ms() * FIRST_TOKEN_SHARE
            share_ms = min(all_ms, max(all_ms / left, FIRST_TOKEN_MS_MIN))
            attempt = _Attempt(first_token_ms=min(share_ms, self._limits[engine.name].first_token_ms))
            asked = _continued(completion, said)
            try:
                attempt.hold = await self._reserve(engine, asked)
            except OverBudget as error:
                refusal = error
                reasons.append(error.message)
                continue
            try:
                async with aclosing(self._attempt(engine, asked, deadline, attempt, said)) as run:
                    async for event in run:
                        match event:
                            case WordsStart() if not started:
                                started = True
                                yield event
                            case WordsDelta():
                                said += event.text
                                yield event
                            case WordsEnd():
                                yield WordsEnd(reason=event.reason, usage=_sum(total, event.usage))
                return
            except Unavailable as error:
                broke = True
                reasons.append(error.message)
                total = _sum(total, self._broke(engine, completion, attempt, error))
        if refusal is not None and not broke:
            raise refusal
        rested_s = None if able else min(self._health[engine.name].rests_until_s for engine in allowed)
        raise EngineDown(
            f"no provider answered: {'; '.join(reasons)}",
            hint="see the engines' status",
            retry_after_s=None if rested_s is None else max(0.0, rested_s - self._clock.monotonic_s()),
        )

    def _ruled(self, completion: Completion) -> tuple[Completion, list[Words], list[str]]:
        """The request with the tenant's own safety text, the engines that may write for it, and why others may not.

        Raises NotPermitted when none may.
        """
        held = self._rules.of(completion.tenant)
        against = {
            engine.name: reason
            for engine in self._engines
            if (reason := may_write(held, engine.name, self._regions.get(engine.name)))
        }
        allowed = [engine for engine in self._engines if engine.name not in against]
        if not allowed:
            raise NotPermitted(f"no engine may write: {'; '.join(against.values())}", hint="see GET /v1/settings")
        if held.settings.safety_text:
            first, *rest = completion.parts
            own = Part(trust="system", text=held.settings.safety_text)
            completion = msgspec.structs.replace(completion, parts=(first, own, *rest))
        return completion, allowed, [*against.values()]

    async def _attempt(
        self, engine: Words, completion: Completion, deadline: Deadline, attempt: _Attempt, said: str
    ) -> AsyncGenerator[WordsEvent]:
        """One engine's stream under its three clocks, without what it repeats of `said`."""
        limits = self._limits[engine.name]
        total = self._sooner(deadline, limits.total_ms)
        limit = self._sooner(total, attempt.first_token_ms)
        seam = Seam(said)
        finished = False
        try:
            async with aclosing(engine.stream(completion, total)) as events:
                while True:
                    event = await within(
                        anext(events, None), limit, f"{engine.name}, at {len(attempt.written)} characters,"
                    )
                    match event:
                        case None:
                            raise EngineDown(f"{engine.name} ended without a finish")
                        case WordsStart():
                            attempt.model = event.model
                            yield event
                        case WordsDelta():
                            attempt.written += event.text
                            limit = self._sooner(total, limits.gap_ms)
                            fresh = seam.feed(event.text)
                            if fresh:
                                yield WordsDelta(text=fresh)
                        case WordsEnd():
                            rest = seam.flush()
                            if rest:
                                yield WordsDelta(text=rest)
                            finished = True
                            self._succeeded(engine, completion, attempt, event)
                            yield event
                            return
        except (GeneratorExit, asyncio.CancelledError):
            if not finished:
                self._book(engine, completion, attempt, self._estimate(engine, completion, attempt), "closed")
            raise

    async def _reserve(self, engine: Words, completion: Completion) -> Reservation | None:
        """Room for the most that the engine can cost; None where nothing is counted. Raises OverBudget."""
        if self._budgets is None or not isinstance(engine, Metered):
            return None
        spender = Spender(
            tenant=completion.tenant, world=completion.world, npc=completion.npc, player=completion.player
        )
        return await self._budgets.reserve(spender, _amount(engine.most(completion)))

    def _sooner(self, deadline: Deadline, milliseconds: float) -> Deadline:
        mine = Deadline.after_ms(milliseconds, self._clock)
        return mine if mine.at_s < deadline.at_s else deadline

    def _resting(self, name: str) -> bool:
        return self._health[name].rests_until_s > self._clock.monotonic_s()

    def _succeeded(self, engine: Words, completion: Completion, attempt: _Attempt, end: WordsEnd) -> None:
        health = self._health[engine.name]
        if health.failures:
            self._health[engine.name] = _Health()
            self._watcher.rung_rose(self.name, engine.name)
        self._book(engine, completion, attempt, end.usage, end.reason, estimated=False)

    def _broke(self, engine: Words, completion: Completion, attempt: _Attempt, error: Unavailable) -> Usage:
        """Book the failure and return what the attempt has probably cost."""
        health = self._health[engine.name]
        health.failures += 1
        health.reason = error.message
        if health.failures == 1:
            self._watcher.rung_fell(self.name, engine.name, error.message)
        rest_s = self._rest_s if health.failures >= self._failures_max else 0.0
        if error.retry_after_s is not None:
            rest_s = max(rest_s, min(error.retry_after_s, RETRY_AFTER_MAX_S))
        health.rests_until_s = self._clock.monotonic_s() + rest_s
        usage = Usage()
        if attempt.model or isinstance(error, DeadlineExceeded):  # one that refused at once charges nothing
            usage = self._estimate(engine, completion, attempt)
        self._book(engine, completion, attempt, usage, error.code)
        return usage

    def _estimate(self, engine: Words, completion: Completion, attempt: _Attempt) -> Usage:
        """What a call that was cut off has probably cost: a prompt that was sent is paid, answered or not."""
        return engine.estimate(completion, attempt.written) if isinstance(engine, Metered) else Usage()

    def _book(
        self,
        engine: Words,
        completion: Completion,
        attempt: _Attempt,
        usage: Usage,
        outcome: str,
        *,
        estimated: bool = True,
    ) -> None:
        """Settle what was reserved, and put on the bill what the attempt has cost."""
        if self._budgets is not None and attempt.hold is not None:
            self._budgets.settle(attempt.hold, _amount(usage))
        if completion.bill is not None and usage != Usage():
            completion.bill.items.append(
                Spent(
                    engine=engine.name,
                    model=attempt.model,
                    task=completion.task,
                    usage=usage,
                    outcome=outcome,
                    estimated=estimated,
                )
            )


class Seam:
    """Takes out of a continuation what it says again of the text before it.

    Text is held back as long as it could still be a repetition: while it is found in what was said.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self._held = ""
        self._open = bool(said)

    def feed(self, text: str) -> str:
        """What of `text`, and of what was held, is new."""
        if not self._open:
            return text
        self._held += text
        if self._held.strip() in self._said or self._said.startswith(self._held.lstrip()):
            return ""
        return self.flush()

    def flush(self) -> str:
        """What is left; nothing is held after it."""
        held, self._held, self._open = self._held, "", False
        bare = held.lstrip()
        if bare.startswith(self._said):
            return bare[len(self._said) :]
        most = min(len(bare), len(self._said))
        for length in range(most, OVERLAP_CHARACTERS_MIN - 1, -1):
            if self._said.endswith(bare[:length]):
                return bare[length:]
        return "" if self._said and bare and bare.strip() in self._said else held


def _continued(completion: Completion, said: str) -> Completion:
    """The same request with what was said already, for the engine that goes on from there."""
    if not said:
        return completion
    more = (
        Part(trust="npc", text=said),
        Part(trust="system", text="The line broke off there. Go on from the very next word and repeat nothing."),
    )
    scene = completion.scene
    if isinstance(scene, Scene):
        scene = msgspec.structs.replace(scene, said=(*scene.said, said))
    return msgspec.structs.replace(completion, parts=(*completion.parts, *more), scene=scene)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_out=one.tokens_out + other.tokens_out,
        cached_tokens_in=one.cached_tokens_in + other.cached_tokens_in,
        cost_nano_usd=one.cost_nano_usd + other.cost_nano_usd,
    )


def _amount(usage: Usage) -> Amount:
    return Amount(nano_usd=usage.cost_nano_usd, tokens=usage.tokens_in + usage.tokens_out)
