"""The ladder: who answers, and who is told."""

from __future__ import annotations

import asyncio

import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import EngineDown, Invalid
from app.core.ladder import Ladder, Rung


class Watch:
    def __init__(self) -> None:
        self.fell: list[str] = []
        self.rose: list[str] = []

    def rung_fell(self, module: str, rung: str, reason: str) -> None:
        self.fell.append(rung)

    def rung_rose(self, module: str, rung: str) -> None:
        self.rose.append(rung)


class Clock(SystemClock):
    """The system's clock, moved on by hand."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


async def fine(request: str, deadline: Deadline) -> str:
    return request.upper()


async def down(request: str, deadline: Deadline) -> str:
    raise EngineDown("no")


async def hangs(request: str, deadline: Deadline) -> str:
    await asyncio.sleep(30)
    return "late"


def ladder(*rungs: Rung[str, str], watch: Watch | None = None, clock: Clock | None = None) -> Ladder[str, str]:
    return Ladder("test", rungs, clock=clock or Clock(), watcher=watch or Watch())


async def ask(over: Ladder[str, str], ms: float = 200) -> tuple[str, str]:
    return await over.run("a", Deadline.after_ms(ms, SystemClock()))


async def test_the_best_rung_answers_and_is_named() -> None:
    assert await ask(ladder(Rung("one", fine), Rung("two", down))) == ("A", "one")


async def test_a_failing_rung_gives_way() -> None:
    assert await ask(ladder(Rung("one", down), Rung("two", fine))) == ("A", "two")


async def test_a_hanging_rung_leaves_time_for_the_next_one() -> None:
    clock = SystemClock()
    started = clock.monotonic_s()
    assert await ask(ladder(Rung("one", hangs, reserve_ms=150), Rung("two", fine, last=True))) == ("A", "two")
    assert clock.monotonic_s() - started < 0.19


async def test_the_last_rung_answers_even_after_the_deadline() -> None:
    assert await ask(ladder(Rung("one", fine), Rung("two", fine, last=True)), ms=0) == ("A", "two")


async def test_a_refusal_is_the_caller_s_and_not_a_reason_to_fall() -> None:
    async def refuses(request: str, deadline: Deadline) -> str:
        raise Invalid("bad")

    with pytest.raises(Invalid):
        await ask(ladder(Rung("one", refuses), Rung("two", fine)))


async def test_a_rung_that_fails_repeatedly_rests_and_comes_back() -> None:
    calls = 0
    healthy = False

    async def flaky(request: str, deadline: Deadline) -> str:
        nonlocal calls
        calls += 1
        if not healthy:
            raise EngineDown("no")
        return "back"

    clock, watch = Clock(), Watch()
    over = ladder(Rung("one", flaky), Rung("two", fine, last=True), watch=watch, clock=clock)
    for _ in range(10):
        await over.run("a", Deadline.after_ms(200, clock))
    assert calls == 3
    assert watch.fell == ["one"]
    healthy = True
    clock.ahead_s = 6.0
    assert await over.run("a", Deadline.after_ms(200, clock)) == ("back", "one")
    assert watch.rose == ["one"]


async def test_when_every_rung_fails_the_last_reason_is_told() -> None:
    with pytest.raises(EngineDown, match="no"):
        await ask(ladder(Rung("one", down), Rung("two", down)))


async def test_after_its_rest_a_rung_is_tried_by_one_request_while_the_others_go_on() -> None:
    clock, tried = Clock(), 0

    async def silent(request: str, deadline: Deadline) -> str:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0.02)
        raise EngineDown("silent")

    over = ladder(Rung("one", silent), Rung("two", fine, last=True), clock=clock)
    for _ in range(3):
        await ask(over)
    clock.ahead_s += 5.1
    await asyncio.gather(*(ask(over) for _ in range(5)))
    assert tried == 4


async def test_a_rung_that_says_when_to_come_again_rests_no_longer_than_that() -> None:
    clock, tried = Clock(), 0

    async def resting(request: str, deadline: Deadline) -> str:
        nonlocal tried
        tried += 1
        raise EngineDown("rests", retry_after_s=1.0)

    over = ladder(Rung("one", resting), Rung("two", fine, last=True), clock=clock)
    for _ in range(4):
        await ask(over)
    assert tried == 3
    clock.ahead_s += 1.1
    await ask(over)
    assert tried == 4
