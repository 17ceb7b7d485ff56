"""The how-to on quests is true: its requests are sent to a real server in order, and answered as it says."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from tests.servers import ROOT, Server, running

PAGE = (ROOT / "docs" / "how-to" / "quests.md").read_text(encoding="utf-8")
PIECES = re.compile(
    r"^```sh\nask (?P<path>\S+) '(?P<body>.*?)'\n```|^\*answer\*\n```json\n(?P<answer>.*?)```", re.M | re.S
)


WAIT_S_MAX = 30.0
"""How long a worker may look for another way."""


def test_every_request_of_the_page_is_answered_as_it_says(tmp_path: Path) -> None:
    quest: dict[str, Any] = {}
    asked: tuple[str, Any] = ("", None)
    reply: Any = None
    answers = 0
    with running(tmp_path / "data") as server:
        for piece in PIECES.finditer(PAGE):
            if piece["path"]:
                asked = piece["path"], json.loads(_filled(piece["body"], quest))
                reply = _told(server, *asked)
                quest = reply.get("quest", quest)
            else:
                answers += 1
                said = json.loads(_filled(piece["answer"], quest))
                until_s = time.monotonic() + WAIT_S_MAX
                while asked[0] == "quests/get" and not _part(said, reply) and time.monotonic() < until_s:
                    time.sleep(0.1)
                    reply = _told(server, *asked)
                assert _part(said, reply), (said, reply)
    assert answers == PAGE.count("*answer*\n")


def _told(server: Server, path: str, body: Any) -> Any:
    status, reply = server.post(f"/v1/{path}", body)
    assert status == 200, (path, body, reply)
    return reply


def _filled(text: str, quest: dict[str, Any]) -> str:
    """The text with the page's two words in place: the quest's id, and the events of its steps."""
    events = [
        {name: value for name, value in step["event"].items() if name != "kind"} for step in quest.get("steps", ())
    ]
    return text.replace("$QUEST", quest.get("id", "")).replace("$EVENTS", json.dumps(events))


def _part(said: Any, whole: Any) -> bool:
    """Whether what the page shows is in the answer."""
    if isinstance(said, dict):
        return isinstance(whole, dict) and all(name in whole and _part(said[name], whole[name]) for name in said)
    if isinstance(said, list):
        return isinstance(whole, list) and len(said) == len(whole) and all(map(_part, said, whole))
    return bool(said == whole)
