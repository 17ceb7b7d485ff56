"""One real server for the tests of the wire that do not harm it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.servers import Server, running

_numbers = count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), "--set", "modules.world.worlds_max=1000") as started:
        yield started


@pytest.fixture
def world(server: Server) -> str:
    """A fresh world with an NPC and a player in a tavern."""
    name = f"world-{next(_numbers)}"
    assert server.post("/v1/world/create", {"world": name})[0] == 200
    entities = [
        {"type": "location", "id": "tavern", "name": "The Tavern", "x": 3, "y": 4},
        {"type": "npc", "id": "mara", "name": "Mara", "location": "tavern"},
        {"type": "player", "id": "p1", "name": "Ann", "location": "tavern"},
        {"type": "item", "id": "mug", "name": "a mug", "holder": "mara"},
    ]
    status, reply = server.post("/v1/world/upsert", {"world": name, "entities": entities})
    assert status == 200, reply
    return name
