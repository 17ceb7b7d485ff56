"""The server of the suite: two tenants with a key each, and a small world of the same name in both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from app.build import ROOT
from app.build.access import DEFAULT_TENANT
from app.cli.prove import child as children
from app.cli.prove.child import Child
from app.cli.serve import KEY_FILE
from app.control.auth import ALL_SCOPES
from app.control.keys import make_key
from app.core.errors import Broken
from app.stores import identity
from app.stores.database import open_database
from app.stores.tenancy import EVERY_TENANT

WORLD, MAP, NPC, PLAYER, PLACE, ITEM = "alpha", "m", "mara", "p1", "inn", "mug"
GRID = b"type octile\nheight 8\nwidth 8\nmap\n" + b"........\n" * 8
RIVAL = "rival"
"""The other tenant."""
SETTINGS = {
    "server.half_open_max": "1000",
    "server.header_ms_max": "1500",
    "server.body_ms_max": "1500",
    "server.stall_ms_max": "1500",
    "server.hello_ms_max": "1500",
    "server.poll_ms_max": "50",
    "server.resume_ms": "1",
    "limits.failures_max": "1000000",
    "telemetry.log_format": "json",
}


@dataclass(frozen=True, slots=True)
class Contested:
    """A server, and a key of each tenant."""

    child: Child
    rival_key: str

    @property
    def keys(self) -> tuple[str, str]:
        return self.child.key, self.rival_key


@contextmanager
def contested(folder: Path) -> Iterator[Contested]:
    """The server for the length of a block."""
    folder.mkdir(parents=True)
    rival_key = _keys(folder)
    with children.served(folder, SETTINGS) as child:
        child.wait_warm()
        for key in (child.key, rival_key):
            _fill(child.port, key)
        yield Contested(child, rival_key)


def _keys(folder: Path) -> str:
    """Put a key of each tenant where the server would, before its first start; the rival's is returned."""
    own = make_key(label="own", scopes=ALL_SCOPES, created_ms=0)
    rival = make_key(label="rival", scopes=ALL_SCOPES, created_ms=0)

    def add(connection: Connection) -> None:
        identity.add_api_key(connection, DEFAULT_TENANT, own.row, 0)
        identity.add_api_key(connection, RIVAL, rival.row, 0)

    async def run() -> None:
        database = open_database("", folder=folder, migrations=ROOT / "migrations")
        await database.upgrade()
        await database.run(EVERY_TENANT, add)
        await database.close()

    asyncio.run(run())
    (folder / KEY_FILE).write_text(own.text)
    return rival.text


def _fill(port: int, key: str) -> None:
    entities = [
        {"type": "location", "id": PLACE, "name": "The Gray Mare"},
        {"type": "npc", "id": NPC, "name": "Mara", "location": PLACE, "archetype": "innkeeper"},
        {"type": "player", "id": PLAYER, "name": "Robin"},
        {"type": "item", "id": ITEM, "holder": NPC},
    ]
    for method, path, data in (
        ("POST", "/v1/world/create", {"world": WORLD}),
        ("POST", "/v1/world/upsert", {"world": WORLD, "entities": entities}),
        ("PUT", f"/v1/worlds/{WORLD}/maps/{MAP}", GRID),
    ):
        status, answer = children.ask(port, method, path, data, key)
        if status != 200:
            raise Broken(f"{path} was answered with {status}: {answer}")
