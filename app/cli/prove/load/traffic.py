"""What the generator says: the worlds it plays in, and the bodies of its messages, from a seed.

It knows the wire's messages and no connection.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from app.cli.prove.load.orders import Stream

NPCS, PLAYERS, PLACES = 200, 50, 20
VERBS = ("moved", "talked", "attacked", "explored", "took", "dropped")
ITEMS = 100
SPEAKER = "player-0"
"""Who talks in every dialogue."""


def world(number: int) -> str:
    """The name of a world."""
    return f"world-{number}"


def entities() -> list[dict[str, Any]]:
    """Who and what each world holds."""
    return [
        *({"type": "location", "id": f"place-{n}", "name": f"Place {n}", "x": n, "y": n} for n in range(PLACES)),
        *({"type": "npc", "id": f"npc-{n}", "name": f"Npc {n}", "location": "place-0"} for n in range(NPCS)),
        *({"type": "player", "id": f"player-{n}", "name": f"Player {n}"} for n in range(PLAYERS)),
        *({"type": "item", "id": f"item-{n}", "name": f"Item {n}", "holder": "place-0"} for n in range(ITEMS)),
    ]


def events(count: int, *, seed: int) -> list[dict[str, Any]]:
    """What happened in one batch."""
    chance = random.Random(seed)  # noqa: S311  # a repeatable draw
    return [_happened(chance) for _ in range(count)]


def _happened(chance: random.Random) -> dict[str, Any]:
    verb = chance.choice(VERBS)
    found: dict[str, Any] = {"verb": verb, "actor": f"player-{chance.randrange(PLAYERS)}"}
    if verb in ("talked", "attacked"):
        found["target"] = f"npc-{chance.randrange(NPCS)}"
    if verb in ("took", "dropped"):
        found["item"] = f"item-{chance.randrange(ITEMS)}"
    if verb != "took":
        found["location"] = f"place-{chance.randrange(PLACES)}"
    return found


def packed(batch: list[dict[str, Any]]) -> msgspec.Raw:
    """A batch encoded once, so that the generator is no part of what is measured."""
    return msgspec.Raw(msgspec.msgpack.encode(batch))


def post_events(number: int, batch: msgspec.Raw, *, seed: int) -> bytes:
    """A world.event frame in msgpack, with a key that no other has; without one for seed 0."""
    data = {"events": batch, "key": f"{seed}-{number}" if seed else ""}
    return msgspec.msgpack.encode({"id": str(number), "op": "world.event", "data": data})


def messages(stream: Stream) -> Callable[[int, random.Random], tuple[bytes, bool]]:
    """Makes (payload, whether it is msgpack) of the stream's message for a frame's id."""
    match stream.say:
        case "get":
            return lambda number, chance: (
                b'{"id":"%d","op":"world.get","data":{"id":"npc-%d"}}' % (number, chance.randrange(NPCS)),
                False,
            )
        case "events":
            batches = [packed(events(stream.batch, seed=seed)) for seed in range(8)]
            return lambda number, chance: (post_events(number, chance.choice(batches), seed=stream.seed), True)
        case "talk":
            # In turns: a dialogue takes one line at a time.
            return lambda number, _chance: (_talk(number, stream.dialogues[number % len(stream.dialogues)]), False)
        case "echo":
            return lambda number, _chance: (b'{"id":"%d","text":"hello"}' % number, False)


def _talk(number: int, dialogue: str) -> bytes:
    data = {"dialogue": dialogue, "speaker": SPEAKER, "text": "Good evening! What is new in the village?"}
    return json.dumps({"id": str(number), "op": "dialogue.say", "data": data}, separators=(",", ":")).encode()


def requests(stream: Stream) -> list[tuple[str, bytes]]:
    """(path, body) of the HTTP requests of a stream."""
    if stream.say == "echo":
        return [("/echo", b'{"id":"1","text":"hello"}')]
    body = {"world": world(0)}
    return [("/v1/world/get", json.dumps({**body, "id": f"npc-{n}"}).encode()) for n in range(NPCS)]
