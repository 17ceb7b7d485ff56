"""Reports and the statement about live content as a game, its people and a store meet them: over a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from app.world.moderation import Moderation
from tests.servers import ROOT, Server


def speak(server: Server, world: str) -> dict[str, Any]:
    status, opened = server.post("/v1/dialogue/open", {"world": world, "npc": "mara", "participants": ["p1"]})
    assert status == 200, opened
    line = {"world": world, "dialogue": opened["dialogue"], "speaker": "p1", "text": "Hello, who are you?"}
    status, said = server.post("/v1/dialogue/say", line)
    assert status == 200, said
    return dict(said)


def test_a_report_reaches_the_people_who_run_the_game_and_is_settled(server: Server, world: str) -> None:
    said = speak(server, world)
    told = {"world": world, "explain_id": said["explain_id"], "player": "p1", "category": "wrong", "text": "not her"}
    status, done = server.post("/v1/dialogue/report", told)
    assert (status, done["state"]) == (200, "open")
    assert server.post("/v1/dialogue/report", told)[1] == done

    status, one = server.get(f"/v1/reports/{done['report']}")
    assert status == 200
    assert (one["line"], one["npc"], one["text"], one["world"]) == (said["text"], "mara", "not her", world)
    assert one["ai_generated"] is said["ai_generated"]
    listed = server.get("/v1/reports?state=open&limit=1000")[1]["reports"]
    assert done["report"] in {report["id"] for report in listed}

    status, settled = server.post(f"/v1/reports/{done['report']}/settle", {"note": "the line was fixed"})
    assert (status, settled["state"], settled["note"]) == (200, "settled", "the line was fixed")
    assert server.post(f"/v1/reports/{done['report']}/settle", {"note": "the line was fixed"})[1] == settled
    assert server.post(f"/v1/reports/{done['report']}/settle", {"note": "no"})[0] == 409
    assert server.post(f"/v1/reports/{done['report']}/settle", {"note": ""})[0] == 400
    assert server.post("/v1/dialogue/report", told)[1]["state"] == "settled"

    entries = server.get("/v1/audit?limit=1000")[1]["entries"]
    actions = [entry["action"] for entry in entries if entry["target"] == done["report"]]
    assert actions == ["report.read", "report.settled"]
    assert "not her" not in json.dumps(entries)


def test_a_line_that_left_memory_can_still_be_reported_and_a_stranger_cannot(server: Server, world: str) -> None:
    told = {"world": world, "explain_id": "long-gone", "player": "p1", "category": "hate", "text": "old"}
    status, done = server.post("/v1/dialogue/report", told)
    assert status == 200
    assert server.get(f"/v1/reports/{done['report']}")[1]["line"] == ""
    assert server.post("/v1/dialogue/report", {**told, "player": "nobody"})[0] == 404
    assert server.post("/v1/dialogue/report", {**told, "category": "dull"})[0] == 400
    assert server.get("/v1/reports/01ARZ3NDEKTSV4RRFFQ69G5FAV")[0] == 404


def test_an_erased_player_s_reports_are_gone_and_were_exported_before(server: Server, world: str) -> None:
    player = f"{world}-leaver"
    entities = [{"type": "player", "id": player, "name": "Lee", "location": "tavern"}]
    assert server.post("/v1/world/upsert", {"world": world, "entities": entities})[0] == 200
    told = {"world": world, "explain_id": "x", "player": player, "category": "other", "text": "my words"}
    id = server.post("/v1/dialogue/report", told)[1]["report"]
    assert [one["text"] for one in server.get(f"/v1/privacy/subjects/{player}/export")[1]["reports"]] == ["my words"]
    status, erasing = server.post(f"/v1/privacy/subjects/{player}/erase", {})
    assert status == 202
    for _ in range(200):
        if server.get(f"/v1/privacy/erasures/{erasing['erasure']}")[1]["finished_ms"] is not None:
            break
    assert server.get(f"/v1/reports/{id}")[0] == 404


def verb(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_the_command_line_lists_reports_without_what_was_said(server: Server, world: str) -> None:
    told = {"world": world, "explain_id": "y", "player": "p1", "category": "sexual", "text": "a secret word"}
    id = server.post("/v1/dialogue/report", told)[1]["report"]
    data = str(server.folder)
    listed = verb("reports", "list", "--data", data)
    assert id in listed
    assert "secret" not in listed
    assert json.loads(verb("reports", "show", id, "--data", data))["text"] == "a secret word"
    assert "settled" in verb("reports", "settle", id, "seen to", "--data", data)
    assert server.get(f"/v1/reports/{id}")[1]["note"] == "seen to"


def test_the_statement_is_of_the_profile_that_runs(server: Server) -> None:
    status, found = server.get("/v1/guardrails")
    assert status == 200
    pack = Moderation.load("pegi12").pack
    assert (found["rating"], found["actions"]) == ("pegi12", pack.actions)
    assert found["live_generated"] is bool(found["writers"])
    assert {"job", "report"} <= found["kept"].keys()
    assert "180 days" in found["kept"]["report"]
    page = verb("guardrails", "--set", "modules.dialogue.rating=esrb_e", "--markdown")
    assert "age rating PEGI 7" in page
    assert "| hate | bar |" in page
    told = json.loads(verb("guardrails", "--json", "--set", 'ladder.dialogue=["authored"]'))
    assert (told["live_generated"], told["writers"]) == (False, [])


def test_a_tenant_may_choose_a_stricter_rating_and_no_looser_one(server: Server) -> None:
    status, before = server.get("/v1/settings")
    assert status == 200
    settings = before.get("settings", before)
    body = {**settings, "rating": "pegi7"}
    status, done = server.request("PUT", "/v1/settings", json.dumps(body).encode())
    assert status == 200, done
    assert server.get("/v1/guardrails")[1]["rating"] == "pegi7"
    for wrong in ("pegi16", "nonsense"):
        changed = json.dumps({**settings, "rating": wrong}).encode()
        assert server.request("PUT", "/v1/settings", changed)[0] == 400
    assert server.request("PUT", "/v1/settings", json.dumps(settings).encode())[0] == 200


def test_a_tenant_s_stricter_rating_holds_for_players_and_npcs(server: Server, world: str) -> None:
    bawdy = "They tore down the old brothel by the docks."
    mara = {"type": "npc", "id": "mara", "name": "Mara", "location": "tavern", "persona": {"lines": {"bark": [bawdy]}}}
    assert server.post("/v1/world/upsert", {"world": world, "entities": [mara]})[0] == 200
    settings = server.get("/v1/settings")[1]
    settings = settings.get("settings", settings)
    assert met(server, world) == (bawdy, "")
    strict = json.dumps({**settings, "rating": "pegi7"}).encode()
    assert server.request("PUT", "/v1/settings", strict)[0] == 200
    try:
        barked, refused = met(server, world)
    finally:
        assert server.request("PUT", "/v1/settings", json.dumps(settings).encode())[0] == 200
    assert barked != bawdy
    assert refused == "not for this rating: suggestive"
    assert met(server, world)[1] == ""


def met(server: Server, world: str) -> tuple[str, str]:
    """(the NPC's bark, why it would not hear a player who asks for a brothel, empty where it does)."""
    status, barked = server.post("/v1/dialogue/bark", {"world": world, "npc": "mara"})
    assert status == 200, barked
    status, opened = server.post("/v1/dialogue/open", {"world": world, "npc": "mara", "participants": ["p1"]})
    assert status == 200, opened
    line = {"world": world, "dialogue": opened["dialogue"], "speaker": "p1", "text": "Is there a brothel here?"}
    said = server.post("/v1/dialogue/say", line)[1]
    status, why = server.post("/v1/dialogue/explain", {"world": world, "explain_id": said["explain_id"]})
    assert status == 200, why
    return barked["text"], next((cut["reason"] for cut in why["line_cut"] if cut["what"] == "what was heard"), "")
