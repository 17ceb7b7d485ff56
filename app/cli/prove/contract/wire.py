"""Runs the tables of frames, messages and heads against a server, and says of each case what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.cli.prove import child as children
from app.cli.prove.child import Child
from app.cli.prove.contract import drive, frames, messages, raw, slow, smuggling
from app.cli.prove.contract.world import WORLD

ANSWER_S_MAX = 5.0
PATIENCE_S = 3.5
"""Longer than the caps of the server under test."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One case: what was to come of it, and what did."""

    name: str
    want: object
    got: object


def sockets(port: int, key: str) -> list[Judged]:
    """Every handshake, frame and message."""
    children.ask(port, "POST", "/v1/world/create", {"world": "w"}, key)
    return [
        *(Judged(case.name, case.want, _shaken(port, case)) for case in frames.handshakes()),
        *_framed(port, frames.violations(), key),
        *_framed(port, frames.readable(), key),
        *_framed(port, messages.greetings(key), ""),
        *_framed(port, messages.requests(key), key),
    ]


def heads(port: int) -> list[Judged]:
    """Every request of the smuggling set."""
    return [
        Judged(case.name, case.statuses, tuple(one.status for one in raw.answers(port, case.data)))
        for case in smuggling.ALL
    ]


def _serves(port: int, key: str) -> bool:
    """Whether a client that is not slow is served."""
    started_s = time.monotonic()
    status, _ = children.ask(port, "POST", "/v1/world/describe", {"world": WORLD}, key)
    return status == 200 and time.monotonic() - started_s < ANSWER_S_MAX


def slow_clients(child: Child, *, each: int) -> list[Judged]:
    """The three modes of slowhttptest at once: what is still held after the caps, and who was not served."""
    lines = f"Host: a\r\nAuthorization: Bearer {child.key}\r\n".encode()
    modes = (
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nX-A: ", b"a"),
        (b"POST /v1/world/describe HTTP/1.1\r\n" + lines + b"Content-Length: 4096\r\n\r\n{", b" "),
        (b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 200, b""),
    )
    found = slow.still_held(
        child.port,
        modes,
        each=each,
        for_s=PATIENCE_S,
        held=child.descriptors,
        serves=lambda: _serves(child.port, child.key),
    )
    return [Judged(f"{len(modes) * each} slow in head, body or reading", (0, 0), found)]


def _shaken(port: int, case: frames.Case) -> int | None:
    answers = raw.answers(port, case.data, quiet_s=0.05)
    return answers[0].status if answers else None


def _framed(port: int, cases: Iterable[frames.Case], key: str) -> Iterator[Judged]:
    """Each case on a socket of its own, after a good hello where there is a key."""
    for case in cases:
        with raw.connected(port) as stream:
            if key:
                drive.greeted(stream, key)
            else:
                drive.shaken(stream)
            stream.send(case.data)
            yield Judged(case.name, case.want, _outcome(stream, case.want))


def _outcome(stream: raw.Stream, want: int | str) -> object:
    """The code of the close where that is wanted, else what the first message says."""
    heard = raw.heard(stream, wait_s=ANSWER_S_MAX, messages=100 if isinstance(want, int) else 1)
    if isinstance(want, int) or not heard.messages:
        return heard.code
    opcode, body = heard.messages[0]
    if opcode == raw.PONG:
        return "pong"
    reply = json.loads(body)
    return frames.SAID if reply["ok"] else reply["error"]["code"]
