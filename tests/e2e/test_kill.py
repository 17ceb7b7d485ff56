"""A power cut in the middle of work: what was acknowledged is there, and the world goes on."""

from __future__ import annotations

import threading
from http.client import HTTPException
from pathlib import Path

from tests.servers import Server, running


def write_until_dead(server: Server, writer: int, acknowledged: list[str]) -> None:
    """Post entities one by one and note each acknowledgement, until the server is gone."""
    number = 0
    while True:
        id = f"w{writer}-{number}"
        try:
            status, _ = server.post("/v1/world/upsert", {"world": "w", "entities": [{"type": "npc", "id": id}]})
        except (OSError, HTTPException):  # the kill may come in the middle of an answer
            return
        if status == 200:
            acknowledged.append(id)
        number += 1


def test_acknowledged_events_survive_a_kill(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for cycle in range(3):
        with running(tmp_path) as server:
            assert server.post("/v1/world/create", {"world": "w"})[0] == 200
            started = len(acknowledged)
            writers = [
                threading.Thread(target=write_until_dead, args=(server, 10 * cycle + n, acknowledged)) for n in range(3)
            ]
            for thread in writers:
                thread.start()
            while len(acknowledged) < started + 40:
                writers[0].join(0.01)
            server.kill()
            for thread in writers:
                thread.join()
    assert len(acknowledged) >= 120
    with running(tmp_path) as server:
        _, answer = server.get("/v1/worlds/w/npcs")
        found = {npc["id"] for npc in answer["npcs"]}
        assert set(acknowledged) <= found
        _, described = server.post("/v1/world/describe", {"world": "w"})
        assert described["seq"] == len(found), "every event counts once"
        assert server.post("/v1/world/upsert", {"world": "w", "entities": [{"type": "npc", "id": "new"}]})[0] == 200
