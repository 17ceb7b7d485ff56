"""Squads, schedules, steering and directives survive a power cut, and a rebuilt world has them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.servers import Server, running

PEOPLE = [{"type": "npc", "id": f"n{number}", "archetype": "guard"} for number in range(4)]
SQUAD = {
    "id": "watch",
    "members": ["n0", "n1", "n2"],
    "leader": "n0",
    "formation": "wedge",
    "roles": {"n1": "tank"},
    "focus": "n3",
    "board": {"alarm": True, "rally": "gate"},
}
RULE = {"name": "quiet", "intent": "attack", "when": [["hp", 0.5, 0.2]], "veto": True}


def ask(server: Server, op: str, **data: Any) -> Any:
    status, answer = server.post(f"/v1/{op}", {"world": "w", **data})
    assert status == 200, answer
    return answer


def test_what_authors_have_set_up_is_there_after_a_kill(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        ask(server, "world/create")
        ask(server, "world/upsert", entities=PEOPLE)
        ask(server, "behavior/squad", **SQUAD)
        ask(server, "behavior/schedule", npcs=["n1"], schedule="night watch")
        ask(server, "behavior/steer", set=[RULE])
        ask(server, "behavior/intent", npc="n2", intent="patrol", source="quest")
        ask(server, "world/remove", kind="npc", ids=["n1"])
        server.kill()
    with running(tmp_path) as server:
        told = ask(server, "behavior/squad_get", id="watch")["squad"]
        assert (told["members"], told["leader"], told["board"]) == (["n0", "n2"], "n0", SQUAD["board"])
        assert ask(server, "behavior/steer", set=[RULE])["rules"] == ["quiet"]
        formed = ask(server, "behavior/formation", poses=[{"squad": "watch", "x": 5.0, "y": 5.0}])["squads"][0]
        assert (formed["members"], formed["places"][0]) == (["n0", "n2"], [5.0, 5.0])
        rows = [{"hp": hp, "energy": 1.0, "slot0_hp": 1.0, "is_guard": 1.0} for hp in (0.9, 0.1)]
        decided = ask(server, "behavior/decide", tick=1, npcs=["n2", "n0"], features=rows, format="lists")
        assert decided["errors"] == []
        explained = ask(server, "behavior/explain", npc="n2")
        assert (explained["directive"], explained["directive_source"]) == ("patrol", "quest")
        steered = ask(server, "behavior/explain", npc="n0")["steering"]
        assert steered == [{"name": "quiet", "intent": "attack", "bonus": 0.0, "veto": True}]
