"""Steady traffic of a game: threads that ask again and again, and keep what they were told and how long it took."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.cli.prove.child import REQUEST_S_MAX, Child, ask
from app.cli.prove.stage import NPC, PLAYER, WORLD
from app.core.errors import Broken

END_S_MAX = 2 * REQUEST_S_MAX


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of call: how often, by how many, under which deadline, and whether it needs the database."""

    name: str
    path: str
    data: dict[str, Any]
    pause_s: float
    deadline_ms: int
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call got; status 0 is a connection that broke."""

    kind: str
    sent_s: float
    ms: float
    status: int
    rung: str


KINDS = (
    Kind("decide", "/v1/behavior/decide", {"tick": 1, "npcs": [NPC], "rows": [[0.0] * 64]}, 0.05, 50),
    Kind("find", "/v1/path/find", {"map": "m", "starts": [[0, 0]], "goals": [[15, 15]]}, 0.1, 250),
    Kind("get", "/v1/world/get", {"id": NPC}, 0.05, 1_000),
    Kind("say", "/v1/dialogue/say", {"speaker": PLAYER, "text": "What news?"}, 0.1, 10_000, threads=3),
)


class Players:
    """Ask `child` on kept connections until `stop`; safe to read while they ask."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._answers: list[Answer] = []
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(kind,), daemon=True)
            for kind in KINDS
            for _ in range(kind.threads)
        ]
        for thread in self._threads:
            thread.start()

    def between(self, from_s: float, to_s: float, *kinds: str) -> Sequence[Answer]:
        """The calls that were sent in that time, of these kinds or of all."""
        return [one for one in list(self._answers) if from_s <= one.sent_s < to_s and (not kinds or one.kind in kinds)]

    def warm(self) -> bool:
        """Whether every thread has been answered once, so that it keeps a connection."""
        return all(
            sum(one.kind == kind.name and one.status == http.client.OK for one in list(self._answers)) > kind.threads
            for kind in KINDS
        )

    def stop(self) -> None:
        """Let each finish its call; raises Broken when one never ends."""
        self._end.set()
        for thread in self._threads:
            thread.join(END_S_MAX)
            if thread.is_alive():
                raise Broken("a call never ended", hint="see server.log")

    def _ask_on(self, kind: Kind) -> None:
        data = {"world": WORLD, **kind.data}
        if kind.name == "say":
            data["dialogue"] = open_dialogue(self._child)
        line = Kept(self._child.port, self._child.key)
        while not self._end.wait(kind.pause_s):
            sent_s = time.monotonic()
            status, answer = line.post(kind.path, data, deadline_ms=kind.deadline_ms)
            rung = answer.get("rung", "") if isinstance(answer, dict) else ""
            self._answers.append(Answer(kind.name, sent_s, (time.monotonic() - sent_s) * 1e3, status, rung))
        line.close()


class Kept:
    """One kept connection, made again after it broke."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_S_MAX)
        self._key = key

    def post(self, path: str, data: object, *, deadline_ms: int) -> tuple[int, Any]:
        """(status, decoded body); (0, reason) when the connection broke."""
        return self._ask("POST", path, json.dumps(data), deadline_ms)

    def get(self, path: str) -> tuple[int, Any]:
        return self._ask("GET", path, None, 1_000)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: str | None, deadline_ms: int) -> tuple[int, Any]:
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Innkeeper-Deadline-Ms": str(deadline_ms)}
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            return 0, repr(error)


def open_dialogue(child: Child) -> str:
    """The id of a new dialogue between the player and the NPC; raises Broken."""
    status, answer = child.post("/v1/dialogue/open", {"world": WORLD, "npc": NPC, "participants": [PLAYER]})
    if status != http.client.OK:
        raise Broken(f"dialogue.open was answered with {status}: {answer}")
    return str(answer["dialogue"])


def degraded(child: Child) -> frozenset[str]:
    """What readiness names now."""
    return frozenset(child.get("/health/ready")[1]["degraded"])


def let_through(child: Child, reader_key: str) -> list[str]:
    """Calls that were not refused as they must be, whatever else is broken: a wrong key 401, a missing scope 403."""
    found = []
    for kind in KINDS:
        data = {"world": WORLD, **kind.data, **({"dialogue": "none"} if kind.name == "say" else {})}
        found += _answered_otherwise(child, kind.path, data, "wrong" + child.key[5:], 401)
        found += _answered_otherwise(child, kind.path, data, "", 401)
    event = {"world": WORLD, "events": [{"verb": "learned", "actor": NPC, "topic": "no"}]}
    found += _answered_otherwise(child, "/v1/world/event", event, reader_key[:-1], 401)
    found += _answered_otherwise(child, "/v1/world/event", event, reader_key, 403)
    found += _answered_otherwise(child, "/v1/world/create", {"world": "other"}, reader_key, 403)
    return found


def _answered_otherwise(child: Child, path: str, data: object, key: str, must_be: int) -> list[str]:
    status, _ = ask(child.port, "POST", path, data, key)
    return [] if status == must_be else [f"{path} {status} instead of {must_be}"]


def wait_until(holds: Callable[[], bool], *, timeout_s: float) -> float | None:
    """Seconds until `holds`, None when it did not in time; a call that breaks does not hold."""
    started_s = time.monotonic()
    while time.monotonic() < started_s + timeout_s:
        with suppress(OSError, http.client.HTTPException, ValueError):
            if holds():
                return time.monotonic() - started_s
        time.sleep(0.02)
    return None
