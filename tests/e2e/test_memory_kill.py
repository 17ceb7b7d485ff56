"""A power cut while NPCs remember: what was acknowledged is recalled, and the log still gives the minds."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.client import HTTPException
from pathlib import Path

from tests.servers import ROOT, Server, running

NPCS = 3


def note_until_dead(server: Server, writer: int, acknowledged: list[tuple[int, str]]) -> None:
    """Note memories one by one, and which were acknowledged, until the server is gone."""
    number = 0
    while True:
        text = f"lantern w{writer}x{number}"
        try:
            body = {"world": "w", "npc": f"npc{writer % NPCS}", "text": text}
            status, _ = server.post("/v1/memory/note", body)
        except (OSError, HTTPException):  # the kill may come in the middle of an answer
            return
        if status == 200:
            acknowledged.append((writer % NPCS, text))
        number += 1


def test_acknowledged_memories_survive_a_kill(tmp_path: Path) -> None:
    acknowledged: list[tuple[int, str]] = []
    for cycle in range(2):
        with running(tmp_path) as server:
            server.post("/v1/world/create", {"world": "w"})
            npcs = [{"type": "npc", "id": f"npc{at}"} for at in range(NPCS)]
            assert server.post("/v1/world/upsert", {"world": "w", "entities": npcs})[0] == 200
            started = len(acknowledged)
            writers = [
                threading.Thread(target=note_until_dead, args=(server, 10 * NPCS * cycle + at, acknowledged))
                for at in range(NPCS)
            ]
            for thread in writers:
                thread.start()
            while len(acknowledged) < started + 30:
                writers[0].join(0.01)
            server.kill()
            for thread in writers:
                thread.join()
    with running(tmp_path) as server:
        for at in range(NPCS):
            mine = [text for npc, text in acknowledged if npc == at]
            found: set[str] = set()
            for text in mine:
                body = {"world": "w", "npc": f"npc{at}", "text": text, "most": 1}
                status, told = server.post("/v1/memory/recall", body)
                assert status == 200
                found |= {memory["text"] for memory in told["memories"]}
            assert set(mine) <= found
    command = [sys.executable, "manage.py", "events", "replay", "--check", "--data", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)  # ours
    assert done.returncode == 0, done.stdout + done.stderr
    assert "minds" in done.stdout
