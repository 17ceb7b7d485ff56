"""The response cache as a Words: what was written for the same request is said again, as the stream that it was.

What it has not, it lets be written once for all who ask at the same time, and keeps a stream that came to its end.
It knows what identifies a request and what forgets a line. It knows no world, no price and no vendor.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import msgspec

from app.core.clock import Clock, Deadline
from app.core.errors import DeadlineExceeded
from app.core.ports import Cache, EngineStatus, Log
from app.core.responses import Counts
from app.core.responses import Responses as Limits
from app.core.tenants import Held, Rules
from app.core.words import Bill, Completion, Keep, Trace, Words, WordsEvent, WordsStart
from app.engines.responses.flights import Flight
from app.engines.responses.keys import EVERYTHING, PLAYER, Asked, asked, scoped
from app.engines.responses.levels import Levels
from app.engines.responses.lines import Line, line_of
from app.engines.responses.near import Shelf
from app.engines.responses.semantic.level import Level, Naming
from app.engines.responses.semantic.vectors import Embedder
from app.engines.responses.variety import Variety

Outcome = Literal["hit", "joined", "semantic_hit", "miss", "shadow_true", "shadow_false", "purged"]
Tell = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Request:
    """One request on its way through the cache."""

    completion: Completion
    keep: Keep
    asked: Asked
    held: Held
    mark: int
    """Purges after this one forget what is written for it."""

    @property
    def place(self) -> tuple[str, str]:
        return self.completion.tenant, self.asked.exact


class Responses:
    """Kept lines over `inner`, as one Words engine."""

    def __init__(
        self,
        inner: Words,
        limits: Limits,
        *,
        clock: Clock,
        log: Log,
        rules: Rules,
        regions: Mapping[str, str | None],
        embedder: Embedder,
        naming: Naming,
        shared: Cache | None = None,
        local_ms: int = 0,
        tell: Tell = lambda _outcome: None,
    ) -> None:
        """`regions` are the engines that write and where, None for this machine; `shared` is where replicas meet."""
        self.name = "responses"
        self._inner = inner
        self._limits = limits
        self._clock = clock
        self._rules = rules
        self._regions = regions
        self._tell = tell
        self._levels = Levels(limits, clock=clock, log=log, shared=shared, local_ms=local_ms)
        self._semantic = Level(limits.semantic, embedder=embedder, naming=naming)
        self._variety = Variety(players_max=limits.players_max, keys_max=limits.heard_max)
        self._flights: dict[tuple[str, str], Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._counted: Counter[tuple[str, Outcome]] = Counter()

    def status(self) -> EngineStatus:
        totals: Counter[str] = Counter()
        for (_, outcome), count in self._counted.items():
            totals[outcome] += count
        near = self._levels.near
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(totals.items()))
        detail = f"{near.lines_of()} lines, {near.size_bytes} bytes; {told or 'nothing asked yet'}"
        mode = f"semantic {self._limits.semantic.mode}"
        return EngineStatus(name=self.name, kind="responses", state="ready", provider=mode, detail=detail)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._levels.close()
        await self._inner.close()

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """A kept line, else what `inner` writes. Raises what `inner` raises."""
        keep = completion.keep
        request = self._request(completion, keep) if keep is not None and self._limits.ttl_ms else None
        if request is None:
            async with aclosing(self._inner.stream(completion, deadline)) as events:
                async for event in events:
                    yield event
            return
        begun_s = self._clock.monotonic_s()
        line, guess = await self._find(request, deadline), None
        outcome: Outcome = "hit"
        if line is None:
            guess = self._guess(request)
            line, outcome = self._semantic.servable(completion, guess), "semantic_hit"
        trace = completion.trace
        if trace is not None:
            trace.cache_ms = (self._clock.monotonic_s() - begun_s) * 1000.0
            trace.cache = "miss" if line is None else "hit"
        if line is not None:
            self._count(completion.tenant, outcome)
            self._hears(request, line.id)
            if trace is not None:
                trace.engine = line.engine
            for event in line.replay():
                yield event
            return
        async with aclosing(self._written(request, guess, deadline)) as events:
            async for event in events:
                yield event

    def purge(self, tenant: str, world: str, tag: str) -> None:
        """Forget every line of the tenant that depends on the tag (`npc:greta`) of that world; at once here."""
        self._count(tenant, "purged")
        self._levels.purge(tenant, scoped(world, tag))

    def forget(self, tenant: str, world: str, player: str) -> None:
        """Forget whatever was written for a player, in any world, and what they typed."""
        self._count(tenant, "purged")
        self._levels.forget(tenant, scoped(world, PLAYER + player))
        self._semantic.forget(tenant, player)
        self._variety.forget(tenant, player)

    def obey(self, held: Held) -> None:
        """A tenant's settings have changed: what was written under the former ones is not said again."""
        self._levels.near.purge(held.tenant, EVERYTHING)

    def distrust(self) -> None:
        """A world has come here from another process."""
        self._levels.distrust()

    async def confirmed(self) -> None:
        """Wait until every replica's next look sees the purges."""
        await self._levels.confirmed()

    def counts(self, tenant: str) -> Counts:
        """What the cache holds and has done for the tenant."""
        of = self._counted
        return Counts(
            lines=self._levels.near.lines_of(tenant),
            hits=sum(of[tenant, outcome] for outcome in ("hit", "joined", "semantic_hit")),
            misses=of[tenant, "miss"],
            purges=of[tenant, "purged"],
            tasks=self._semantic.measured(tenant),
        )

    def _request(self, completion: Completion, keep: Keep) -> _Request | None:
        """None for what cannot be written as bytes, and for a line that would depend on more than can be purged."""
        held = self._rules.of(completion.tenant)
        try:
            found = asked(completion, keep, held.version)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None  # such a schema or text is refused further down, by whoever can say why
        if len(found.tags) > self._limits.tags_max:
            return None
        return _Request(completion, keep, found, held, self._levels.near.mark())

    async def _find(self, request: _Request, deadline: Deadline) -> Line | None:
        """A line that was kept for just this and that its listener may hear now."""
        shelf, older = self._levels.look(request.place)
        line = self._choose(request, shelf)
        if line is None and older:
            line = self._choose(request, await self._levels.fetch(request.place, self._variants(request), deadline))
        return line

    def _choose(self, request: _Request, shelf: Shelf | None) -> Line | None:
        """The line to say: an unheard one, a fresh one (None) while there are too few, else the one heard longest ago.

        What an engine wrote that the tenant excludes is not there.
        """
        if shelf is None or not shelf.held:
            return None
        lines = [held.line for held in shelf.held if held.line.allowed(request.held, self._regions)]
        if not lines:
            return None
        if not request.asked.variants:
            return lines[0]
        if not request.completion.player:
            shelf.turn += 1
            return lines[shelf.turn % len(lines)]
        listener = self._listener(request)
        fresh = self._variety.fresh(*listener, lines)
        if fresh is not None:
            return fresh
        if max(len(lines), shelf.made) < self._limits.variants_max:
            return None
        return self._variety.oldest(*listener, lines)

    def _guess(self, request: _Request) -> Line | None:
        """A line for the same in other words, where there is none for just this."""
        shelf = self._levels.near.shelf(request.place)
        if shelf is not None and shelf.held:
            return None

        def kept(exact: str) -> Line | None:
            return self._choose(request, self._levels.near.shelf((request.completion.tenant, exact)))

        return self._semantic.guess(request.completion, request.keep.said, request.asked, kept)

    async def _written(self, request: _Request, guess: Line | None, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """What `inner` writes, now or since another asked the same. Who waited for another's may ask once more."""
        trace = request.completion.trace
        while True:
            flight, joined = self._board(request, guess, deadline)
            self._count(request.completion.tenant, "joined" if joined else "miss")
            silent = True
            try:
                async with aclosing(flight.follow(deadline, request.completion.bill)) as events:
                    async for event in events:
                        silent = False
                        if joined and trace is not None and isinstance(event, WordsStart):
                            trace.cache, trace.engine = "hit", event.engine
                        yield event
            except DeadlineExceeded:
                if not (joined and silent and deadline.left_s() > 0.0):
                    raise
                continue
            self._hears(request, flight.line)
            return

    def _board(self, request: _Request, guess: Line | None, deadline: Deadline) -> tuple[Flight, bool]:
        """The call that is under way for the same, or a new one; and whether it was under way.

        Nobody joins their own: they would hear it twice.
        """
        place, player = request.place, request.completion.player
        flight = self._flights.get(place)
        if flight is not None and not flight.over and not (player and player in flight.players):
            flight.players.add(player)
            return flight, True
        completion = request.completion
        bill, trace = Bill(), completion.trace or Trace()
        flight = Flight(name=self._inner.name, bill=bill)
        flight.players.add(player)
        upstream = msgspec.structs.replace(completion, bill=bill, trace=trace)

        def landed(events: list[WordsEvent], bill: Bill) -> Awaitable[None] | None:
            return self._landed(request, flight, guess, events, (trace.engine, *(item.engine for item in bill.items)))

        task = flight.start(self._inner.stream(upstream, deadline), landed)
        self._tasks.add(task)
        if place not in self._flights and len(self._flights) < self._limits.flights_max:
            self._flights[place] = flight

        def gone(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if self._flights.get(place) is flight:
                del self._flights[place]

        task.add_done_callback(gone)
        return flight, False

    def _landed(
        self, request: _Request, flight: Flight, guess: Line | None, events: list[WordsEvent], writers: tuple[str, ...]
    ) -> Awaitable[None] | None:
        """Keep a stream that came to its end, unless what it depends on was purged while it was written."""
        place, tenant = request.place, request.completion.tenant
        if self._flights.get(place) is flight:
            del self._flights[place]
        named = tuple(writer for writer in writers if writer)
        line = line_of(events, named, request.asked.tags, self._clock.wall_ms())
        if line is None or self._rules.of(tenant).version != request.held.version:
            return None
        shelf = self._levels.near.open(place)
        shelf.made += 1
        slot = self._levels.keep(place, line, mark=request.mark)
        if self._levels.near.purged(tenant, line.tags, request.mark):
            return None
        flight.line = line.id
        right = self._semantic.learn(request.completion, request.keep.said, request.asked, line, guess)
        if right is not None:
            self._count(tenant, "shadow_true" if right else "shadow_false")
        return None if slot is None else self._levels.share(place, line, slot, mark=request.mark)

    def _variants(self, request: _Request) -> int:
        return self._limits.variants_max if request.asked.variants else 1

    def _hears(self, request: _Request, line: str) -> None:
        if line and request.asked.variants:
            self._variety.note(*self._listener(request), line)

    def _listener(self, request: _Request) -> tuple[str, str, str]:
        return request.completion.tenant, request.completion.player, request.asked.exact

    def _count(self, tenant: str, outcome: Outcome) -> None:
        self._counted[tenant, outcome] += 1
        self._tell(outcome)
