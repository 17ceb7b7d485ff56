"""A shared quest goes on when one of its members is forgotten, and ends when its leader is."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.test_memory_erasure import ask
from tests.servers import Server, running

LEADER, MEMBER, OTHER = "player-adalind-7731", "player-berengar-4410", "cy"
LOOK = {"id": "look", "action": "explore", "location": "mill", "each": True}


def fill(server: Server) -> str:
    """A party's quest that waits for its leader: the member has done its part."""
    ask(server, "world.create")
    ask(
        server, "world.upsert",
        entities=[
            {"type": "npc", "id": "mara", "location": "inn"},
            {"type": "location", "id": "inn", "connects": ["mill"]},
            {"type": "location", "id": "mill", "connects": ["inn"]},
            {"type": "player", "id": LEADER, "name": "Adalind", "location": "inn"},
            {"type": "player", "id": MEMBER, "name": "Berengar", "location": "inn"},
            {"type": "player", "id": OTHER, "name": "Cy", "location": "inn"},
        ],
    )  # fmt: skip
    draft = {"title": "Look round", "giver": "mara", "player": LEADER, "scope": "party", "members_max": 3}
    quest = ask(server, "quests.offer", quest={**draft, "steps": [LOOK]})["quest"]["id"]  # type: ignore[index]  # JSON
    for player in (MEMBER, OTHER):
        ask(server, "quests.join", quest=quest, player=player)
    ask(server, "quests.accept", quest=quest)
    for player in (MEMBER, OTHER):
        explored(server, player)
    return str(quest)


def explored(server: Server, player: str) -> None:
    ask(server, "world.event", events=[{"verb": "explored", "actor": player, "location": "mill"}])


def erase(server: Server, player: str) -> str:
    """Forget a player for good; the alias."""
    status, answer = server.post(f"/v1/privacy/subjects/{player}/erase", {})
    assert status == 202, answer
    for _ in range(600):
        _, state = server.get(f"/v1/privacy/erasures/{answer['erasure']}")
        if state["finished_ms"]:
            return str(answer["erasure"])
    raise AssertionError("the erasure did not end")


def named_in(folder: Path, *texts: str) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "server.log"]
    return [path.name for path in files if any(text.encode() in path.read_bytes() for text in texts)]


def test_a_member_who_is_forgotten_leaves_an_alias_that_nobody_waits_for(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        quest = fill(server)
        alias = erase(server, MEMBER)
        present = ask(server, "quests.get", quest=quest)["quest"]
        assert MEMBER not in str(present)
        assert present["members"] == [LEADER, OTHER]  # type: ignore[index]  # JSON
        explored(server, LEADER)
        ended = ask(server, "quests.get", quest=quest)["quest"]
        assert ended["state"] == "completed"  # type: ignore[index]  # JSON
        assert {owed["player"] for owed in ended["payouts"]} == {LEADER, OTHER}  # type: ignore[index]  # JSON
        server.stop()
    assert named_in(tmp_path, MEMBER, "Berengar") == []
    assert alias


def test_a_leader_who_is_forgotten_takes_the_quest_along(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        quest = fill(server)
        erase(server, LEADER)
        assert server.post("/v1/quests/get", {"world": "w", "quest": quest})[0] == 404
        server.stop()
    assert named_in(tmp_path, LEADER, "Adalind") == []


def test_who_led_a_quest_once_can_be_forgotten_without_ending_it(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        quest = fill(server)
        ask(server, "quests.leave", quest=quest, player=LEADER)
        erase(server, LEADER)
        server.kill()
    with running(tmp_path) as server:
        present = ask(server, "quests.get", quest=quest)["quest"]
        assert present["player"] == MEMBER  # type: ignore[index]  # JSON
        server.stop()
    assert named_in(tmp_path, LEADER, "Adalind") == []
