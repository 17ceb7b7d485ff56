"""The quest author's tutorial is true: its requests are sent to a real server and its commands are run, in order."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.servers import ROOT, Server, running

PAGE = (ROOT / "docs" / "tutorial" / "quest-author.md").read_text(encoding="utf-8")
PIECES = re.compile(
    r"^`POST (?P<path>\S+)`\n```json\n(?P<body>.*?)```|^\*answer\*\n```json\n(?P<answer>.*?)```", re.M | re.S
)
COMMAND = re.compile(r"^```sh\npython (?P<command>.*?)\n```\n```text\n(?P<text>.*?)```", re.M | re.S)


def test_every_request_and_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        asked = _told(server)
        found = COMMAND.search(PAGE)
        assert found is not None
        (tmp_path / "quests.json").write_text(json.dumps({"quests": asked["quests"]}), encoding="utf-8")
        command = [sys.executable, str(ROOT / found["command"].split()[0]), *found["command"].split()[1:]]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == found["text"]


def _told(server: Server) -> Any:
    """Every request in order, each answer held against what the page says; the last request."""
    reply: Any = None
    sent: Any = None
    for piece in PIECES.finditer(PAGE):
        if piece["path"]:
            sent = json.loads(piece["body"])
            status, reply = server.post(piece["path"], sent)
            assert status == 200, (piece["path"], reply)
        else:
            said = json.loads(piece["answer"])
            assert _part(said, reply), (said, reply)
    return sent


def _part(said: Any, whole: Any) -> bool:
    """Whether what the page shows is in the answer."""
    if isinstance(said, dict):
        return isinstance(whole, dict) and all(name in whole and _part(said[name], whole[name]) for name in said)
    return bool(said == whole)
