"""Streams: every group gets every entry, in order, until it has acknowledged it or given it up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from app.core.errors import Overloaded, StoreDown
from app.core.ports import DeadLetter, Delivery, Entry, Stream
from app.stores.consume import Consumer, Limits, Place
from tests.doubles import SilentLog
from tests.stores.contracts.conftest import STREAM

RETRY_S = STREAM["retry_ms"] / 1000


def entries(*numbers: int) -> list[Entry]:
    return [Entry(id=f"e{number}", body=b"\x00body %d" % number) for number in numbers]


async def take(
    stream: Stream, tenant: str, group: str = "g", member: str = "m", entries_max: int = 10, wait_ms: int = 0
) -> Sequence[Delivery]:
    return await stream.read(tenant, "s", group, member, entries_max=entries_max, wait_ms=wait_ms)


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.entry.id for delivery in deliveries]


async def test_every_group_gets_every_entry_in_order_once_acknowledged(stream: Stream, tenant: str) -> None:
    await stream.join(tenant, "s", "g")
    await stream.join(tenant, "s", "h")
    await stream.publish(tenant, "s", entries(1, 2))
    await stream.publish(tenant, "s", entries(3))
    for group in ("g", "h"):
        found = await take(stream, tenant, group, wait_ms=500)
        while len(found) < 3:
            found = [*found, *await take(stream, tenant, group, wait_ms=500)]
        assert [delivery.entry for delivery in found] == entries(1, 2, 3)
        assert {delivery.tries for delivery in found} == {1}
        await stream.done(tenant, "s", group, found)
    await asyncio.sleep(RETRY_S * 1.5)
    assert await take(stream, tenant) == []


async def test_the_newest_entry_is_known_also_after_every_group_has_done_it(stream: Stream, tenant: str) -> None:
    assert await stream.last(tenant, "s") is None
    await stream.join(tenant, "s", "g")
    for number in range(200):
        await stream.publish(tenant, "s", entries(number))
        await stream.done(tenant, "s", "g", await take(stream, tenant, wait_ms=500))
    assert await stream.last(tenant, "s") == "e199"


async def test_a_group_that_comes_later_begins_with_what_is_kept(stream: Stream, tenant: str) -> None:
    await stream.publish(tenant, "s", entries(1, 2))
    await stream.join(tenant, "s", "g")
    await stream.join(tenant, "s", "g")
    assert ids(await take(stream, tenant, wait_ms=500))[0] == "e1"


async def test_members_of_a_group_share_the_work(stream: Stream, tenant: str) -> None:
    await stream.join(tenant, "s", "g")
    await stream.publish(tenant, "s", entries(*range(10)))
    first = await take(stream, tenant, member="a", entries_max=5)
    second = await take(stream, tenant, member="b", entries_max=5)
    assert sorted(ids(first) + ids(second)) == [f"e{number}" for number in range(10)]


async def test_a_reader_wakes_when_something_comes(stream: Stream, tenant: str) -> None:
    await stream.join(tenant, "s", "g")
    reading = asyncio.create_task(take(stream, tenant, wait_ms=3000))
    await asyncio.sleep(0.1)
    await stream.publish(tenant, "s", entries(1))
    started = time.monotonic()
    assert ids(await reading) == ["e1"]
    assert time.monotonic() - started < 1.0


async def test_a_read_does_not_wait_longer_than_it_was_asked_to(stream: Stream, tenant: str) -> None:
    started = time.monotonic()
    assert await take(stream, tenant, wait_ms=100) == []
    assert 0.08 < time.monotonic() - started < 1.0


async def test_what_a_dead_member_held_goes_to_another(stream: Stream, tenant: str) -> None:
    await stream.publish(tenant, "s", entries(1, 2))
    held = await take(stream, tenant, member="dead")
    assert ids(held) == ["e1", "e2"]
    await stream.done(tenant, "s", "g", held[:1])
    again = await take(stream, tenant, member="alive", wait_ms=2000)
    assert ids(again) == ["e2"]
    assert again[0].tries == 2


async def test_an_entry_that_nobody_finishes_becomes_a_dead_letter(stream: Stream, tenant: str) -> None:
    await stream.publish(tenant, "s", entries(1))
    seen = []
    for _ in range(STREAM["tries_max"]):
        found = await take(stream, tenant, wait_ms=2000)
        seen += [delivery.tries for delivery in found]
    assert seen == [1, 2, 3]
    assert await take(stream, tenant, wait_ms=300) == []
    (letter,) = await stream.dead(tenant, "s", entries_max=10)
    assert letter.entry == entries(1)[0]
    assert (letter.group, letter.tries) == ("g", 3)
    assert "never acknowledged" in letter.reason


async def test_dead_letters_are_bounded_and_the_newest_stay(stream: Stream, tenant: str) -> None:
    await stream.publish(tenant, "s", entries(*range(8)))
    for delivery in await take(stream, tenant):
        await stream.bury(tenant, "s", "g", delivery, f"bad {delivery.entry.id}")
    letters = await stream.dead(tenant, "s", entries_max=10)
    assert [letter.reason for letter in letters] == [f"bad e{number}" for number in range(3, 8)]
    assert await stream.lag(tenant, "s", "g") == 0


async def test_a_publisher_waits_for_the_slowest_group_and_nothing_is_lost(stream: Stream, tenant: str) -> None:
    for group in ("quick", "slow"):
        await stream.join(tenant, "s", group)
    await stream.publish(tenant, "s", entries(*range(50)))
    await stream.done(tenant, "s", "quick", await take(stream, tenant, "quick", entries_max=50))
    with pytest.raises(Overloaded, match="'s'"):
        await stream.publish(tenant, "s", entries(50))
    assert await stream.lag(tenant, "s", "slow") == 50
    first = await take(stream, tenant, "slow", entries_max=2)
    await stream.done(tenant, "s", "slow", first)
    await stream.publish(tenant, "s", entries(50, 51))
    rest = await take(stream, tenant, "slow", entries_max=50)
    assert ids([*first, *rest]) == [f"e{number}" for number in range(52)]


async def test_without_a_group_only_the_newest_are_kept(stream: Stream, tenant: str) -> None:
    for number in range(60):
        await stream.publish(tenant, "s", entries(number))
    await stream.join(tenant, "s", "late")
    assert ids(await take(stream, tenant, "late", entries_max=60)) == [f"e{number}" for number in range(10, 60)]


async def test_a_batch_that_does_not_fit_is_not_published_in_part(stream: Stream, tenant: str) -> None:
    await stream.join(tenant, "s", "g")
    with pytest.raises(Overloaded):
        await stream.publish(tenant, "s", entries(*range(51)))
    assert await take(stream, tenant) == []


def consumer(stream: Stream, tenant: str, handle: object, **limits: int) -> Consumer:
    bounds = Limits(**{"tries_max": 3, "handle_ms": 200, "down_ms": 20, **limits})
    place = Place(tenant=tenant, stream="s", group="g", member="m")
    return Consumer(stream, place, handle, limits=bounds, log=SilentLog())  # type: ignore[arg-type]  # a test's handler


async def until_dead(stream: Stream, tenant: str) -> Sequence[DeadLetter]:
    async with asyncio.timeout(10):
        while not (letters := await stream.dead(tenant, "s", entries_max=10)):  # noqa: ASYNC110  # a server sets no event
            await asyncio.sleep(0.02)
    return letters


@pytest.mark.parametrize("poison", ["raises", "hangs", "cancels itself"])
async def test_a_poisonous_entry_is_given_up_and_holds_up_no_other(stream: Stream, tenant: str, poison: str) -> None:
    told: list[str] = []

    async def handle(entry: Entry) -> None:
        told.append(entry.id)
        if entry.id == "e2":
            if poison == "raises":
                raise KeyError(entry.id)
            if poison == "hangs":
                await asyncio.sleep(60)
            raise asyncio.CancelledError

    await stream.publish(tenant, "s", entries(1, 2, 3))
    member = consumer(stream, tenant, handle, handle_ms=30)
    member.start()
    (letter,) = await until_dead(stream, tenant)
    await member.close()
    assert letter.entry.id == "e2"
    assert letter.tries == 3
    assert told.count("e2") == 3
    assert told.count("e1") == told.count("e3") == 1


async def test_an_event_that_was_published_twice_has_one_effect(stream: Stream, tenant: str) -> None:
    told: list[str] = []
    finished = asyncio.Event()

    async def handle(entry: Entry) -> None:
        told.append(entry.id)
        if entry.id == "e9":
            finished.set()

    await stream.publish(tenant, "s", [*entries(1, 2), *entries(1, 2, 9)])
    member = consumer(stream, tenant, handle)
    member.start()
    async with asyncio.timeout(10):
        await finished.wait()
    await member.close()
    assert told == ["e1", "e2", "e9"]


async def test_a_consumer_outlives_a_stream_that_is_gone_for_a_while(tenant: str) -> None:
    reads = 0

    class Flaky:
        async def read(self, *_place: str, entries_max: int, wait_ms: int) -> list[Delivery]:
            nonlocal reads
            reads += 1
            if reads < 3:
                raise StoreDown("gone")
            await asyncio.sleep(wait_ms if reads > 3 else 0)
            return [Delivery(entry=entries(1)[0], place="1", tries=1)]

        async def done(self, *_place: object) -> None: ...

    told = asyncio.Event()

    async def handle(_entry: Entry) -> None:
        told.set()

    member = consumer(Flaky(), tenant, handle)  # type: ignore[arg-type]  # only what a consumer calls
    member.start()
    async with asyncio.timeout(5):
        await told.wait()
    await member.close()
