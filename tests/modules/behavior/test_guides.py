"""What the guides show works as it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.build import MODULE_SETTINGS, ROOT
from app.core.profile import layers, load
from app.modules.behavior import messages, schedules, steering
from app.modules.behavior.settings import Settings
from tests.modules.behavior.stage import LAYOUT

FOLDER = ROOT / "docs" / "how-to"
GUIDES = [(FOLDER / f"{name}.md").read_text() for name in ("direct-your-npcs", "squads-and-schedules")]
BLOCK = re.compile(r"```(?:toml|json) (\S+)\n(.*?)```", re.S)
BLOCKS = [(kind, text) for guide in GUIDES for kind, text in BLOCK.findall(guide)]
KINDS = {kind.op: kind for kind in vars(messages).values() if hasattr(kind, "op") and "op" in vars(kind)}


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCKS if found == kind]


def test_files_of_the_guides_are_read(tmp_path: Path) -> None:
    for folder, kind in (("steering", "steering"), ("schedules", "schedules")):
        (tmp_path / folder).mkdir()
        for text in blocks(kind):
            (tmp_path / folder / "inn.toml").write_text(text)
    assert [rule.name for rule in steering.load(["inn"], LAYOUT, str(tmp_path))] == [
        "stay out of the storm",
        "guards stand their ground",
    ]
    table = schedules.load(LAYOUT, str(tmp_path), ["inn"])
    assert table is not None
    assert table.owners == {"villager": table.names.index("baker")}


@pytest.mark.parametrize("text", blocks("profile"))
def test_profiles_of_the_guides_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    sources = layers(ROOT / "profiles", mode=1, file=tmp_path / "mine.toml", environment={}, flags={})
    found: Any = load(sources, MODULE_SETTINGS).profile.modules["behavior"]
    assert isinstance(found, Settings)
    assert found.steering == ("inn",) or found.schedules == ("village",)


@pytest.mark.parametrize(("op", "text"), [block for block in BLOCKS if block[0] in KINDS])
def test_messages_of_the_guides_are_read(op: str, text: str) -> None:
    request = msgspec.json.decode(text, type=KINDS[op])
    for rule in getattr(request, "set", ()):
        steering.check(rule, LAYOUT)


def test_the_guides_show_each_of_these_messages() -> None:
    shown = {kind for kind, _ in BLOCKS}
    assert {"behavior.steer", "behavior.schedule", "behavior.squad", "behavior.formation", "behavior.intent"} <= shown
