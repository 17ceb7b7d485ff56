"""What is behind a line outlives the server that spoke it, and no file keeps it when its person is erased."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.servers import Server, running

ENTITIES = [
    {"type": "location", "id": "inn", "name": "the inn"},
    {"type": "npc", "id": "mara", "name": "Mara", "location": "inn", "persona": {"summary": "Keeps the inn."}},
    {"type": "player", "id": "ann", "name": "Ann Oakenshield", "location": "inn"},
    {"type": "location", "id": "mill", "name": "the mill"},
    {"type": "npc", "id": "jory", "name": "Jory", "location": "mill"},
    {"type": "player", "id": "bob", "name": "Bob", "location": "mill"},
]
SECRET = "I buried the quicksilver under the third birch"


def post(server: Server, path: str, **data: Any) -> dict[str, Any]:
    status, answer = server.post(path, {"world": "w", **data})
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


def say(server: Server, npc: str, player: str, *texts: str) -> list[str]:
    """The ids of the lines that answer."""
    dialogue = post(server, "/v1/dialogue/open", npc=npc, participants=[player])["dialogue"]
    said = [post(server, "/v1/dialogue/say", dialogue=dialogue, speaker=player, text=text) for text in texts]
    return [one["explain_id"] for one in said]


def explained(server: Server, id: str) -> tuple[int, dict[str, Any]]:
    return server.post("/v1/dialogue/explain", {"world": "w", "explain_id": id})


def files_with(folder: Path, needle: bytes) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


def test_lines_are_explained_and_made_again_after_a_restart_until_their_person_is_erased(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        post(server, "/v1/world/create")
        post(server, "/v1/world/upsert", entities=ENTITIES)
        hers = say(server, "mara", "ann", "Good evening", f"{SECRET}.", "Farewell")
        (his,) = say(server, "jory", "bob", "Hello")
        before = [explained(server, id) for id in (*hers, his)]
        assert server.stop() == 0
    with running(tmp_path) as server:
        after = [explained(server, id) for id in (*hers, his)]
        assert after == before
        for id in (*hers, his):
            again = post(server, "/v1/dialogue/replay", explain_id=id)
            assert (again["equal"], again["differs"]) == (True, [])
        assert not files_with(tmp_path, SECRET.encode()), "sealed from the first"
        status, told = server.get("/v1/privacy/subjects/ann/export")
        assert status == 200
        assert sorted(line["explain_id"] for line in told["lines"]) == sorted(hers), "an export lists what is of her"
        status, erasing = server.post("/v1/privacy/subjects/ann/erase", {})
        assert status == 202, erasing
        for _ in range(400):
            if server.get(f"/v1/privacy/erasures/{erasing['erasure']}")[1].get("finished_ms"):
                break
            time.sleep(0.05)
        assert [explained(server, id)[0] for id in hers] == [404] * 3
        assert explained(server, his)[0] == 200
        assert server.stop() == 0
    assert not files_with(tmp_path, b"Oakenshield")
    with running(tmp_path) as server:
        assert [explained(server, id)[0] for id in (*hers, his)] == [404, 404, 404, 200]
