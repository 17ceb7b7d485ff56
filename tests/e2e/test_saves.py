"""Save, play on, go back: a real server, with a power cut in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.servers import Server, running

PEOPLE = [
    {"type": "location", "id": "inn", "name": "the Inn"},
    {"type": "npc", "id": "mara", "name": "Mara", "location": "inn", "archetype": "innkeeper"},
    {"type": "player", "id": "ann", "name": "Ann", "location": "inn"},
    {"type": "item", "id": "cup", "name": "silver cup", "holder": "mara"},
]


def ask(server: Server, op: str, **data: Any) -> Any:
    status, answer = server.post(f"/v1/{op}", {"world": "w", **data})
    assert status == 200, answer
    return answer


def holder(server: Server) -> str:
    return str(ask(server, "world/get", id="cup")["entity"]["holder"])


def test_a_world_goes_back_to_its_save_even_after_a_kill(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        ask(server, "world/create")
        ask(server, "world/upsert", entities=PEOPLE)
        saved = ask(server, "world/save", slot="evening", key="s1")
        assert ask(server, "world/save", slot="evening", key="s1") == saved
        ask(server, "world/event", events=[{"verb": "stole", "actor": "ann", "target": "mara", "item": "cup"}])
        opened = ask(server, "dialogue/open", npc="mara", participants=["ann"])
        assert holder(server) == "ann"
        server.kill()
    with running(tmp_path) as server:
        assert holder(server) == "ann"
        opened = ask(server, "dialogue/open", npc="mara", participants=["ann"])
        ask(server, "world/restore", slot="evening")
        assert holder(server) == "mara"
        status, answer = server.post(
            "/v1/dialogue/say", {"world": "w", "dialogue": opened["dialogue"], "speaker": "ann", "text": "Hello"}
        )
        assert (status, answer["code"]) == (404, "not_found")
        assert [save["slot"] for save in ask(server, "world/saves")["saves"]] == ["evening"]
        server.kill()
    with running(tmp_path) as server:
        assert holder(server) == "mara"
        ask(server, "world/discard", slot="evening")
        assert ask(server, "world/discard", slot="evening")["events"] == 0
        status, answer = server.post("/v1/world/restore", {"world": "w", "slot": "evening"})
        assert (status, answer["code"]) == (404, "not_found")


def test_a_world_has_a_bounded_number_of_saves(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        ask(server, "world/create")
        for number in range(8):
            ask(server, "world/save", slot=f"s{number}")
        ask(server, "world/save", slot="s3")
        status, answer = server.post("/v1/world/save", {"world": "w", "slot": "s8"})
        assert (status, answer["code"]) == (409, "conflict")
        assert "saves_max" in answer["hint"]
