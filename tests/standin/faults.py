"""Every way in which a provider, or a proxy before it, has been seen to fail; each breaks the protocol in one place.

It knows what an answer looks like under each fault, streamed and whole. It does not know a vendor's protocol.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from tests.standin import connection as http
from tests.standin.answers import Speaker
from tests.standin.connection import Connection

Fault = Literal[
    "none", "500", "429", "429_long", "401", "402", "hang", "refuse", "cut", "eof", "no_usage", "json", "broken_json",
    "garbage", "error_event", "redirect", "endless", "stall",
]  # fmt: skip
FAULTS: tuple[Fault, ...] = Fault.__args__[1:]  # type: ignore[attr-defined]  # the literals of an alias, without none
RETRY_AFTER_S = 1
RETRY_AFTER_LONG_S = 3_600
STATUSES: dict[Fault, tuple[int, str, str]] = {
    "500": (500, "server_error", "the model fell over"),
    "429": (429, "rate_limit_exceeded", "slow down"),
    "429_long": (429, "rate_limit_exceeded", "slow down"),
    "402": (402, "insufficient_quota", "you exceeded your current quota, please check your plan and billing details"),
}
"""Status, code and message of the faults that are an answer of their own."""
WAITS: dict[Fault, int] = {"429": RETRY_AFTER_S, "429_long": RETRY_AFTER_LONG_S}
EARLY: tuple[Fault, ...] = ("cut", "eof", "stall", "error_event", "broken_json")
"""Faults that strike after the fifth word, and where nothing is said in the middle of the first call."""
EARLY_WORDS = 5
HALF_A_CALL = 2
"""Events: the call's name and half of what it is given."""
GARBAGE = b"\x00\xff<html>what</html>\n\n"
NO_COMPLETION = b'{"object": "chat.completion", "choices": []}'
DRONE = " and on" * 12
JSON = {"content-type": "application/json"}


async def events(speaker: Speaker, fault: Fault) -> AsyncIterator[bytes]:
    """The events of a stream, as far as the fault lets it come."""
    for event in speaker.opening():
        yield event
    pieces = speaker.answer.pieces
    for piece in pieces[:EARLY_WORDS] if fault in EARLY else pieces:
        yield speaker.piece(piece)
    if fault in EARLY and not pieces:
        for event in list(speaker.calls())[:HALF_A_CALL]:
            yield event
    while fault == "endless":
        await asyncio.sleep(0)
        yield speaker.piece(DRONE)
    if fault == "broken_json":
        yield speaker.unreadable
    elif fault == "error_event":
        yield speaker.failing()
    elif fault not in EARLY:
        for event in ending(speaker, usage=fault != "no_usage"):
            yield event


def ending(speaker: Speaker, *, usage: bool) -> Iterator[bytes]:
    """The calls and the proper end."""
    yield from speaker.calls()
    yield from speaker.closing(usage=usage)


def whole_body(speaker: Speaker, fault: Fault) -> bytes:
    """The answer in one piece; early faults have come as far as the fifth word, so has one without a finish."""
    if fault == "error_event":
        return json.dumps(speaker.error(500, "server_error", "overloaded")).encode()
    text = "".join(speaker.answer.pieces[:EARLY_WORDS]) if fault in EARLY else speaker.answer.text
    value = speaker.whole(text, finished=fault != "eof", usage=fault not in ("eof", "no_usage"))
    body = json.dumps(value).encode()
    return body[: len(body) // 2] if fault == "broken_json" else body


async def send_whole(connection: Connection, body: bytes, fault: Fault, headers: dict[str, str]) -> bool:
    """Send an answer in one piece; false where it never becomes whole, and the client has to leave."""
    headers = {**JSON, **headers}
    if fault in ("cut", "stall"):
        await connection.send(http.whole(200, body, headers)[: -len(body) // 2])
        if fault == "cut":
            connection.close()
        return fault == "cut"
    if fault == "endless":
        await connection.send(http.head(200, {**headers, "transfer-encoding": "chunked"}))
        await connection.send(http.chunk(body[:-1]))
        while True:
            await connection.send(http.chunk(b" " * 4_096))
    await connection.send(http.whole(200, body, headers))
    return True
