"""People over the wire: made once, in one append, seen by other modules, and judged without a trace."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers import Server

VILLAGE = [
    {"type": "location", "id": "square", "name": "Market Square", "connects": ["lantern", "gate", "elm", "row"]},
    {"type": "location", "id": "lantern", "name": "the Copper Lantern", "connects": ["square"]},
    {"type": "location", "id": "gate", "name": "North Gate", "connects": ["square"]},
    {"type": "location", "id": "elm", "name": "Elm Cottage", "connects": ["square"]},
    {"type": "location", "id": "row", "name": "Weavers' Row", "connects": ["square"]},
    {"type": "player", "id": "hero", "name": "Robin", "location": "square"},
    {"type": "item", "id": "ring", "name": "Gold Ring", "item_kind": "ring", "holder": "square", "value": 30},
]


@pytest.fixture
def village(server: Server, world: str) -> str:
    """The fresh world with five more places."""
    status, reply = server.post("/v1/world/upsert", {"world": world, "entities": VILLAGE})
    assert status == 200, reply
    return world


def asked(server: Server, verb: str, data: dict[str, Any]) -> Any:
    status, reply = server.post(f"/v1/characters/{verb}", data)
    assert status == 200, reply
    return reply


def counted(server: Server, world: str) -> Any:
    return server.post("/v1/world/describe", {"world": world})[1]


def test_people_come_into_the_world_once_however_often_they_are_asked_for(server: Server, village: str) -> None:
    ask = {"world": village, "plan": "tavern", "count": 4, "place": "lantern", "seed": 3, "key": "evening"}
    first = asked(server, "generate", ask)
    after = counted(server, village)
    again = asked(server, "generate", ask)
    assert again["characters"] == first["characters"]
    assert counted(server, village) == after
    assert first["committed"]
    assert first["ai_generated"] is False
    assert after["counts"]["npcs"] == 5
    status, problem = server.post("/v1/characters/generate", {**ask, "count": 2})
    assert (status, problem["code"]) == (409, "conflict")


def test_a_preview_writes_nothing_and_the_same_seed_then_makes_the_same(server: Server, village: str) -> None:
    ask = {"world": village, "plan": "household", "count": 3, "place": "elm", "seed": 8}
    before = counted(server, village)
    shown = asked(server, "generate", {**ask, "commit": False})
    assert counted(server, village) == before
    assert not shown["committed"]
    made = asked(server, "generate", ask)
    assert made["characters"] == shown["characters"]


def test_who_was_made_is_sound_speaks_and_has_quests(server: Server, village: str) -> None:
    made = asked(server, "generate", {"world": village, "plan": "guard_post", "count": 3, "place": "gate", "seed": 5})
    for one in made["characters"]:
        judged = asked(server, "check", {"world": village, "npc": one["npc"], "facts": one["facts"]})
        assert judged["sound"], judged
    giver = made["characters"][0]["npc"]["id"]
    status, got = server.post("/v1/world/get", {"world": village, "id": giver})
    assert status == 200
    assert got["entity"]["persona"]["summary"]
    assert {fact["predicate"] for fact in got["facts"]} >= {"craft"}
    status, quest = server.post("/v1/quests/generate", {"world": village, "giver": giver, "player": "hero", "seed": 1})
    assert status == 200, quest
    status, opened = server.post("/v1/dialogue/open", {"world": village, "npc": giver, "participants": ["hero"]})
    assert status == 200, opened
    said = {"world": village, "dialogue": opened["dialogue"], "speaker": "hero", "text": "Hello!"}
    status, line = server.post("/v1/dialogue/say", said, headers={"Accept": "application/json"})
    assert status == 200, line
    assert line["text"] in made["characters"][0]["npc"]["persona"]["lines"]["greet"]


def test_a_contradiction_is_a_reply_with_the_mend(server: Server, village: str) -> None:
    npc = {"type": "npc", "id": "bo", "name": "Mara", "home": "elm", "work": "moon", "attributes": {"age": 9}}
    spouse = {"subject": "bo", "predicate": "spouse", "value": "mara"}
    judged = asked(server, "check", {"world": village, "npc": npc, "facts": [spouse]})
    assert not judged["sound"]
    rules = {finding["rule"] for finding in judged["findings"]}
    assert rules == {"name_taken", "place_missing", "tie_one_sided", "spouse_age", "child_works"}
    assert all(finding["text"] and finding["mend"] and finding["field"] for finding in judged["findings"])


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"place": "moon"}, 404, "not_found"),
        ({"archetype": "smiht"}, 400, "invalid"),
        ({"plan": "tavern", "archetype": "cook"}, 400, "invalid"),
        ({"plan": "household", "count": 12, "place": "elm"}, 409, "conflict"),
        ({"count": 99}, 400, "invalid"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_a_hint(
    server: Server, village: str, more: dict[str, Any], status: int, code: str
) -> None:
    got, problem = server.post("/v1/characters/generate", {"world": village, **more})
    assert (got, problem["code"]) == (status, code), problem


def test_a_hand_written_character_of_any_size_is_not_read(server: Server, village: str) -> None:
    npc = {"type": "npc", "id": "bo", "name": "Bo", "attributes": {f"a{at}": "x" * 1_000 for at in range(100)}}
    status, problem = server.post("/v1/characters/check", {"world": village, "npc": npc})
    assert (status, problem["code"]) == (413, "too_large")
