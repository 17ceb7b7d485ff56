"""Bad input to every module: a documented code, nothing changed, and the session lives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers import Server, connect, running

RAGGED = b"type octile\nheight 2\nwidth 3\nmap\n...\n..\n"
DOCUMENTED = {
    "malformed", "invalid", "unauthenticated", "forbidden", "not_found", "unknown_op", "conflict", "too_large",
    "rate_limited", "unavailable", "overloaded", "engine_down", "store_down", "deadline_exceeded",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("bad")) as started:
        started.post("/v1/world/create", {"world": "w"})
        entities: list[dict[str, Any]] = [
            {"type": "location", "id": "inn", "name": "the inn"},
            {"type": "npc", "id": "mara", "name": "Mara", "location": "inn"},
            {"type": "player", "id": "ann", "name": "Ann", "location": "inn"},
        ]
        started.post("/v1/world/upsert", {"world": "w", "entities": entities})
        grid = b"type octile\nheight 2\nwidth 3\nmap\n...\n...\n"
        assert started.request("PUT", "/v1/worlds/w/maps/m", grid)[0] == 200
        yield started


@pytest.mark.parametrize(
    ("op", "data", "code"),
    [
        ("world.upsert", {"entities": []}, "invalid"),
        ("world.upsert", {"entities": [{"type": "dragon", "id": "x"}]}, "invalid"),
        ("world.upsert", {"entities": [{"type": "npc", "id": ""}]}, "invalid"),
        ("world.upsert", {"entities": [{"type": "npc", "id": "x" * 200}]}, "invalid"),
        ("world.upsert", {"entities": [{"type": "npc", "id": "x", "attributes": {"hp": math.nan}}]}, "invalid"),
        ("world.event", {"events": [{"verb": "flew", "actor": "mara"}]}, "invalid"),
        ("world.event", {"events": [{"verb": "moved", "actor": "mara"}], "game_s": math.inf}, "invalid"),
        ("world.remove", {"kind": "npc", "ids": ["nobody"]}, "not_found"),
        ("world.report", {"handles": b"abc", "positions": b"", "game_s": 0.0}, "invalid"),
        ("path.upload", {"map": "m", "data": RAGGED}, "invalid"),
        ("path.upload", {"map": "m", "data": b"type octile\nheight 99999999\nwidth 99999999\nmap\n"}, "invalid"),
        ("path.find", {"map": "nowhere", "starts": [[0, 0]], "goals": [[1, 1]]}, "not_found"),
        ("path.find", {"map": "m", "starts": [[0, 0]], "goals": []}, "invalid"),
        ("path.find", {"map": "m", "starts": [[0, 10**9]], "goals": [[1, 1]]}, "invalid"),
        ("path.find", {"map": "m", "starts": [[0, 0]], "goals": [[1, 1]], "max_cost": math.nan}, "invalid"),
        ("dialogue.open", {"npc": "nobody", "participants": ["ann"]}, "not_found"),
        ("dialogue.open", {"npc": "mara", "participants": ["nobody"]}, "not_found"),
        ("dialogue.say", {"dialogue": "none", "speaker": "ann", "text": "hi"}, "not_found"),
        ("dialogue.explain", {"explain_id": "none"}, "not_found"),
        ("quests.generate", {"giver": "nobody", "player": "ann"}, "not_found"),
        ("quests.accept", {"quest": "none"}, "not_found"),
        ("behavior.decide", {"tick": 1, "npcs": ["mara"], "rows": [[0.0, 1.0], [0.0]]}, "invalid"),
        ("behavior.decide", {"tick": 1, "npcs": ["mara"], "rows": "none"}, "invalid"),
        ("behavior.intent", {"npc": "nobody", "intent": "guard"}, "not_found"),
        ("no.such", {}, "unknown_op"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bad_input_is_refused_by_a_documented_code(server: Server, op: str, data: object, code: str) -> None:
    async with connect(server, packed=True, world="w") as link:
        before = (await link.ask("world.describe", {}))["data"]
        reply = await link.ask(op, data)
        assert not reply["ok"], reply
        assert reply["error"]["code"] == code, reply
        assert reply["error"]["code"] in DOCUMENTED
        assert reply["error"]["message"]
        assert reply["error"]["hint"]
        assert (await link.ask("world.describe", {}))["data"] == before


async def test_a_row_that_is_no_number_costs_only_its_own_npc(server: Server) -> None:
    async with connect(server, packed=True, world="w") as link:
        rows = [[math.nan] * 64, [0.0] * 64]
        reply = await link.ask(
            "behavior.decide", {"tick": 1, "npcs": ["mara", "mara"], "rows": rows, "format": "lists"}
        )
    assert reply["ok"], reply
    data = reply["data"]
    assert [(error["row"], error["code"]) for error in data["errors"]] == [(0, "not_finite")]
    assert data["lists"]["rungs"] == ["reflex", "utility"]
    assert all(data["lists"]["intents"])


def test_a_ragged_map_names_the_line_and_the_old_version_answers(server: Server) -> None:
    status, problem = server.request("PUT", "/v1/worlds/w/maps/m", RAGGED)
    assert (status, problem["code"]) == (400, "invalid")
    assert "line 6" in problem["detail"]
    find = {"world": "w", "map": "m", "starts": [[0, 0]], "goals": [[2, 1]], "format": "lists"}
    _, found = server.post("/v1/path/find", find, headers={"Innkeeper-Deadline-Ms": "30000"})
    assert found["status"] == ["found"]
