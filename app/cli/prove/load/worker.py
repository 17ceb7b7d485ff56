"""One generator process: holds sockets and connections, sends on schedule, and times from the scheduled arrival.

It takes one order a line on stdin and answers each with one JSON object a line on stdout. The loop is open:
what the server is slow to answer does not slow what is sent, so waiting counts (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec
import uvloop

from app.cli.prove.load import traffic
from app.cli.prove.load.orders import (
    Churn,
    Drive,
    Found,
    Hold,
    Ingest,
    Opened,
    Second,
    Stream,
    answers,
    percentiles,
)  # fmt: skip
from app.cli.prove.load.wire import BINARY, Http, Socket, Verdict, frame, post

HOST = "127.0.0.1"
CONNECTING_MAX = 64
"""Handshakes at once from each source address, below the server's cap on half-open connections."""
SOURCES = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
HELLO_S_MAX = 30.0
GRACE_S = 6.0
"""How long the last answers are waited for; what is not there by then is an error."""
STEP_S = 0.001

_orders = msgspec.json.Decoder(Hold | Drive | Ingest | Churn)


@dataclass(slots=True)
class Tally:
    """What happened to the requests of one drive: (second of arrival, milliseconds) by verdict."""

    began_s: float
    ms: dict[str, array[float]] = field(default_factory=lambda: {"ok": array("d"), "shed": array("d")})
    second: array[int] = field(default_factory=lambda: array("i"))
    codes: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    errors: int = 0

    def add(self, arrived_s: float, verdict: Verdict, code: str) -> None:
        """Note one answer."""
        if verdict == "error":
            self.errors += 1
        else:
            self.ms[verdict].append((time.perf_counter() - arrived_s) * 1000.0)
        if verdict == "ok":
            self.second.append(int(arrived_s - self.began_s))
        elif code:
            self.codes[code] += 1

    def found(self) -> Found:
        """Counts, percentiles, and each second's good answers."""
        seconds: dict[int, list[float]] = {}
        for second, value in zip(self.second, self.ms["ok"], strict=True):
            seconds.setdefault(second, []).append(value)
        return Found(
            sent=self.sent,
            errors=self.errors,
            codes=dict(self.codes),
            ok=answers(list(self.ms["ok"])),
            shed=answers(list(self.ms["shed"])),
            seconds=tuple(
                Second(second=second, count=len(ms), **percentiles(ms)) for second, ms in sorted(seconds.items())
            ),
        )


class Worker:
    """The held connections and what is in flight over them."""

    def __init__(self) -> None:
        self._sockets: list[Socket] = []
        self._idle: deque[Http] = deque()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._flight: dict[int, float] = {}
        self._next = 0
        self._tally = Tally(0.0)
        self._then: dict[int, Callable[[], None]] = {}

    async def obey(self, order: Hold | Drive | Ingest | Churn) -> Found | Opened:
        """Do one order."""
        match order:
            case Hold():
                return await self._hold(order)
            case Drive():
                return await self._drive(order)
            case Ingest():
                return await self._ingest(order)
            case Churn():
                return await self._churn(order)

    async def _hold(self, order: Hold) -> Opened:
        """Open sockets and connections, from several source addresses, and keep them."""
        self._order = order
        self._free = {source: asyncio.Semaphore(CONNECTING_MAX) for source in SOURCES}
        began_s, already = time.perf_counter(), len(self._sockets)
        opening = [
            asyncio.create_task(self._open(already + number, began_s + order.over_s * number / order.sockets))
            for number in range(order.sockets)
        ]
        opened = await asyncio.gather(*opening)
        for number in range(order.connections):
            await self._connect(number)
        return self._opened(opened)

    async def _churn(self, order: Churn) -> Opened:
        """One socket leaves and one comes, on schedule."""
        began_s, coming = time.perf_counter(), []
        for number in range(int(order.seconds * order.per_s)):
            due_s = began_s + number / order.per_s
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            if self._sockets:
                self._sockets.pop(0).close()
            coming.append(asyncio.create_task(self._open(number, due_s)))
        return self._opened(await asyncio.gather(*coming))

    def _opened(self, took_ms: list[float | None]) -> Opened:
        times = [one for one in took_ms if one is not None]
        return Opened(held=len(self._sockets), failed=len(took_ms) - len(times), hello=answers(times))

    async def _drive(self, order: Drive) -> Found:
        """Send streams of traffic at given rates for a while, each by a Poisson process of its own."""
        self._tally = Tally(time.perf_counter())
        self._flight.clear()
        chance = random.Random(order.seed)  # noqa: S311  # a repeatable draw
        streams = [self._stream(stream, order.seconds, chance) for stream in order.streams]
        gc.freeze()  # ten thousand connections would stop the generator each time the collector looks at them
        cpu_s = _cpu_s()
        late_s = await asyncio.gather(*streams)
        cpu_share = (_cpu_s() - cpu_s) / order.seconds
        await self._settle()
        closed = sum(socket.closed for socket in self._sockets)
        return msgspec.structs.replace(
            self._tally.found(), late_ms=max(late_s, default=0.0) * 1000.0, closed=closed, cpu_share=cpu_share
        )

    async def _ingest(self, order: Ingest) -> Found:
        """Keep batches of events in flight on each socket; the next is sent when one is acknowledged."""
        self._tally = Tally(time.perf_counter())
        until_s = self._tally.began_s + order.seconds
        body = traffic.packed(traffic.events(order.batch, seed=order.seed))

        def send(socket: Socket) -> None:
            if time.perf_counter() < until_s:
                number = self._begin(time.perf_counter())
                self._then[number] = partial(send, socket)
                socket.send(frame(traffic.post_events(number, body, seed=order.seed), opcode=BINARY))

        for socket in self._sockets[: order.sockets or None]:
            for _ in range(order.window):
                send(socket)
        await asyncio.sleep(order.seconds)
        acknowledged = len(self._tally.ms["ok"]) * order.batch
        taken_s = time.perf_counter() - self._tally.began_s
        await self._settle()
        return msgspec.structs.replace(self._tally.found(), events_per_s=acknowledged / taken_s)

    def _begin(self, arrived_s: float) -> int:
        self._next += 1
        self._flight[self._next] = arrived_s
        self._tally.sent += 1
        return self._next

    def _answered(self, id: int, verdict: Verdict, code: str) -> None:
        arrived_s = self._flight.pop(id, None)
        if arrived_s is not None:
            self._tally.add(arrived_s, verdict, code)
        then = self._then.pop(id, None)
        if then is not None:
            then()

    async def _settle(self) -> None:
        until_s = time.perf_counter() + GRACE_S
        while self._flight and time.perf_counter() < until_s:  # noqa: ASYNC110  # a hot path should signal nothing
            await asyncio.sleep(0.01)
        if self._flight:
            self._tally.errors += len(self._flight)
            self._tally.codes["unanswered"] += len(self._flight)
        self._flight.clear()
        self._then.clear()

    async def _stream(self, stream: Stream, seconds: float, chance: random.Random) -> float:
        """Send one stream; the longest that the generator itself was late, in seconds."""
        send = self._sender(stream, chance)
        began_s = time.perf_counter()
        at_s = began_s + chance.expovariate(stream.per_s)
        late_s = 0.0
        while at_s < began_s + seconds:
            now_s = time.perf_counter()
            while at_s <= now_s:
                late_s = max(late_s, now_s - at_s)
                send(at_s)
                at_s += chance.expovariate(stream.per_s)
            await asyncio.sleep(min(STEP_S, max(0.0, at_s - time.perf_counter())))
        return late_s

    def _sender(self, stream: Stream, chance: random.Random) -> Callable[[float], None]:
        if stream.face == "http":
            requests = [post(path, body, key=self._order.key) for path, body in traffic.requests(stream)]
            return lambda at_s: self._request(at_s, chance.choice(requests))
        live = self._sockets[: stream.sockets or None]
        make = traffic.messages(stream)

        def send(at_s: float) -> None:
            number = self._begin(at_s)
            payload, packed = make(number, chance)
            chance.choice(live).send(frame(payload, opcode=BINARY if packed else 1))

        return send

    def _request(self, at_s: float, request: bytes) -> None:
        number = self._begin(at_s)
        if self._idle:
            self._idle.popleft().send(number, request)
        else:
            self._waiting.append((number, request))

    def _freed(self, connection: Http) -> None:
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _lost(self, connection: Http) -> None:
        """The server closes what is idle for long; a client then opens another, as long as there is a server."""
        if connection in self._idle:
            self._idle.remove(connection)
        task = asyncio.create_task(self._reconnect(len(self._connecting)))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _reconnect(self, number: int) -> None:
        with suppress(OSError):
            await self._connect(number)

    async def _connect(self, number: int) -> None:
        source = SOURCES[number % len(SOURCES)]
        make = partial(Http, self._answered, self._freed, self._lost)
        _, connection = await asyncio.get_running_loop().create_connection(
            make, HOST, self._order.port, local_addr=(source, 0)
        )
        self._freed(connection)

    async def _open(self, number: int, due_s: float) -> float | None:
        """Open one socket when it is due: milliseconds until hello was answered, None when it was not."""
        order, source = self._order, SOURCES[number % len(SOURCES)]
        hello = {"token": order.key, "world": traffic.world(number % order.worlds)}
        first = frame(json.dumps({"id": "0", "op": "hello", "data": hello}).encode())
        path = "/echo" if order.echo else "/v1/link"
        make = partial(Socket, first, self._answered, path=path, echo=order.echo)
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        try:
            async with self._free[source], asyncio.timeout(HELLO_S_MAX):
                _, socket = await asyncio.get_running_loop().create_connection(
                    make, HOST, order.port, local_addr=(source, 0)
                )
                await socket.opened
        except OSError:  # a timeout is one too
            return None
        self._sockets.append(socket)
        return (time.perf_counter() - due_s) * 1000.0


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _serve() -> None:
    worker = Worker()
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        found = await worker.obey(_orders.decode(line))
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
