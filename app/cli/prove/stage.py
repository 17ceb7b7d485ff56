"""The stage of the chaos suite: a server in mode 1 over PostgreSQL, Redis and a provider of words, each behind a proxy.

It makes the game's small world and two keys, one of which may only read. It breaks nothing itself.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from app.build import ROOT
from app.build.access import DEFAULT_TENANT
from app.cli.prove import child as children
from app.cli.prove.background import Background
from app.cli.prove.child import Child
from app.cli.prove.figures import Plan
from app.cli.prove.key_server import KeyServer
from app.cli.prove.proxy import Fault, Proxy
from app.cli.prove.words_server import WordsServer
from app.cli.serve import KEY_FILE
from app.control.auth import ALL_SCOPES
from app.control.keys import make_key
from app.core.errors import Broken
from app.core.module import Scope
from app.stores import identity
from app.stores.cluster import SUPERUSER, Tools, private_cluster
from app.stores.database import open_database

WORLD = "chaos"
GRID = b"type octile\nheight 16\nwidth 16\nmap\n" + b"................\n" * 16
NPC, PLAYER = "mara", "p1"
NAMES = {
    "database": frozenset({"database"}),
    "redis": frozenset({"cache", "stream", "outlet"}),
    "words": frozenset({"openai", "words", "words.openai", "dialogue.words"}),
}
"""Peer -> what readiness calls it and what stands on it."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The programs that the stage starts."""

    postgres: Tools
    redis: str


@dataclass(frozen=True, slots=True)
class Line:
    """A peer of the server behind a proxy, and the names by which readiness tells of it."""

    proxy: Proxy
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a suite plays on."""

    child: Child
    reader_key: str
    """A key that may only read."""
    database_url: str
    """Past the proxy."""
    background: Background
    lines: Mapping[str, Line]

    def switch(self, peer: str, fault: Fault) -> None:
        self.background.call(self.lines[peer].proxy.switch(fault))


@contextmanager
def full_stage(plan: Plan, peers: Peers, settings: Mapping[str, str]) -> Iterator[Stage]:
    """Everything, started, and ended with the block."""
    folder = plan.folder / "network"
    folder.mkdir()
    password = secrets.token_hex(16)
    with ExitStack() as stack:
        background = stack.enter_context(Background())
        cluster = stack.enter_context(private_cluster(peers.postgres, port=children.free_port(), password=password))
        cluster.create()
        cluster.start()
        redis = KeyServer(peers.redis, folder, children.free_port())
        redis.start()
        stack.callback(redis.kill)
        words = WordsServer()
        background.call(words.open())
        stack.callback(_close, background, words)
        ports = {"database": cluster.port, "redis": redis.port, "words": words.port}
        lines = {peer: _line(stack, background, peer, port, seed=plan.seed) for peer, port in ports.items()}
        address = f"postgresql://{SUPERUSER}:{password}@127.0.0.1"
        direct = f"{address}:{cluster.port}/postgres"
        reader_key = make_keys(folder, direct)
        key_url = f"redis://127.0.0.1:{lines['redis'].proxy.port}"
        child = start_ready(
            folder,
            {
                **settings,
                "database.url": f"{address}:{lines['database'].proxy.port}/postgres",
                "cache.url": key_url,
                "stream.url": key_url,
                "engines.openai.base_url": f"http://127.0.0.1:{lines['words'].proxy.port}/v1",
            },
            environment={"OPENAI_API_KEY": "loopback", "ANTHROPIC_API_KEY": "", "AZURE_OPENAI_API_KEY": ""},
        )
        stack.callback(child.kill)
        make_world(child)
        yield Stage(child, reader_key, direct, background, lines)


def _line(stack: ExitStack, background: Background, peer: str, port: int, *, seed: int) -> Line:
    """A proxy before a peer's port, closed with the stack."""
    proxy = Proxy(port, seed=seed)
    background.call(proxy.open())
    stack.callback(_close, background, proxy)
    return Line(proxy, NAMES[peer])


def _close(background: Background, server: Proxy | WordsServer) -> None:
    background.call(server.close())


def start_ready(
    folder: Path,
    settings: Mapping[str, str],
    *,
    environment: Mapping[str, str] | None = None,
    around: tuple[str, ...] = (),
) -> Child:
    """A server that is ready and warm; raises Broken."""
    child = children.start(folder, children.free_port(), settings=settings, environment=environment, around=around)
    until_s = time.monotonic() + children.START_S_MAX
    while not child.dead and time.monotonic() < until_s:
        if child.get("/health/ready")[1]["warm"]:
            return child
        time.sleep(0.02)
    child.kill()
    raise Broken("the server under proof did not start", hint=f"see {folder / 'server.log'}")


def make_keys(folder: Path, url: str) -> str:
    """Put the full key where the server would, before its first start, and return one that may only read."""
    full = make_key(label="proof", scopes=ALL_SCOPES, created_ms=0)
    reader = make_key(label="reader", scopes=Scope.READ, created_ms=0)

    def add(connection: Connection) -> None:
        for key in (full, reader):
            identity.add_api_key(connection, DEFAULT_TENANT, key.row, 0)

    async def run() -> None:
        database = open_database(url, folder=folder, migrations=ROOT / "migrations")
        await database.upgrade()
        await database.run(add)
        await database.close()

    asyncio.run(run())
    (folder / KEY_FILE).write_text(full.text)
    return reader.text


def make_world(child: Child) -> None:
    """A small world to decide, walk and talk in; raises Broken when it cannot be made."""
    entities = [
        {"type": "location", "id": "inn", "name": "The Gray Mare"},
        {"type": "npc", "id": NPC, "name": "Mara", "location": "inn", "archetype": "innkeeper"},
        {"type": "player", "id": PLAYER, "name": "Robin"},
    ]
    for path, data in (
        ("/v1/world/create", {"world": WORLD}),
        ("/v1/world/upsert", {"world": WORLD, "entities": entities}),
    ):
        status, answer = child.post(path, data)
        if status != 200:
            raise Broken(f"{path} was answered with {status}: {answer}")
    status, answer = child.put(f"/v1/worlds/{WORLD}/maps/m", GRID)
    if status != 200:
        raise Broken(f"the map was answered with {status}: {answer}")
