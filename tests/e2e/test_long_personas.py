"""A persona that no prompt could hold is refused where it is set, with what to do, and never cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.servers import Server, running


def upsert(server: Server, persona: dict[str, Any]) -> tuple[int, Any]:
    return server.post("/v1/world/upsert", {"world": "w", "entities": [{"type": "npc", "id": "a", "persona": persona}]})


def test_a_persona_is_taken_whole_or_refused(tmp_path: Path) -> None:
    long = {"summary": "é" * 1_000, "voice": "dry", "traits": ["proud"], "goals": ["x" * 1_900, "y" * 2_000]}
    with running(tmp_path) as server:
        assert server.post("/v1/world/create", {"world": "w"})[0] == 200
        assert upsert(server, long)[0] == 200
        longer = {**long, "goals": [*long["goals"], "z" * 200]}
        status, told = upsert(server, longer)
        assert (status, "persona of 'a' has 6108 bytes" in told["detail"]) == (413, True), told
        assert upsert(server, {**longer, "goals": [], "lines": {"greet": ["Hm." * 600] * 9}})[0] == 200
