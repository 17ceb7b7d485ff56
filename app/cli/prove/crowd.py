"""A crowd: many clients at once, half of them on sockets and half over HTTP, each sending as fast as it is answered.

It counts who was let in, who was refused and whether the refusal said when to come again. It knows no suite.
"""

from __future__ import annotations

import asyncio
import http
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.cli.prove.child import Child
from app.core.errors import Broken

ANSWER_S_MAX = 30.0
DEADLINE_MS = 20_000
BUSY = http.HTTPStatus.SERVICE_UNAVAILABLE
AGAIN_S = 0.1
TRIES_MAX = 100
STATUSES = {"rate_limited": http.HTTPStatus.TOO_MANY_REQUESTS, "overloaded": BUSY}


@dataclass(slots=True)
class Tally:
    """What a crowd was answered."""

    admitted: int = 0
    refused: int = 0
    unexplained: int = 0
    """Refusals that did not say when to come again."""
    failed: int = 0
    """Answers that are neither: no error but a rate limit is due here."""
    slowest_s: float = 0.0
    replies: list[Any] = field(default_factory=list)

    def note(self, answer: _Answer, seconds: float) -> None:
        self.slowest_s = max(self.slowest_s, seconds)
        if answer.status == http.HTTPStatus.OK:
            self.admitted += 1
            self.replies.append(answer.reply)
        elif answer.status == http.HTTPStatus.TOO_MANY_REQUESTS:
            self.refused += 1
            self.unexplained += not answer.retry_after
        else:
            self.failed += 1


class _Answer(NamedTuple):
    """A status as HTTP has it, when to come again, and the reply."""

    status: int
    retry_after: object
    reply: Any


@dataclass(frozen=True, slots=True)
class Ask:
    """One message, as a socket names it."""

    op: str
    data: object

    @property
    def path(self) -> str:
        return f"/v1/{self.op.replace('.', '/', 1)}"


def run(children: Sequence[Child], asks: Sequence[Sequence[Ask]], *, sockets: bool = True) -> list[Tally]:
    """Each of `asks` is one client's messages, in order; clients are dealt out to the servers. A tally a server."""

    async def all_at_once() -> list[Tally]:
        tallies = [Tally() for _ in children]
        begin = asyncio.Barrier(len(asks))
        tasks = []
        for number, mine in enumerate(asks):
            at = number % len(children)
            face = _by_socket if sockets and number // len(children) % 2 else _by_http
            tasks.append(asyncio.create_task(face(children[at], mine, begin, tallies[at])))
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, Exception):
                raise Broken(f"a client was not answered: {done!r}", hint="see the server's log") from done
        return tallies

    return asyncio.run(all_at_once())


async def _by_http(child: Child, asks: Sequence[Ask], begin: asyncio.Barrier, tally: Tally) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", child.port)

    async def send(ask: Ask, _id: str) -> _Answer:
        body = json.dumps(ask.data).encode()
        head = f"POST {ask.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {child.key}\r\n"
        head += f"Innkeeper-Deadline-Ms: {DEADLINE_MS}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        status, fields, answer = await _answer(reader)
        return _Answer(status, fields.get("retry-after"), json.loads(answer))

    try:
        await _together(begin)
        await _send_all(asks, send, tally)
    finally:
        writer.close()


async def _by_socket(child: Child, asks: Sequence[Ask], begin: asyncio.Barrier, tally: Tally) -> None:
    from websockets.asyncio.client import connect

    async with connect(f"ws://127.0.0.1:{child.port}/v1/link", open_timeout=ANSWER_S_MAX) as socket:

        async def send(ask: Ask, id: str) -> _Answer:
            frame = {"id": id, "op": ask.op, "deadline_ms": DEADLINE_MS, "data": ask.data}
            await socket.send(json.dumps(frame))
            while "chunk" in (reply := json.loads(await socket.recv())):
                pass
            error = reply.get("error", {})
            status = 200 if reply["ok"] else STATUSES.get(error["code"], 500)
            return _Answer(status, error.get("retry_after_s"), reply.get("data"))

        await socket.send(json.dumps({"id": "0", "op": "hello", "data": {"token": child.key}}))
        await socket.recv()
        await _together(begin)
        await _send_all(asks, send, tally)


async def _send_all(asks: Sequence[Ask], send: Callable[[Ask, str], Awaitable[_Answer]], tally: Tally) -> None:
    """Send each message until it is answered; one that a busy server told to come again is sent again."""
    for number, ask in enumerate(asks):
        started_s = time.monotonic()
        for again in range(TRIES_MAX):
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await send(ask, f"{number}/{again}")
            if answer.status != BUSY:
                break
            await asyncio.sleep(AGAIN_S)
        tally.note(answer, time.monotonic() - started_s)


async def _together(begin: asyncio.Barrier) -> None:
    """Wait until every client is connected."""
    async with asyncio.timeout(ANSWER_S_MAX):
        await begin.wait()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """(status, header fields in lower case, body)."""
    status = int((await reader.readline()).split()[1])
    fields = {}
    while line := (await reader.readline()).decode().strip():
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return status, fields, await reader.readexactly(int(fields.get("content-length", "0")))
