"""Other runtimes of the two languages tell the same stories: lines, tags and choices, along random walks.

A check for development: it wants Node.js, and a folder whose node_modules hold `inkjs` and `@mnbroatch/bondage`, which
the variable ORACLE_MODULES names. Without them it is left out.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.modules.dialogue.stories.playing import FIXTURES, Player, fixture

MODULES = os.environ.get("ORACLE_MODULES", "")
WALKS = 60
pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not (Path(MODULES) / "inkjs").is_dir(), reason="no Node.js, or no ORACLE_MODULES"
)


def transcripts(program: str, file: str, walks: list[list[int]]) -> list[Any]:
    node = shutil.which("node") or "node"
    command = [node, str(Path(__file__).parent / program), str(FIXTURES / file), json.dumps(walks)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told = json.loads(done.stdout)
    assert told["told"] == [], "the other runtime has nothing to complain of"
    found: list[Any] = told["transcripts"]
    assert len(found) == len(walks)
    return found


def walks_of(seed: int) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(12) for _ in range(25)] for _ in range(WALKS)]


@pytest.mark.parametrize("file", sorted(path.name for path in FIXTURES.glob("*.ink") if path.name != "ledger.ink"))
def test_ink_s_own_runtime_tells_the_same(file: str) -> None:
    walks = walks_of(1)
    for walk, theirs in zip(walks, transcripts("oracle.js", file, walks), strict=True):
        ours = Player(fixture(file)).walk(walk)
        assert ours == [([(text, tags) for text, tags in beat["lines"]], beat["choices"]) for beat in theirs]


def test_another_runtime_of_yarn_tells_the_same() -> None:
    walks = walks_of(2)
    for walk, theirs in zip(walks, transcripts("yarn_oracle.js", "ferry.yarn", walks), strict=True):
        ours = [([text for text, _ in lines], choices) for lines, choices in Player(fixture("ferry.yarn")).walk(walk)]
        assert ours == [(beat["lines"], beat["choices"]) for beat in theirs]
