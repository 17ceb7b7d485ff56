"""One generator process: holds sockets and connections, sends on schedule, and times from the scheduled arrival.

It takes one JSON command a line on stdin and answers each with one JSON object a line on stdout. The loop
is open: what the server is slow to answer does not slow what is sent, so waiting counts (no coordinated omission).
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
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import uvloop

from load import traffic
from load.wire import BINARY, Http, Socket, Verdict, frame, post

CONNECTING_MAX = 64
"""Handshakes at once from each source address, below the server's cap on half-open connections."""
SOURCES = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
GRACE_S = 6.0
"""How long the last answers are waited for; what is not there by then is an error."""
STEP_S = 0.001


@dataclass(slots=True)
class Tally:
    """What happened to the requests of one drive: (second of arrival, milliseconds) by verdict."""

    began_s: float
    ms: dict[str, array[float]] = field(default_factory=lambda: {"ok": array("d"), "shed": array("d")})
    second: dict[str, array[int]] = field(default_factory=lambda: {"ok": array("i"), "shed": array("i")})
    codes: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    errors: int = 0

    def add(self, arrived_s: float, verdict: Verdict, code: str) -> None:
        if verdict == "error":
            self.errors += 1
        else:
            self.ms[verdict].append((time.perf_counter() - arrived_s) * 1000.0)
            self.second[verdict].append(int(arrived_s - self.began_s))
        if code and verdict != "ok":
            self.codes[code] += 1

    def summary(self) -> dict[str, Any]:
        """Counts, percentiles, and each second's answers."""
        found: dict[str, Any] = {"sent": self.sent, "errors": self.errors, "codes": dict(self.codes)}
        for verdict, values in self.ms.items():
            found[verdict] = {"count": len(values), **_percentiles(values)}
            seconds: dict[int, list[float]] = {}
            for second, value in zip(self.second[verdict], values, strict=True):
                seconds.setdefault(second, []).append(value)
            found[verdict]["seconds"] = {
                second: {"count": len(ms), **_percentiles(ms)} for second, ms in sorted(seconds.items())
            }
        return found


def _percentiles(values: array[float] | list[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"p{share}_ms": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 95, 99)}


class Worker:
    """The held connections and what is in flight over them."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self._idle: deque[Http] = deque()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._flight: dict[int, float] = {}
        self._next = 0
        self._tally = Tally(0.0)
        self._then: dict[int, Callable[[], None]] = {}

    async def hold(self, command: dict[str, Any]) -> dict[str, Any]:
        """Open sockets and connections, from several source addresses, and keep them."""
        self._host, self._port, self._key = command["host"], command["port"], command["key"]
        self._echo = command.get("echo", False)
        began = time.perf_counter()
        free = {source: asyncio.Semaphore(CONNECTING_MAX) for source in SOURCES}
        numbers = range(len(self.sockets), len(self.sockets) + command["sockets"])
        await asyncio.gather(*(self._open(number, command["worlds"], free) for number in numbers))
        for number in range(command["connections"]):
            await self._connect(number)
        return {"sockets": len(self.sockets), "seconds": time.perf_counter() - began}

    async def drive(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send streams of traffic at given rates for a while, each by a Poisson process of its own."""
        self._tally = Tally(time.perf_counter())
        self._flight.clear()
        chance = random.Random(command["seed"])
        streams = [self._stream(spec, command["seconds"], chance) for spec in command["streams"]]
        gc.freeze()  # ten thousand connections would stop the generator each time the collector looks at them
        cpu = _cpu_s()
        lag = await asyncio.gather(*streams)
        cpu = (_cpu_s() - cpu) / command["seconds"]
        await self._settle()
        closed = sum(socket.closed for socket in self.sockets)
        return {**self._tally.summary(), "late_ms": max(lag) * 1000.0, "closed": closed, "cpu_share": cpu}

    async def ingest(self, command: dict[str, Any]) -> dict[str, Any]:
        """Keep `window` batches of events in flight on each socket; the next is sent when one is acknowledged."""
        self._tally = Tally(time.perf_counter())
        until = self._tally.began_s + command["seconds"]
        body = traffic.events(command["batch"], seed=command["seed"])

        def send(socket: Socket) -> None:
            if time.perf_counter() < until:
                number = self._begin(time.perf_counter())
                self._then[number] = partial(send, socket)
                socket.send(frame(traffic.post_events(number, body, seed=command["seed"]), opcode=BINARY))

        for socket in self.sockets[: command.get("sockets", len(self.sockets))]:
            for _ in range(command["window"]):
                send(socket)
        await asyncio.sleep(command["seconds"])
        acknowledged = len(self._tally.ms["ok"]) * command["batch"]
        taken = time.perf_counter() - self._tally.began_s
        await self._settle()
        return {**self._tally.summary(), "events_per_s": acknowledged / taken}

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
        until = time.perf_counter() + GRACE_S
        while self._flight and time.perf_counter() < until:  # noqa: ASYNC110  # a hot path should signal nothing
            await asyncio.sleep(0.01)
        self._tally.errors += len(self._flight)
        self._tally.codes["unanswered"] += len(self._flight)
        self._flight.clear()
        self._then.clear()

    async def _stream(self, spec: dict[str, Any], seconds: float, chance: random.Random) -> float:
        """Send one stream; the longest that the generator itself was late, in seconds."""
        send = self._sender(spec, chance)
        began = time.perf_counter()
        at = began + chance.expovariate(spec["per_s"])
        late = 0.0
        while at < began + seconds:
            now = time.perf_counter()
            while at <= now:
                late = max(late, now - at)
                send(at)
                at += chance.expovariate(spec["per_s"])
            await asyncio.sleep(min(STEP_S, max(0.0, at - time.perf_counter())))
        return late

    def _sender(self, spec: dict[str, Any], chance: random.Random) -> Callable[[float], None]:
        if spec["face"] == "http":
            requests = [post(path, body, key=self._key) for path, body in traffic.requests(spec)]
            return lambda at: self._request(at, chance.choice(requests))
        live = self.sockets[: spec.get("sockets", len(self.sockets))]
        make = traffic.messages(spec)

        def send(at: float) -> None:
            number = self._begin(at)
            payload, packed = make(number, chance)
            chance.choice(live).send(frame(payload, opcode=BINARY if packed else 1))

        return send

    def _request(self, at: float, request: bytes) -> None:
        number = self._begin(at)
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
        """The server closes what is idle for long; a client then opens another."""
        if connection in self._idle:
            self._idle.remove(connection)
        task = asyncio.create_task(self._connect(len(self._connecting)))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, number: int) -> None:
        source = SOURCES[number % len(SOURCES)]
        make = partial(Http, self._answered, self._freed, self._lost)
        _, connection = await asyncio.get_running_loop().create_connection(
            make, self._host, self._port, local_addr=(source, 0)
        )
        self._freed(connection)

    async def _open(self, number: int, worlds: int, free: dict[str, asyncio.Semaphore]) -> None:
        source = SOURCES[number % len(SOURCES)]
        hello = {"token": self._key, "world": traffic.world(number % worlds)}
        first = frame(json.dumps({"id": "0", "op": "hello", "data": hello}).encode())
        path = "/echo" if self._echo else "/v1/link"
        async with free[source]:
            make = partial(Socket, first, self._answered, path=path, echo=self._echo)
            _, socket = await asyncio.get_running_loop().create_connection(
                make, self._host, self._port, local_addr=(source, 0)
            )
            async with asyncio.timeout(30):
                await socket.opened
        self.sockets.append(socket)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _serve() -> None:
    worker = Worker()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        reply = await getattr(worker, command.pop("do"))(command)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
