"""Delete a player: nothing that they said, and not their id, is left in what NPCs remember or in any file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.servers import Server, running

PLAYER = "player-adalind-7731"
WORDS = "marzipan-lighthouse-quarrel"
OTHERS = "plain-words-of-bob"


def ask(server: Server, op: str, **data: object) -> dict[str, object]:
    status, answer = server.post(f"/v1/{op.replace('.', '/')}", {"world": "w", **data})
    assert status == 200, answer
    return answer  # type: ignore[no-any-return]  # JSON


def recalled(server: Server, npc: str, text: str) -> list[str]:
    memories = ask(server, "memory.recall", npc=npc, text=text, most=50)["memories"]
    return [memory["text"] for memory in memories]  # type: ignore[attr-defined,index]  # JSON


def fill(server: Server) -> None:
    ask(server, "world.create")
    ask(
        server, "world.upsert",
        entities=[
            *({"type": "npc", "id": id, "name": id, "location": "inn"} for id in ("mara", "otto")),
            {"type": "location", "id": "inn", "name": "inn"}, {"type": "item", "id": "cup", "name": "cup"},
            {"type": "player", "id": PLAYER, "name": "Adalind"},
            *({"type": "player", "id": id} for id in ("bob", "cy")),
        ],
    )  # fmt: skip
    ask(server, "memory.note", npc="mara", text=f"{WORDS} one", speaker=PLAYER, known_by=[PLAYER])
    ask(server, "memory.note", npc="mara", text=f"{WORDS} two", source=f"told_by:{PLAYER}")
    ask(server, "memory.note", npc="mara", text=f"{WORDS} three", speaker="bob", participants=["cy", PLAYER])
    ask(server, "memory.note", npc="mara", text=f"{OTHERS} about Adalind", speaker="bob", known_by=["bob"])
    ask(
        server,
        "world.event",
        events=[{"verb": "gave", "actor": PLAYER, "target": "mara", "item": "cup", "location": "inn"}],
    )
    ask(server, "world.event", events=[{"verb": "talked", "actor": "mara", "target": "otto"}])
    ask(server, "memory.reflect", npc="mara", about=PLAYER)


def erase(server: Server) -> None:
    status, answer = server.post(f"/v1/privacy/subjects/{PLAYER}/erase", {})
    assert status == 202, answer
    until_s = time.monotonic() + 30.0
    while time.monotonic() < until_s:
        _, state = server.get(f"/v1/privacy/erasures/{answer['erasure']}")
        if state["finished_ms"]:
            return
        time.sleep(0.05)
    pytest.fail("the erasure did not end")


def left_in(folder: Path) -> list[str]:
    """Files that hold the id, the name or any of the words."""
    wanted = [text.encode() for text in (PLAYER, WORDS, "Adalind")]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if any(text in path.read_bytes() for text in wanted)]


def test_a_deleted_player_is_in_no_memory_and_no_file(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        fill(server)
        assert any(WORDS in text for text in recalled(server, "mara", WORDS))
        assert any("gave the cup" in text for text in recalled(server, "otto", "gave the cup"))
        _, told = server.get(f"/v1/privacy/subjects/{PLAYER}/export")
        assert WORDS in str(told)
        erase(server)
        for npc in ("mara", "otto"):
            assert not [
                text
                for text in recalled(server, npc, f"{WORDS} cup gave Adalind")
                if WORDS in text or "Adalind" in text
            ]
        assert recalled(server, "mara", OTHERS) == [f"{OTHERS} about someone"]
        server.stop()
    assert left_in(tmp_path) == []
    with running(tmp_path) as server:
        assert recalled(server, "mara", OTHERS) == [f"{OTHERS} about someone"]
