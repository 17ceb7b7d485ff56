"""Plays the evening of tavern.toml: opens a server, asserts the world, and lets everybody speak in their turn.

It speaks the server's messages through its router, as a connection does. What NPCs say is the server's alone.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from app.build import MODULE_SETTINGS, Innkeeper, build  # noqa: E402 - the checkout comes first on the path
from app.control.auth import Identity  # noqa: E402 - as above
from app.core.messages import Chunk, Reply, Request  # noqa: E402 - as above
from app.core.module import Scope  # noqa: E402 - as above
from app.core.profile import layers, load  # noqa: E402 - as above
from app.modules.dialogue import messages  # noqa: E402 - as above
from app.modules.quests.codec import record  # noqa: E402 - as above
from app.modules.quests.messages import Certificate, Goal, Quest, Reward  # noqa: E402 - as above
from app.modules.world import messages as world_messages  # noqa: E402 - as above
from app.world.entities import Fact, Item, Location, Npc, Persona, Player  # noqa: E402 - as above
from app.world.events import Happened, RelationChanged  # noqa: E402 - as above
from app.world.loops import overlap  # noqa: E402 - as above

WORLD = "lantern"
FOLLOW_UPS_MAX = 1
"""NPC lines that may follow an answer unasked."""
BREATH_S = 4.0
"""Between an answer and what follows it."""
OVERLAP_MAX = 0.8
"""A line that shares more of its trigrams with an earlier one of the same NPC repeats it."""
PATIENT = {"modules.dialogue.recall_ms": 5_000.0, "modules.dialogue.journal_ms": 5_000.0}
"""On a busy machine a line must not be another one because a memory came late."""
NAMED = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the transcript; `to` is empty for what happens rather than is said."""

    at_s: float
    who: str
    text: str
    table: str = ""
    npc: bool = False
    to: str = ""
    rung: str = ""


class Evening(msgspec.Struct, frozen=True, kw_only=True):
    """What was said, and how much of it went round in circles, over the lines of NPCs alone.

    `loop_rate` is the share of lines that repeat an earlier one of the same NPC, in whole or by more than 0.8 of their
    trigrams; `distinct_2` is distinct bigrams over all bigrams.
    """

    lines: tuple[Line, ...]
    loop_rate: float
    distinct_2: float


@dataclass
class Ticking:
    """A clock that the play moves."""

    now_s: float = 1_000.0

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


@dataclass
class Stage:
    """The server, who speaks to it, and what was said so far."""

    innkeeper: Innkeeper
    clock: Ticking
    cast: dict[str, str]
    npcs: frozenset[str]
    tables: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    begun_s: float = 0.0

    async def ask(self, request: Request) -> Reply:
        router = self.innkeeper.router
        identity = Identity(
            tenant="local", actor="key:evening", scopes=Scope.PLAY | Scope.READ | Scope.WRITE, since_ms=0
        )
        return await router.dispatch(
            router.route(request.op), request, identity=identity, id="1", world=WORLD, send=_nowhere
        )

    async def say(self, table: str, by: str, text: str = "", to: str = "") -> messages.Said:
        """One line and its answer, written down."""
        request = messages.Say(dialogue=self.tables[table], speaker=by, text=text, to=to)
        if text:
            self._write(by, text, table, to)
        reply = await self.ask(request)
        assert isinstance(reply, messages.Said)
        if text:
            self.clock.now_s += BREATH_S
        self._write(reply.npc, reply.text, table, rung=reply.rung)
        return reply

    def _write(self, id: str, text: str, table: str, to: str = "", rung: str = "") -> None:
        self.lines.append(
            Line(
                at_s=self.clock.now_s - self.begun_s,
                who=self.cast[id],
                text=text,
                table=table,
                npc=id in self.npcs,
                to=self.cast.get(to, ""),
                rung=rung,
            )
        )


def evening(seed: int = 1) -> Evening:
    """Play it; the same seed gives the same evening."""
    environment = dict.fromkeys(NAMED, "")
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("app.modules.dialogue.handler.new_id", _ids(seed)),
        patch.dict("os.environ", environment),
    ):
        lines = asyncio.run(_play(Path(folder), _script()))
    spoken = [line for line in lines if line.npc]
    return Evening(lines=tuple(lines), loop_rate=loop_rate(spoken), distinct_2=distinct_2(spoken))


def _ids(seed: int) -> Callable[[int], str]:
    """Ids for dialogues that are the same every time: chance is drawn from them."""
    numbers = count()
    return lambda wall_ms: f"evening-{seed}-{next(numbers)}"


def loop_rate(lines: Sequence[Line]) -> float:
    """The share of lines that repeat an earlier line of the same speaker."""
    before: dict[str, list[str]] = {}
    again = 0
    for line in lines:
        said = before.setdefault(line.who, [])
        again += any(overlap(line.text, earlier) > OVERLAP_MAX for earlier in said)
        said.append(line.text)
    return again / len(lines) if lines else 0.0


def distinct_2(lines: Sequence[Line]) -> float:
    """Distinct bigrams over all bigrams (Li et al., "A diversity-promoting objective function", 2016)."""
    pairs: Counter[tuple[str, str]] = Counter()
    for line in lines:
        words = re.findall(r"[\w'’-]+", line.text.casefold())
        pairs.update(pairwise(words))
    return len(pairs) / max(1, pairs.total())


def _script() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "tavern.toml").read_text(encoding="utf-8"))


async def _play(folder: Path, script: dict[str, Any]) -> list[Line]:
    sources = layers(
        ROOT / "profiles", mode=1, file=None, environment={}, flags={"server.data_folder": str(folder), **PATIENT}
    )
    profile = load(sources, MODULE_SETTINGS).profile
    clock = Ticking()
    innkeeper = await build(profile, clock=clock, log=_Silent())
    cast = {row["id"]: row["name"] for kind in ("npc", "player") for row in script[kind]}
    stage = Stage(innkeeper, clock, cast, frozenset(row["id"] for row in script["npc"]))
    try:
        await _furnish(stage, script)
        stage.begun_s = clock.now_s
        for name, (npc, *participants) in script["tables"].items():
            opened = await stage.ask(messages.Open(npc=npc, participants=tuple(participants)))
            assert isinstance(opened, messages.Opened)
            stage.tables[name] = opened.dialogue
        for beat in script["beat"]:
            clock.now_s = max(clock.now_s + 1.0, stage.begun_s + beat["at"])
            await _beat(stage, beat)
    finally:
        await innkeeper.close()
    return stage.lines


async def _beat(stage: Stage, beat: dict[str, Any]) -> None:
    """An event, or a line with its answer and what another NPC has to add."""
    if "event" in beat:
        happened = Happened(
            verb=beat["event"], actor=beat["actor"], target=beat["target"], item=beat["item"], location="lantern"
        )
        await stage.ask(world_messages.Post(events=(happened,), game_s=stage.clock.now_s))
        stage.lines.append(Line(at_s=stage.clock.now_s - stage.begun_s, who="", text=beat["tell"]))
        return
    reply = await stage.say(beat["table"], beat["by"], beat.get("say", ""), beat.get("to", ""))
    for _ in range(FOLLOW_UPS_MAX if "say" in beat else 0):
        if reply.next_speaker not in stage.npcs:
            return
        stage.clock.now_s += BREATH_S
        reply = await stage.say(beat["table"], reply.next_speaker)


async def _furnish(stage: Stage, script: dict[str, Any]) -> None:
    """Assert the world as a game server does."""
    places = [
        Location(id=row["id"], name=row["name"], map="vale", x=row["x"], y=row["y"],
                 connects=tuple(row["connects"]), tags=tuple(row.get("tags", ())))
        for row in script["place"]
    ]  # fmt: skip
    npcs = [
        Npc(
            id=row["id"], name=row["name"], archetype=row["archetype"], location=row.get("place", "lantern"),
            home=row.get("home", ""), work=row.get("work", ""),
            persona=Persona(
                voice=row.get("voice", ""), traits=tuple(row.get("traits", ())),
                lines={topic: tuple(lines) for topic, lines in row.get("lines", {}).items()},
            ),
        )
        for row in script["npc"]
    ]  # fmt: skip
    players = [Player(id=row["id"], name=row["name"], location="lantern") for row in script["player"]]
    items = [
        Item(id=row["id"], name=row["name"], item_kind=row["id"], holder=row["holder"], value=row["value"])
        for row in script["item"]
    ]
    await stage.ask(world_messages.Create(world=WORLD))
    await stage.ask(world_messages.Upsert(entities=(*places, *npcs, *players, *items)))
    facts = [Fact(**row) for row in script["fact"]]
    facts += [Fact(subject="world", predicate="hour", value=script["hour"])]
    facts += [Fact(subject="world", predicate="weather", value=script["weather"])]
    await stage.ask(world_messages.Assert(facts=tuple(facts)))
    quest = script["quest"]
    offered = Quest(
        id=quest["id"], state="offered", giver=quest["giver"], player="", title=quest["title"],
        description=quest["description"], level=1, goals=(Goal(deed=("found", "bell"), text=quest["goal"]),), steps=(),
        reward=Reward(experience=10, coins=5, effort=1.0),
        certificate=Certificate(
            domain_version=1, checks=(), world_seq=0, seed=0, plan=(), plan_sha256="", rung="authored"
        ),
    )  # fmt: skip
    changes = [record(offered)]
    felt = [RelationChanged(npc=row["npc"], other=row["other"], delta=row["value"]) for row in script["relation"]]
    await stage.innkeeper.journal.append("local", WORLD, [*changes, *felt])


async def _nowhere(chunk: Chunk) -> None:
    return None


class _Silent:
    """A log that keeps quiet."""

    def bind(self, **fields: Any) -> _Silent:
        return self

    def debug(self, event: str, **fields: Any) -> None: ...
    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...
    def error(self, event: str, **fields: Any) -> None: ...
    def exception(self, event: str, **fields: Any) -> None: ...
