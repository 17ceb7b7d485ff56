"""Apache Pulsar under the same port: shared subscriptions, retries counted by the broker, a topic of dead letters.

Written against the client library and not yet proven against a broker; the contract suite runs where
INNKEEPER_TEST_PULSAR_URL names one. The broker bounds the lag (backlog quota) and tells it to nobody here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import pulsar
from pulsar import asyncio as pulsar_asyncio

from app.core.errors import Invalid, Overloaded, StoreDown
from app.core.ports import DeadLetter, Delivery, Entry, Log
from app.stores.embedded.streams import WAIT_MS_MAX, never

OPERATION_S = 4
CALL_S = 5.0
"""Ours is the later deadline: the library does not expect its futures to be canceled."""
CONNECT_MS = 1_000
REDELIVERY_MS = 100
DEFAULT_NAMESPACE = "public/default"
FULL = ("ProducerBlockedQuotaExceededError", "ProducerBlockedQuotaExceededException", "ProducerQueueIsFull")


@dataclass(slots=True)
class _Member:
    """A subscription with the messages in its hands, by place, and since when."""

    consumer: pulsar_asyncio.Consumer
    held: dict[str, tuple[pulsar.Message, float]] = field(default_factory=dict)
    receiving: asyncio.Task[pulsar.Message] | None = None


class PulsarStream:
    """Implements app.core.ports.Stream over a broker at `pulsar://HOST:PORT/TENANT/NAMESPACE`."""

    def __init__(self, url: str, *, tries_max: int, retry_ms: int, log: Log) -> None:
        parsed = urlsplit(url)
        self._namespace = parsed.path.strip("/") or DEFAULT_NAMESPACE
        if self._namespace.count("/") != 1:
            raise Invalid(f"stream.url names {self._namespace!r}", hint="write pulsar://HOST:6650/TENANT/NAMESPACE")
        self._address = f"{parsed.scheme}://{parsed.netloc}"
        self._tries_max = tries_max
        self._retry_s = retry_ms / 1000.0
        self._log = log
        self._client: pulsar_asyncio.Client | None = None
        self._producers: dict[str, pulsar_asyncio.Producer] = {}
        self._members: dict[tuple[str, str], _Member] = {}
        self._opening = asyncio.Lock()
        self.fault = ""
        """Why the last call failed; empty after one that succeeded."""

    async def publish(self, tenant: str, name: str, entries: Sequence[Entry]) -> None:
        """As the port says, but entry by entry: Pulsar has no atomic batch without transactions."""
        producer = await self._producer(self._topic(tenant, name))
        async with self._call():
            await asyncio.gather(*(producer.send(entry.body, properties={"id": entry.id}) for entry in entries))

    async def last(self, tenant: str, name: str) -> str | None:
        async with self._call() as client:
            topic = self._topic(tenant, name)
            reader = await client.create_reader(topic, pulsar.MessageId.latest, start_message_id_inclusive=True)
            found = (await reader.read_next()).properties()["id"] if await reader.has_message_available() else None
            await reader.close()
        return found

    async def join(self, tenant: str, name: str, group: str) -> None:
        await self._member(self._topic(tenant, name), group)

    async def read(
        self, tenant: str, name: str, group: str, member: str, *, entries_max: int, wait_ms: int
    ) -> Sequence[Delivery]:
        joined = await self._member(self._topic(tenant, name), group)
        until_s = time.monotonic() + min(wait_ms, WAIT_MS_MAX) / 1000.0
        found: list[Delivery] = []
        while len(found) < entries_max:
            await self._give_up(joined)
            left_s = 0.0 if found else max(0.0, until_s - time.monotonic())
            message = await self._receive(joined, min(left_s, self._retry_s))
            if message is None:
                if found or time.monotonic() >= until_s:
                    break
                continue
            delivery = self._hold(joined, message)
            if delivery.tries > self._tries_max:
                await self.bury(tenant, name, group, delivery, never(self._tries_max))
            else:
                found.append(delivery)
        return found

    async def done(self, tenant: str, name: str, group: str, deliveries: Sequence[Delivery]) -> None:
        joined = await self._member(self._topic(tenant, name), group)
        held = [joined.held.pop(delivery.place, None) for delivery in deliveries]
        async with self._call():
            await asyncio.gather(*(joined.consumer.acknowledge(message) for message, _since in filter(None, held)))

    async def bury(self, tenant: str, name: str, group: str, delivery: Delivery, reason: str) -> None:
        producer = await self._producer(self._topic(tenant, f"{name}.dead"))
        tries = min(delivery.tries, self._tries_max)
        properties = {"id": delivery.entry.id, "group": group, "tries": str(tries), "reason": reason}
        async with self._call():
            await producer.send(delivery.entry.body, properties=properties)
        await self.done(tenant, name, group, [delivery])

    async def dead(self, tenant: str, name: str, *, entries_max: int) -> Sequence[DeadLetter]:
        found: list[DeadLetter] = []
        async with self._call() as client:
            topic = self._topic(tenant, f"{name}.dead")
            reader = await client.create_reader(topic, pulsar.MessageId.earliest)
            while len(found) < entries_max and await reader.has_message_available():
                message = await reader.read_next()
                told = message.properties()
                entry = Entry(id=told["id"], body=message.data())
                found.append(
                    DeadLetter(entry=entry, group=told["group"], tries=int(told["tries"]), reason=told["reason"])
                )
            await reader.close()
        return found

    async def lag(self, tenant: str, name: str, group: str) -> int | None:
        return None

    async def close(self) -> None:
        for joined in self._members.values():
            if joined.receiving is not None:
                joined.receiving.cancel()
                await asyncio.gather(joined.receiving, return_exceptions=True)
        if self._client is not None:
            async with self._call() as client:
                await client.close()

    def _topic(self, tenant: str, name: str) -> str:
        return f"persistent://{self._namespace}/{quote(tenant, safe='')}.{quote(name, safe='')}"

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[pulsar_asyncio.Client]:
        """The client, under a deadline, its failures in our words."""
        if self._client is None:
            self._client = pulsar_asyncio.Client(
                self._address, operation_timeout_seconds=OPERATION_S, connection_timeout_ms=CONNECT_MS
            )
        try:
            async with asyncio.timeout(CALL_S):
                yield self._client
        except pulsar_asyncio.PulsarException as error:
            if error.error().name in FULL:
                raise Overloaded(f"{self._address} is full: {error}", hint="start the group's consumers") from error
            raise self._failed(str(error)) from error
        except TimeoutError as error:
            raise self._failed(f"no answer in {CALL_S:g} s") from error
        self.fault = ""

    def _failed(self, reason: str) -> StoreDown:
        if not self.fault:
            self._log.warning("pulsar.lost", broker=self._address, reason=reason)
        self.fault = f"{self._address} failed: {reason}"
        return StoreDown(self.fault, hint="it is tried again by itself")

    async def _producer(self, topic: str) -> pulsar_asyncio.Producer:
        async with self._opening:
            if topic not in self._producers:
                async with self._call() as client:
                    self._producers[topic] = await client.create_producer(topic, send_timeout_millis=OPERATION_S * 1000)
            return self._producers[topic]

    async def _member(self, topic: str, group: str) -> _Member:
        async with self._opening:
            if (topic, group) not in self._members:
                async with self._call() as client:
                    consumer = await client.subscribe(
                        topic,
                        group,
                        consumer_type=pulsar.ConsumerType.Shared,
                        initial_position=pulsar.InitialPosition.Earliest,
                        negative_ack_redelivery_delay_ms=REDELIVERY_MS,
                    )
                    self._members[topic, group] = _Member(consumer)
            return self._members[topic, group]

    async def _receive(self, joined: _Member, wait_s: float) -> pulsar.Message | None:
        """The next message. The call stays open over several reads: a canceled one would swallow its message."""
        if joined.receiving is None:
            joined.receiving = asyncio.ensure_future(joined.consumer.receive())
        await asyncio.wait({joined.receiving}, timeout=wait_s)
        if not joined.receiving.done():
            return None
        received, joined.receiving = joined.receiving, None
        async with self._call():
            return await received

    def _hold(self, joined: _Member, message: pulsar.Message) -> Delivery:
        place = str(message.message_id())
        joined.held[place] = (message, time.monotonic())
        entry = Entry(id=message.properties()["id"], body=message.data())
        return Delivery(entry=entry, place=place, tries=message.redelivery_count() + 1)

    async def _give_up(self, joined: _Member) -> None:
        """Hand back what was not acknowledged for too long; the broker delivers it again."""
        now_s = time.monotonic()
        late = [place for place, (_message, since_s) in joined.held.items() if now_s - since_s >= self._retry_s]
        for place in late:
            message, _since_s = joined.held.pop(place)
            async with self._call():
                await joined.consumer.negative_acknowledge(message)
