"""Words from the best engine that can: the engines of a profile and their tasks, acting as one.

Before the first text a failed or silent engine is replaced without a trace; after it the next one goes on with the
same context and what was said already, and what it repeats is taken out. It knows no vendor, and what lies below it
(authored lines) is not its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import MappingProxyType

from app.core.clock import Clock, Deadline
from app.core.engines import Orchestrator as Settings
from app.core.engines import Variant
from app.core.errors import Broken, DeadlineExceeded, EngineDown, NotPermitted, OverBudget, Unavailable
from app.core.ladder import Watcher
from app.core.ports import EngineStatus
from app.core.spending import Budgets
from app.core.tenants import NoRules, Rules, may_write
from app.core.words import Completion, Words, WordsEvent, fitted, unit_of
from app.engines.orchestration import router
from app.engines.orchestration.attempt import Attempt
from app.engines.orchestration.books import HEDGED, Books
from app.engines.orchestration.breaker import State
from app.engines.orchestration.members import Limits, Member
from app.engines.orchestration.memory import Memory
from app.engines.orchestration.purse import Purse
from app.engines.orchestration.race import Race, first_of
from app.engines.orchestration.run import Choice, Run
from app.engines.orchestration.seam import Seam, continued, instructed
from app.engines.orchestration.tasks import Plan, Tasks, chosen, varied
from app.engines.orchestration.watch import Meter, NoMeter


class Orchestrator:
    """The engines of `engines` as one Words engine."""

    def __init__(
        self,
        engines: Sequence[Words],
        *,
        clock: Clock,
        watcher: Watcher,
        name: str = "words",
        settings: Settings | None = None,
        limits: Mapping[str, Limits] = MappingProxyType({}),
        budgets: Budgets | None = None,
        rules: Rules | None = None,
        regions: Mapping[str, str] = MappingProxyType({}),
        meter: Meter | None = None,
    ) -> None:
        """`limits` are the clocks by engine name; without room in `budgets` a metered engine is not called.

        `rules` tell what a tenant has set, `regions` where each engine is that is not on this machine. Raises Invalid
        for settings that contradict themselves.
        """
        if not engines:
            raise Broken(f"the orchestrator {name!r} has no engine")
        self.name = name
        self._settings = settings or Settings(providers=tuple(engine.name for engine in engines))
        self._clock = clock
        self._rules: Rules = rules or NoRules()
        self._meter: Meter = meter or NoMeter()
        hedging = self._settings.hedging
        self._books = Books(budgets, Purse(hedging.spend_share_max, hedging.saved_nano_usd_max), self._meter)
        self._members = {
            engine.name: Member(
                engine,
                limits.get(engine.name, Limits()),
                regions.get(engine.name),
                settings=self._settings,
                group=name,
                clock=clock,
                watcher=watcher,
                meter=self._meter,
            )
            for engine in engines
        }
        for member in self._members.values():
            self._meter.turned(member.name, State.CLOSED.value)
        self.tasks = Tasks(
            self._settings.providers,
            running=tuple(self._members),
            tasks=self._settings.tasks,
            roles=self._settings.roles,
        )
        self._memory = Memory(self._settings)
        self._dropped: set[asyncio.Task[None]] = set()

    def status(self) -> EngineStatus:
        now_s = self._clock.monotonic_s()
        able = [name for name, member in self._members.items() if member.breaker.admits(now_s)]
        alerts = any(member.breaker.alert for member in self._members.values())
        troubles = [trouble for member in self._members.values() if (trouble := member.trouble(now_s))]
        told = self.tasks.told()
        return EngineStatus(
            name=self.name,
            kind="orchestrator",
            state="ready" if len(able) == len(self._members) and not alerts else "degraded",
            asked=tuple(self._members),
            provider=able[0] if able else "",
            detail="; ".join([*troubles, *([f"tasks: {told}"] if told else [])]),
        )

    async def close(self) -> None:
        await asyncio.gather(*self._dropped, return_exceptions=True)
        for member in self._members.values():
            await member.engine.close()

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """One start, deltas, one end with the usage of every engine that took part.

        Raises OverBudget when nothing but money was lacking, NotPermitted when the tenant's settings allow no engine,
        Invalid for a variant that is none, EngineDown when all fail or when one fails after it has called a tool.
        """
        run = self._begin(completion, deadline)
        try:
            while (attempt := await self._next(run)) is not None:
                run.current = attempt
                try:
                    attempt, events = await self._first(run, attempt)
                    for event in events:
                        if (out := run.out(event)) is not None:
                            yield out
                    while not attempt.ended:
                        if (out := run.out(await attempt.next())) is not None:
                            yield out
                    return
                except Unavailable as error:
                    await self._fell(run, run.current, error)
            raise self._exhausted(run)
        finally:
            await run.leave()

    def _begin(self, completion: Completion, deadline: Deadline) -> Run:
        """The request with the tenant's own safety text, and who may write it, in the order to try them."""
        held = self._rules.of(completion.tenant)
        plan = self.tasks.of(completion.task)
        variants, favorite = self._variants(plan, completion)
        against: dict[str, str] = {}
        choices: list[Choice] = []
        for variant in variants:
            member = self._members[variant.engine]
            if reason := may_write(held, member.name, member.region, completion.world):
                against[member.name] = reason
            else:
                choices.append(Choice(variant, member))
        if not choices:
            raise NotPermitted(f"no engine may write: {'; '.join(against.values())}", hint="see GET /v1/settings")
        if held.settings.safety_text:
            completion = instructed(completion, held.settings.safety_text)
        run = Run(completion, deadline, plan.task, self._clock, reasons=[*against.values()])
        self._route(run, choices, favorite)
        return run

    def _variants(self, plan: Plan, completion: Completion) -> tuple[Sequence[Variant], Variant | None]:
        """(those that may write, the one that goes first); raises Invalid for an unknown one that alone may."""
        if completion.variant:
            return (self.tasks.forced(completion.task, completion.variant),), None
        favorite = self.tasks.find(completion.task, completion.prefer) if completion.prefer else None
        if favorite is None:
            return plan.variants, chosen(plan, completion.tenant, completion.task, unit_of(completion))
        return (favorite, *(variant for variant in plan.variants if variant is not favorite)), favorite

    def _route(self, run: Run, choices: list[Choice], favorite: Variant | None) -> None:
        """Leave out whoever rests, and lay the others in order."""
        now_s = self._clock.monotonic_s()
        able = [choice for choice in choices if choice.member.breaker.admits(now_s)]
        if len(able) < len(choices):
            resting = [choice.member for choice in choices if not choice.member.breaker.admits(now_s)]
            run.reasons += [f"{member.name} rests after: {member.breaker.reason}" for member in resting]
            run.trace.falls += [f"{member.name}: rests" for member in resting]
            run.rests_s = min(member.breaker.rests_s(now_s) for member in resting)
        if len(able) > 1:
            able = self._ordered(run, able, favorite, now_s)
        run.queue.extend(able)

    def _ordered(self, run: Run, able: list[Choice], favorite: Variant | None, now_s: float) -> list[Choice]:
        completion, task = run.completion, run.task
        route = task.route or self._settings.route
        if self._memory.is_tight(completion.tenant, now_s):
            route = "thrift"
        warm = self._memory.warm(completion, now_s)
        ask = router.Ask(route, run.patience_ms(), router.fits(task, completion, self._settings.hard))
        seen = [
            router.Seen(
                variant=choice.variant.name,
                engine=choice.member.name,
                local=choice.member.region is None,
                chosen=choice.variant is favorite,
                warm=choice.member.name == warm,
                first_ms=choice.member.pace.expected_ms(now_s),
                most_nano_usd=choice.member.most(completion).cost_nano_usd if route == "thrift" else 0,
            )
            for choice in able
        ]
        return [able[row] for row in router.order(ask, seen)]

    async def _next(self, run: Run) -> Attempt | None:
        """The next attempt, with room for its price; None when all were tried."""
        while run.queue and run.patience_ms() > 0.0:
            choice = run.queue.popleft()
            asked = continued(fitted(varied(run.completion, choice.variant), choice.member.name), run.said())
            try:
                hold = await self._books.reserve(choice.member, asked)
            except OverBudget as error:
                self._refused(run, choice, error)
                continue
            if (probe := choice.member.begin()) is None:
                self._books.release(hold)
                run.reasons.append(f"{choice.member.name} is being tried by another call")
                continue
            least_ms, said = self._settings.first_token_ms_min, run.said()
            first_ms = router.share_ms(run.patience_ms(), len(run.queue) + 1, least_ms)
            attempt = Attempt(
                choice.member,
                asked,
                run.deadline,
                variant=choice.variant.name,
                first_ms=first_ms,
                fair=first_ms >= least_ms or not run.hurried,
                probe=probe,
                hold=hold,
                seam=Seam(said, self._settings.overlap_characters_min) if said else None,
                books=self._books,
            )
            run.begun()
            return attempt
        return None

    async def _first(self, run: Run, attempt: Attempt) -> tuple[Attempt, list[WordsEvent]]:
        """The attempt, or a hedge that was quicker, and its first events."""
        after_ms = self._hedge_ms(run, attempt)
        if after_ms is None:
            events = await attempt.first()
        else:
            attempt, events = await self._raced(run, attempt, after_ms)
        member, now_s = attempt.member, self._clock.monotonic_s()
        if (first_ms := attempt.first_ms()) is not None:
            member.pace.note(first_ms, now_s)
            self._meter.first_text(member.name, first_ms / 1000.0)
        run.wrote(attempt)
        self._memory.wrote(run.completion, member.name, now_s)
        return attempt, events

    def _hedge_ms(self, run: Run, attempt: Attempt) -> float | None:
        """After how long a second engine is started; None where none is."""
        if not run.queue or run.heard or not (run.task.hedge or run.completion.first_token_ms is not None):
            return None
        return attempt.member.pace.p90_ms(self._settings.hedging.samples_min)

    async def _raced(self, run: Run, attempt: Attempt, after_ms: float) -> tuple[Attempt, list[WordsEvent]]:
        race, purse, begun, held = Race(), self._books.purse, [attempt], 0
        won: Attempt | None = None

        async def second() -> Attempt | None:
            """The hedge, where the purse has room for whichever of the two loses."""
            nonlocal held
            others = (choice.member.most(varied(run.completion, choice.variant)) for choice in run.queue)
            worst = max(usage.cost_nano_usd for usage in (attempt.most(), *others))
            if not purse.take(worst):
                self._meter.hedged(attempt.member.name, "unfunded")
                return None
            held = worst
            if (other := await self._next(run)) is not None:
                begun.append(other)
            return other

        try:
            won, events = await first_of(attempt, after_ms / 1000.0, second, race)
            if len(begun) > 1:
                self._meter.hedged(attempt.member.name, "lost" if won is attempt else "won")
            return won, events
        except Unavailable:
            if race.fallen:
                run.current, _ = race.fallen.pop()  # whoever catches this tells of it
            raise
        finally:
            for fallen, error in race.fallen:
                self._told(run, fallen, error)
            for loser in race.running.values():
                loser.member.pace.note_none_by(loser.waited_ms(), self._clock.monotonic_s())
                loser.leave("closed" if won is None else HEDGED)
                run.pay(loser)
            extra = (one.usage.cost_nano_usd for one in (begun if won else begun[1:]) if one is not won)
            purse.settle(held, sum(extra))
            if won is None:
                await race.stop()
            elif len(begun) > 1:
                self._drop(race)

    def _told(self, run: Run, attempt: Attempt, error: Unavailable) -> None:
        """An attempt failed: blame whom it concerns, and remember why."""
        if isinstance(error, DeadlineExceeded) and attempt.first_at_s is None:
            attempt.member.pace.note_none_by(attempt.waited_ms(), self._clock.monotonic_s())
        attempt.fail(error)
        run.fell(attempt, error)

    async def _fell(self, run: Run, attempt: Attempt, error: Unavailable) -> None:
        """Make room for the next engine; raises EngineDown where none can go on."""
        self._told(run, attempt, error)
        await attempt.close()
        if run.called:
            raise EngineDown(
                f"{attempt.member.name} broke off after it had called a tool: {error.message}", failure="incomplete"
            ) from error

    def _refused(self, run: Run, choice: Choice, error: OverBudget) -> None:
        run.refusal = error
        run.reasons.append(error.message)
        run.trace.falls.append(f"{choice.member.name}: {error.code}")
        self._memory.refused(run.completion.tenant, self._clock.monotonic_s())

    def _exhausted(self, run: Run) -> Unavailable:
        """Why nobody wrote."""
        if run.refusal is not None and not run.broke:
            return run.refusal
        return EngineDown(
            f"no provider answered: {'; '.join(run.reasons) or 'no time was left'}",
            hint="see the engines' status",
            retry_after_s=run.rests_s if not run.broke else None,
        )

    def _drop(self, race: Race) -> None:
        """End the calls of those that lost, while the winner's words go on."""
        task = asyncio.create_task(race.stop(), name="words.lost")
        self._dropped.add(task)
        task.add_done_callback(self._dropped.discard)
