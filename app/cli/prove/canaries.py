"""One tenant's client in suite D: it writes canaries wherever text may stand, asks at random, and reads every answer.

Its worlds, NPCs, players and quests are called as every other tenant's. It knows the canaries of the others only to
search for them.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

TENANTS = ("amber", "basalt", "cobalt")
WORLDS = ("shire", "harbor")
NPCS = ("mara", "tom", "ines")
PLAYER = "ann"
OK = 200
REQUEST_S_MAX = 30.0


def canary(tenant: str) -> str:
    """A word that stands in this tenant's texts and nowhere else."""
    return f"zq{tenant}qz"


def crossings(text: str, tenant: str) -> int:
    """How many other tenants' canaries stand in what this tenant may see."""
    return sum(text.count(canary(other)) for other in TENANTS if other != tenant)


@dataclass
class Client:
    """A tenant with its key; `found` counts canaries of others by where they stood."""

    tenant: str
    port: int
    key: str
    seed: int
    turns: int = 0
    own: int = 0
    """Answers with the tenant's own canary: without any, the search would prove nothing."""
    faults: int = 0
    """Answers of the server's own failing."""
    found: Counter[str] = field(default_factory=Counter)
    dialogues: dict[str, str] = field(default_factory=dict)
    quests: list[str] = field(default_factory=list)
    explains: list[str] = field(default_factory=list)
    resume: str = ""

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed} {self.tenant}")  # noqa: S311  # a seed repeats the walk
        self._link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_S_MAX)

    def ask(self, method: str, path: str, data: object = None, *, key: str = "") -> tuple[int, Any]:
        """(status, decoded body) of one request; the bytes of the answer are searched."""
        body = None if data is None else json.dumps(data)
        self._link.request(method, path, body, {"Authorization": f"Bearer {key or self.key}"})
        answer = self._link.getresponse()
        text = answer.read().decode("utf-8", "replace")
        self.search("answers", text)
        self.faults += answer.status == http.client.INTERNAL_SERVER_ERROR
        try:
            return answer.status, msgspec.json.decode(text)
        except msgspec.DecodeError:
            return answer.status, None

    def search(self, where: str, text: str) -> None:
        """Count what this tenant must not see."""
        self.own += canary(self.tenant) in text
        self.found[where] += crossings(text, self.tenant)

    def begin(self) -> None:
        """The same worlds as everybody's, with canaries in every text."""
        mark = canary(self.tenant)
        for world in WORLDS:
            self.ask("POST", "/v1/world/create", {"world": world})
            entities: list[dict[str, Any]] = [
                {"type": "location", "id": "inn", "name": f"the inn {mark}"},
                {"type": "player", "id": PLAYER, "name": f"Ann {mark}", "location": "inn"},
                {"type": "item", "id": "mug", "name": f"mug {mark}", "holder": "mara"},
            ]
            entities += [
                {
                    "type": "npc", "id": npc, "name": f"{npc} {mark}", "location": "inn", "tags": [mark],
                    "attributes": {"note": mark}, "persona": {"summary": f"Keeps {mark}.", "traits": [mark]},
                }
                for npc in NPCS
            ]  # fmt: skip
            self.ask("POST", "/v1/world/upsert", {"world": world, "entities": entities})

    def walk(self, turns: int) -> None:
        """Take so many turns at random."""
        steps: tuple[Callable[[str], object], ...] = (
            self._upsert, self._fact, self._event, self._talk, self._talk, self._quest, self._quests, self._read,
            self._read, self._read, self._poll, self._settings, self._token, self._explain,
        )  # fmt: skip
        for _ in range(turns):
            self._chance.choice(steps)(self._chance.choice(WORLDS))
            self.turns += 1

    def listen(self, stopped: threading.Event) -> None:
        """Read every push of a world until `stopped`."""
        with connect(f"ws://127.0.0.1:{self.port}/v1/link", compression=None) as socket:
            hello = {"token": self.key, "world": WORLDS[0], "seq": 0}
            socket.send(json.dumps({"id": "1", "op": "hello", "data": hello}))
            self.resume = msgspec.json.decode(socket.recv(timeout=REQUEST_S_MAX))["data"]["resume"]
            while not stopped.is_set():
                self._hear(socket)

    def _hear(self, socket: ClientConnection) -> None:
        try:
            self.search("pushes", str(socket.recv(timeout=0.2)))
        except TimeoutError:
            return
        except ConnectionClosed as closed:
            self.search("pushes", str(closed))

    def _upsert(self, world: str) -> None:
        npc = self._chance.choice(NPCS)
        name = f"{npc} {canary(self.tenant)}{self._chance.randrange(99)}"
        entity = {"type": "npc", "id": npc, "name": name, "location": "inn"}
        self.ask("POST", "/v1/world/upsert", {"world": world, "entities": [entity], "key": f"k{self.turns}"})

    def _fact(self, world: str) -> None:
        fact = {"subject": "mara", "predicate": "keeps", "value": canary(self.tenant)}
        self.ask("POST", "/v1/world/assert", {"world": world, "facts": [fact]})

    def _event(self, world: str) -> None:
        event = {"verb": "learned", "actor": self._chance.choice(NPCS), "topic": canary(self.tenant)}
        self.ask("POST", "/v1/world/event", {"world": world, "events": [event], "key": f"e{self.turns}"})

    def _talk(self, world: str) -> None:
        if world not in self.dialogues:
            opened = {"world": world, "npc": self._chance.choice(NPCS), "participants": [PLAYER]}
            status, answer = self.ask("POST", "/v1/dialogue/open", opened)
            if status != OK:
                return
            self.dialogues[world] = answer["dialogue"]
        text = f"Tell me of {canary(self.tenant)}, and of {self._chance.choice(NPCS)}."
        said = {"world": world, "dialogue": self.dialogues[world], "speaker": PLAYER, "text": text}
        status, answer = self.ask("POST", "/v1/dialogue/say", said)
        if status == OK:
            self.explains.append(answer["explain_id"])

    def _explain(self, world: str) -> None:
        if self.explains:
            asked = {"world": world, "explain_id": self._chance.choice(self.explains)}
            self.ask("POST", "/v1/dialogue/explain", asked)

    def _quest(self, world: str) -> None:
        asked = {"world": world, "giver": self._chance.choice(NPCS), "player": PLAYER, "seed": self.turns}
        status, answer = self.ask("POST", "/v1/quests/generate", asked)
        if status == OK and len(self.quests) < len(NPCS):
            self.quests.append(answer["quest"]["id"])

    def _quests(self, world: str) -> None:
        self.ask("POST", "/v1/quests/list", {"world": world})

    def _read(self, world: str) -> None:
        npc = self._chance.choice(NPCS)
        parts = ("", "/npcs", f"/npcs/{npc}", "/locations")
        paths = (*(f"/v1/worlds/{world}{part}" for part in parts), "/v1/worlds", "/v1/usage", "/v1/settings")
        self.ask("GET", self._chance.choice(paths))

    def _poll(self, world: str) -> None:
        self.ask("GET", f"/v1/worlds/{world}/poll?after={self._chance.randrange(50)}")

    def _settings(self, _world: str) -> None:
        self.ask("PUT", "/v1/settings", {"safety_text": f"Speak of {canary(self.tenant)} kindly."})

    def _token(self, _world: str) -> None:
        _, answer = self.ask("POST", "/v1/auth/token", {})
        self.ask("GET", "/v1/worlds", key=answer["access_token"])


def attack(thief: Client, victim: Client) -> dict[str, int]:
    """What a tenant gets that tries another's ids by hand: attack -> how often it was let in."""
    world = WORLDS[0]
    let_in: Counter[str] = Counter()
    for id in victim.dialogues.values():
        said = {"world": world, "dialogue": id, "speaker": PLAYER, "text": "Hello!"}
        let_in["dialogues"] += thief.ask("POST", "/v1/dialogue/say", said)[0] == OK
        _, closed = thief.ask("POST", "/v1/dialogue/close", {"world": world, "dialogue": id})
        let_in["dialogues"] += bool(closed.get("turns"))  # what is not there is closed already
    for id in victim.explains[:5]:
        let_in["explains"] += thief.ask("POST", "/v1/dialogue/explain", {"world": world, "explain_id": id})[0] == OK
    for id in set(victim.quests) - set(thief.quests):
        let_in["quests"] += thief.ask("POST", "/v1/quests/get", {"world": world, "quest": id})[0] == OK
        let_in["quests"] += thief.ask("POST", "/v1/quests/accept", {"world": world, "quest": id})[0] == OK
    secret = f"only-{victim.tenant}"
    victim.ask("POST", "/v1/world/create", {"world": secret})
    for path in (f"/v1/worlds/{secret}", f"/v1/worlds/{secret}/npcs", f"/v1/worlds/{secret}/poll"):
        let_in["worlds"] += thief.ask("GET", path)[0] == OK
    let_in["keys"] += thief.ask("GET", "/v1/worlds", key=_mixed(victim.key, thief.key))[0] == OK
    let_in["tokens"] += thief.ask("GET", "/v1/worlds", key=_forged(thief, victim))[0] == OK
    let_in["sessions"] += _resumed(thief, victim)
    return dict(let_in)


def _mixed(of: str, secret: str) -> str:
    """The prefix of one key before the secret of another."""
    return "_".join((*of.split("_", 2)[:2], secret.split("_", 2)[2]))


def _forged(thief: Client, victim: Client) -> str:
    """The head and signature of the thief's token around the victim's claims."""
    mine, theirs = (one.ask("POST", "/v1/auth/token", {})[1]["access_token"] for one in (thief, victim))
    head, _, signature = mine.split(".")
    return ".".join((head, theirs.split(".")[1], signature))


def _resumed(thief: Client, victim: Client) -> int:
    """Whether the victim's resume token gives the thief its session."""
    with connect(f"ws://127.0.0.1:{thief.port}/v1/link", compression=None) as socket:
        hello = {"token": thief.key, "world": WORLDS[0], "resume": victim.resume}
        socket.send(json.dumps({"id": "1", "op": "hello", "data": hello}))
        reply = msgspec.json.decode(socket.recv(timeout=REQUEST_S_MAX))
        return int(bool(reply.get("data", {}).get("resumed")))
