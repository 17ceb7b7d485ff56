"""Sends many requests over all four ways in (HTTP and socket, JSON and msgpack) and says how each was answered.

It knows how a request travels, not what is in it.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from app.cli.prove.contract import messages, raw

BATCH = 32
"""Requests in flight on a socket; below `inflight_max`."""
GONE = "gone"
"""The connection ended, or no answer came."""
CODECS: Mapping[bool, Any] = {False: msgspec.json, True: msgspec.msgpack}


@dataclass(frozen=True, slots=True)
class Told:
    """The code of the error, or `ok`, and the reply's data."""

    code: str
    data: Any = None


class Http:
    """One connection that asks one request after the other."""

    def __init__(self, port: int, key: str, *, packed: bool) -> None:
        self._connection = http.client.HTTPConnection(raw.HOST, port, timeout=30)
        self._codec = CODECS[packed]
        kind = "application/msgpack" if packed else "application/json"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}

    def ask(self, asked: Sequence[tuple[str, Any]]) -> list[Told]:
        """How each (op, data) was answered."""
        return [self._one(op, data) for op, data in asked]

    def _one(self, op: str, data: Any) -> Told:
        try:
            self._connection.request("POST", f"/v1/{op.replace('.', '/', 1)}", self._codec.encode(data), self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Told(GONE)
        if answer.status == http.HTTPStatus.OK:
            return Told("ok", self._codec.decode(body))
        return Told(msgspec.json.decode(body)["code"])

    def close(self) -> None:
        self._connection.close()


class Socket:
    """One session without a world, so that nothing is pushed."""

    def __init__(self, stream: raw.Stream, *, packed: bool) -> None:
        self._stream = stream
        self._codec = CODECS[packed]
        self._opcode = raw.BINARY if packed else raw.TEXT

    def ask(self, asked: Sequence[tuple[str, Any]]) -> list[Told]:
        """How each (op, data) was answered, in order."""
        found: list[Told] = []
        for at in range(0, len(asked), BATCH):
            found += self._batch(asked[at : at + BATCH])
        return found

    def _batch(self, asked: Sequence[tuple[str, Any]]) -> list[Told]:
        frames = [{"id": str(number), "op": op, "data": data} for number, (op, data) in enumerate(asked)]
        self._stream.send(b"".join(raw.frame(self._opcode, self._codec.encode(frame)) for frame in frames))
        told: dict[str, Told] = {}
        while len(told) < len(asked):
            heard = raw.heard(self._stream, wait_s=30, messages=1)
            if not heard.messages:
                break
            reply = self._codec.decode(heard.messages[0][1])
            if "ok" in reply:
                told[reply["id"]] = _told(reply)
        return [told.get(frame["id"], Told(GONE)) for frame in frames]


def _told(reply: Mapping[str, Any]) -> Told:
    return Told("ok", reply["data"]) if reply["ok"] else Told(reply["error"]["code"])


@contextmanager
def faces(port: int, key: str) -> Iterator[dict[str, Http | Socket]]:
    """All four ways in, by name."""
    https = {name: Http(port, key, packed=packed) for name, packed in (("HTTP JSON", False), ("HTTP msgpack", True))}
    with raw.connected(port) as plain, raw.connected(port) as packed:
        sockets = {
            "socket JSON": greeted(plain, key, packed=False),
            "socket msgpack": greeted(packed, key, packed=True),
        }
        yield {**https, **sockets}
    for one in https.values():
        one.close()


def greeted(stream: raw.Stream, key: str, *, packed: bool = False) -> Socket:
    """A session on the stream."""
    shaken(stream)
    stream.send(messages.hello(key, format="msgpack" if packed else "json"))
    raw.heard(stream, wait_s=raw.WAIT_S_MAX, messages=1)
    return Socket(stream, packed=packed)


def shaken(stream: raw.Stream) -> None:
    """Do the handshake of a WebSocket."""
    stream.send(raw.head())
    answer = raw.answer(stream, raw.WAIT_S_MAX)
    if answer is None or answer.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
        raise OSError("the server shook no hands")
