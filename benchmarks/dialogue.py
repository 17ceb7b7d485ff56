"""Talk with NPCs: what a line adds to its provider, what is left when every provider is dead, what prompts share.

    uv run python benchmarks/dialogue.py [--quick] [--json]

Everything runs over the loopback: a stand-in for the provider in a process of its own (tests/standin), our server as
`manage.py serve` starts it on the embedded default, and a game client on the WebSocket.

`added_first_token_ms` is the time to the first sentence over our socket less the time to the first word of the same
prompt sent straight to the provider, one at a time and in turns, medians; the provider streams at once, so that its
own speed does not hide ours. Before each line the NPC recalls, the scene is composed and the prompt compiled.
`dead_answered_share` and `dead_first_p99_ms` are over providers that hang, fail and cut off: lines that came, and the
time to the first thing said, a filler included. `prefix_share` is the share of a prompt's bytes, as they are sent,
that stood at the beginning of the one before it in the same dialogue; the mean over lines. `unauthorised_effects` and
`prompt_leaks` are those of the attack suite's own cases; `loop_rate` and `distinct_2` those of the evening in the
tavern, on the authored rung alone.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvloop
import websockets
from gateways.servers import KEY, MODEL, Gateway, Standins, innkeeper, leave_the_first_core, standins
from report import Report, note, start

from app.core.words import Part
from app.engines import wire

WORLD = "vale"
NPCS = 12
PLAYERS = 24
AT_ONCE = 12
FIRST_MS = 1_000.0
"""Within so much a player hears something, whatever has died."""
DEAD = ("hang", "500", "cut", "stall", "empty")
"""How a provider dies; both of ours do."""
QUESTIONS = (
    "Good evening", "Where is the forge?", "Who is Anna Reed?", "Is there any work for me?", "What do you sell?",
    "How are you today?", "What have you heard of late?", "Where can I sleep tonight?", "Thank you",
    "Do you know who keeps the mill?", "I have come a long way, over the hills and through the rain", "Farewell",
)  # fmt: skip


class Client:
    """A game server's connection: one request at a time."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    async def ask(self, op: str, data: object) -> tuple[dict[str, Any], float | None]:
        """(the final reply, milliseconds to the first chunk)."""
        self._number += 1
        began, first = time.perf_counter(), None
        await self._socket.send(msgspec.json.encode({"id": str(self._number), "op": op, "data": data}).decode())
        while True:
            frame: dict[str, Any] = msgspec.json.decode(await self._socket.recv())
            if "chunk" in frame and first is None:
                first = (time.perf_counter() - began) * 1_000.0
            if frame.get("id") == str(self._number) and "chunk" not in frame:
                return frame, first

    async def told(self, op: str, data: object) -> dict[str, Any]:
        """The data of a reply that must be good."""
        reply, _ = await self.ask(op, data)
        assert reply["ok"], reply
        found: dict[str, Any] = reply["data"]
        return found

    async def talk(self, npc: int, player: int) -> str:
        """A new dialogue."""
        opened = await self.told("dialogue.open", {"npc": f"npc{npc % NPCS}", "participants": [f"player{player}"]})
        return str(opened["dialogue"])


@asynccontextmanager
async def connected(gateway: Gateway) -> AsyncIterator[Client]:
    """A socket that has said hello."""
    url = f"ws://127.0.0.1:{gateway.port}/v1/link"
    async with websockets.connect(url, max_size=16 * 2**20, compression=None) as socket:
        client = Client(socket)
        await client.told("hello", {"token": gateway.key, "format": "json", "world": WORLD})
        yield client


async def settle(client: Client) -> None:
    """A village of a usual size: as many people as a game shows at once."""
    names = ("Anna Reed", "Bram Holt", "Cora Finch", "Dov Marsh", "Elsa Byrne", "Finn Oakley", "Greta Stone",
             "Hugo Vane", "Ida Fell", "Jory Pike", "Kett Lowe", "Lise Moor")  # fmt: skip
    places = ("Market Square", "Old Forge", "Gilded Goose", "Stone Bridge", "Windmill", "Chapel", "Bakery", "Stables",
              "Smokehouse", "Ferry", "Watchtower", "Orchard")  # fmt: skip
    entities: list[dict[str, Any]] = [
        {"type": "location", "id": f"place{n}", "name": name, "map": "vale", "x": 20.0 * n, "y": 15.0 * (n % 4),
         "connects": [f"place{(n + 1) % NPCS}", f"place{(n - 1) % NPCS}"]}
        for n, name in enumerate(places)
    ]  # fmt: skip
    entities += [
        {"type": "npc", "id": f"npc{n}", "name": name, "location": f"place{n}", "work": f"place{n}",
         "home": f"place{(n + 3) % NPCS}", "archetype": "villager",
         "persona": {"summary": f"{name} has worked here since childhood and knows everybody's business.",
                     "voice": "warm, a little dry", "traits": ["curious", "proud"], "goals": ["to be left in peace"]}}
        for n, name in enumerate(names)
    ]  # fmt: skip
    entities += [{"type": "player", "id": f"player{n}", "name": f"Wanderer {n}"} for n in range(PLAYERS)]
    await client.told("world.create", {})
    await client.told("world.upsert", {"entities": entities})
    facts = [
        {"subject": f"place{n}", "predicate": "known_for", "value": f"what is made there since the year {700 + n}"}
        for n in range(NPCS)
    ]
    await client.told("world.assert", {"facts": facts})


async def straight(upstream: Standins, parts: Sequence[Part]) -> float:
    """Milliseconds to the first word of a prompt that is sent straight to the provider, over a new connection."""
    head, turns = wire.render(parts)
    said = [{"role": "assistant" if turn.role == "assistant" else "user", "content": turn.text} for turn in turns]
    messages = [{"role": "system", "content": head}, *said]
    payload = json.dumps(
        {"model": MODEL, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    ).encode()
    head_lines = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{upstream.first}\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(payload)}\r\nconnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.first)
    try:
        began = time.perf_counter()
        writer.write(head_lines.encode() + payload)
        await reader.readuntil(b'"content":"Well')
        return (time.perf_counter() - began) * 1_000.0
    finally:
        writer.close()


async def measure_added(report: Report, upstream: Standins, ours: Gateway, *, quick: bool) -> None:
    """One line at a time through the socket and straight, in turns."""
    mine, bare, rungs = list[float](), list[float](), list[str]()
    async with connected(ours) as client:
        for round_ in range(6 if quick else 24):
            dialogue = await client.talk(round_, round_ % PLAYERS)
            for text in QUESTIONS:
                say = {"dialogue": dialogue, "speaker": f"player{round_ % PLAYERS}", "text": text}
                reply, first = await client.ask("dialogue.say", say)
                explained = await client.told("dialogue.explain", {"explain_id": reply["data"]["explain_id"]})
                parts = msgspec.convert(explained["context"], tuple[Part, ...])
                bare.append(await straight(upstream, parts))
                rungs.append(reply["data"]["rung"])
                if first is not None and explained["cache"] != "hit" and rungs[-1] == "words":
                    mine.append(first)
    written = len(mine) / len(rungs)
    note(f"{written:.0%} of {len(rungs)} lines were the provider's")
    value = statistics.median(mine) - statistics.median(bare) if written > 0.5 else None
    report.add("added_first_token_ms", value, "ms", "lower", goal=3.0, why="too few lines were the provider's")
    report.add("bare_first_token_ms", statistics.median(bare), "ms", "lower")


async def measure_prefix(report: Report, ours: Gateway, *, quick: bool) -> None:
    """Long dialogues, with prompts as the provider gets them."""
    shares: list[float] = []
    async with connected(ours) as client:
        for npc in range(2 if quick else 8):
            dialogue, before = await client.talk(npc + 1, npc), ""
            for text in (*QUESTIONS, *QUESTIONS):
                say = {"dialogue": dialogue, "speaker": f"player{npc}", "text": text}
                said = await client.told("dialogue.say", say)
                explained = await client.told("dialogue.explain", {"explain_id": said["explain_id"]})
                prompt = sent(msgspec.convert(explained["context"], tuple[Part, ...]))
                if before:
                    shares.append(_shared(before, prompt) / len(prompt))
                before = prompt
    report.add("prefix_share", statistics.mean(shares), "ratio", "higher", goal=0.8)


def sent(parts: Sequence[Part]) -> str:
    """A prompt as one text, in the order in which a model reads it."""
    head, turns = wire.render(parts)
    return "\n".join([head, *(f"{turn.role}: {turn.text}" for turn in turns)])


def _shared(before: str, prompt: str) -> int:
    """How many characters both begin with."""
    pairs = zip(before, prompt, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(before), len(prompt)))


async def measure_dead(report: Report, upstream: Standins, *, quick: bool) -> None:
    """Many players talk while every provider is dead in one way after another, each way with a server of its own."""
    asked, firsts = 0, list[float]()
    for fault in DEAD[:2] if quick else DEAD:
        for at in (0, 1):
            upstream.order(at=at, fault=fault)
        with innkeeper(upstream) as ours:
            async with connected(ours) as client:
                await settle(client)
            told = await asyncio.gather(*(_speak(ours, n, lines=4 if quick else 12) for n in range(AT_ONCE)))
        asked += sum(count for count, _ in told)
        firsts += [ms for _, found in told for ms in found]
    for at in (0, 1):
        upstream.order(at=at, fault="none")
    report.add("dead_answered_share", len(firsts) / asked, "ratio", "higher", goal=1.0)
    p99 = statistics.quantiles(firsts, n=100)[98] if len(firsts) > 1 else None
    report.add("dead_first_p99_ms", p99, "ms", "lower", goal=FIRST_MS, why="nothing was said")


async def _speak(ours: Gateway, player: int, *, lines: int) -> tuple[int, list[float]]:
    """(lines asked for, milliseconds to the first thing said of each that was answered)."""
    firsts: list[float] = []
    async with connected(ours) as client:
        dialogue = await client.talk(player, player)
        for n in range(lines):
            say = {"dialogue": dialogue, "speaker": f"player{player}", "text": QUESTIONS[n % len(QUESTIONS)]}
            reply, first = await client.ask("dialogue.say", say)
            if reply["ok"] and reply["data"]["text"] and first is not None:
                firsts.append(first)
    return lines, firsts


async def measure(report: Report) -> None:
    quick = report.options.quick
    with standins("tales") as upstream:
        note("starting the server")
        with innkeeper(upstream) as ours:
            async with connected(ours) as client:
                await settle(client)
            note("added time")
            await measure_added(report, upstream, ours, quick=quick)
            note("prompts")
            await measure_prefix(report, ours, quick=quick)
        note("dead providers")
        await measure_dead(report, upstream, quick=quick)


def main() -> None:
    report = start("dialogue")
    leave_the_first_core()
    uvloop.run(measure(report))
    report.close()


if __name__ == "__main__":
    main()
