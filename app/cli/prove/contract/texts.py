"""Puts texts into every text field of every message, over every way in, and judges how JSON is read."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import modules
from app.cli.prove.contract import bodies, drive, raw
from app.cli.prove.contract.world import WORLD
from app.core.messages import Request

FAULTS = ("internal", drive.GONE)
ASKED = "world.describe"


@dataclass(frozen=True, slots=True)
class Told:
    """How many texts went where, and how many of them met a fault of ours."""

    asked: int
    places: int
    faults: int


def request_types() -> dict[str, type[Request]]:
    """Every message's request by operation."""
    for module in pkgutil.iter_modules(modules.__path__):
        importlib.import_module(f"{modules.__name__}.{module.name}.messages")
    return {kind.op: kind for kind in _below(Request) if getattr(kind, "op", "")}


def _below(kind: type[Request]) -> Iterator[type[Request]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def everywhere(port: int, key: str, words: Sequence[str], *, each: int, seed: int) -> Told:
    """Ask with `each` of the words in each place, over each way in."""
    drawn = random.Random(seed)  # noqa: S311  # a draw that is to be repeated
    asked = places = faults = 0
    with drive.faces(port, key) as faces:
        for op, kind in sorted(request_types().items()):
            for where, make in bodies.text_places(kind):
                places += 1
                for face in faces.values():
                    requests = [(op, _about(make(word), where)) for word in drawn.sample(words, each)]
                    answers = face.ask(requests)
                    asked += len(answers)
                    faults += sum(answer.code in FAULTS for answer in answers)
    return Told(asked, places, faults)


def _about(data: Any, where: str) -> Any:
    """The request, about the world that there is, unless the world's name is the text."""
    return data if where == ".world" else {**data, "world": WORLD}


def changed(port: int, key: str, words: Sequence[str]) -> int:
    """How many texts that were taken do not come back as they were sent, by any pair of ways in."""
    wrong = 0
    with drive.faces(port, key) as faces:
        for writer in faces.values():
            upserts = [("world.upsert", {"world": WORLD, "entities": [_entity(word)]}) for word in words]
            for word, told in zip(words, writer.ask(upserts), strict=True):
                if told.code == "ok":
                    wrong += sum(not _same(reader, word) for reader in faces.values())
    return wrong


def _entity(word: str) -> dict[str, Any]:
    """An NPC of this text alone."""
    persona = {"summary": word, "goals": [word]}
    return {
        "type": "npc", "id": word, "name": word, "tags": [word], "attributes": {word: word},
        "faction": word, "persona": persona,
    }  # fmt: skip


def _same(reader: drive.Http | drive.Socket, word: str) -> bool:
    (told,) = reader.ask([("world.get", {"world": WORLD, "id": word})])
    if told.code != "ok":
        return False
    found, sent = told.data["entity"], _entity(word)
    persona = found.pop("persona")
    return all(found[name] == value for name, value in sent.items() if name != "persona") and all(
        persona[name] == value for name, value in sent["persona"].items()
    )


def verdicts(port: int, key: str, values: Sequence[tuple[str, bytes]]) -> Mapping[str, list[bytes]]:
    """The values that were judged wrongly, as the whole body of a POST and as the data of a frame."""
    as_body = [body for verdict, body in values if _wrong(verdict, _posted(port, key, body))]
    as_data = [body for verdict, body in values if _wrong(verdict, _framed(port, key, body))]
    return {"HTTP body": as_body, "socket frame": as_data}


def _wrong(verdict: str, code: str) -> bool:
    if code in FAULTS:
        return True
    return {"y": code == "malformed", "n": code != "malformed"}.get(verdict, False)


def _posted(port: int, key: str, body: bytes) -> str:
    head = (
        f"POST /v1/world/describe HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    answers = raw.answers(port, head.encode() + body)
    return _code(answers[0].body) if answers else drive.GONE


def _code(body: bytes) -> str:
    return str(drive.CODECS[False].decode(body).get("code", "ok"))


def _framed(port: int, key: str, body: bytes) -> str:
    """A text frame that is no UTF-8 closes its socket with 1007, which is as good a refusal."""
    with raw.connected(port) as stream:
        drive.greeted(stream, key)
        stream.send(raw.frame(raw.TEXT, b'{"id":"a","op":"%s","data":%s}' % (ASKED.encode(), body)))
        heard = raw.heard(stream, wait_s=raw.WAIT_S_MAX, messages=1)
    if heard.messages:
        reply = drive.CODECS[False].decode(heard.messages[0][1])
        return "ok" if reply["ok"] else str(reply["error"]["code"])
    return "malformed" if heard.code == 1007 else drive.GONE
