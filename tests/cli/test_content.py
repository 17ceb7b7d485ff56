"""`manage.py content` and what a lorebook becomes: over a real server, as a studio would use both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from app.cli.cards import characters
from app.cli.content import content
from app.cli.main import VERBS
from app.core.errors import Invalid
from tests.modules.content.valley import ENTITIES, FACTS
from tests.servers import Server, running

LOREBOOK = {
    "entries": {
        "0": {"uid": 0, "key": ["vault", "old vault"], "comment": "Vault", "disable": False, "order": 9,
              "content": "The old vault was walled up after the river took the mint."},
        "1": {"uid": 1, "key": ["mint"], "comment": "Mint", "disable": False, "content": "Nobody mints here now."},
    }
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "world.json"
    path.write_bytes(msgspec.json.encode({"entities": ENTITIES, "facts": FACTS}))
    return path


def run(*arguments: object) -> str:
    done = CliRunner().invoke(content, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_content_is_made_from_a_seed_and_a_file_and_is_the_same_each_time(file: Path) -> None:
    assert VERBS["content"][0] == "app.cli.content:content"
    for arguments in (
        ("items", "--level", 5, "--count", 12, "--opens", "vault", "--file", file),
        ("lore", "inn", "carters", "--file", file, "--language", "de"),
        ("barks", "stole", "weather", "--npc", "anna", "--mood", "grim", "--count", 3, "--file", file),
    ):
        assert run(*arguments) == run(*arguments)
        assert run(*arguments) != run(*arguments, "--seed", 2)
        assert json.loads(run(*arguments, "--json"))["committed"] is False
    assert "key to the old vault" in run("items", "--opens", "vault", "--file", file)
    assert "inn founder" in run("lore", "inn", "--file", file)


def test_what_cannot_be_read_or_kept_is_refused(tmp_path: Path, file: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("[1]")
    with pytest.raises(Invalid, match="holds no world"):
        CliRunner().invoke(content, ["items", "--file", str(bad)], catch_exceptions=False)
    kept = CliRunner().invoke(content, ["items", "--file", str(file), "--commit", "k"])
    assert kept.exit_code == 2
    assert "without a server" in kept.output


def say(server: Server, npc: str, text: str) -> Any:
    status, opened = server.post("/v1/dialogue/open", {"world": "valley", "npc": npc, "participants": ["p1"]})
    assert status == 200, opened
    data = {"world": "valley", "dialogue": opened["dialogue"], "speaker": "p1", "text": text}
    status, said = server.post("/v1/dialogue/say", data)
    assert status == 200, said
    return said


def test_a_lorebook_and_made_lore_become_facts_that_npcs_tell_and_cite(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    book.write_text(json.dumps(LOREBOOK))
    with running(tmp_path / "data") as server:

        def post(path: str, data: dict[str, Any]) -> Any:
            status, reply = server.post(path, {"world": "valley", **data})
            assert status == 200, reply
            return reply

        post("/v1/world/create", {})
        post("/v1/world/upsert", {"entities": msgspec.to_builtins(ENTITIES)})
        post("/v1/world/assert", {"facts": msgspec.to_builtins(FACTS)})
        key = tmp_path / "data" / "api-key"
        access = ["--world", "valley", "--url", server.url, "--key-file", str(key)]
        brought = CliRunner().invoke(characters, ["import", *access, str(book)], catch_exceptions=False)
        assert brought.exit_code == 0, brought.output
        assert "Nobody mints here now" in say(server, "mira", "What happened to the mint?")["text"]
        said = say(server, "mira", "What do you know of the old vault?")
        explained = post("/v1/dialogue/explain", {"explain_id": said["explain_id"]})
        assert "walled up after the river" in json.dumps(explained["context"]), "a model would be told it, too"
        made = json.loads(run("lore", "inn", *access, "--commit", "k", "--json"))
        assert made["committed"]
        got = post("/v1/world/get", {"id": "inn"})
        facts = {f"inn {fact['predicate']}": fact["value"] for fact in got["facts"]}
        (text,) = [each for each in made["lore"] if not each["known_by"]]
        assert {key for each in text["sentences"] for key in each["cites"]} <= facts.keys()
        before = facts["inn old_name"]
        told = say(server, "anna", f"Tell me about {before}")
        assert before in told["text"]
        assert "fact inn old_name" in {claim["source"] for claim in told["claims"]}
        assert json.loads(run("lore", "inn", *access, "--commit", "k", "--json")) == made
