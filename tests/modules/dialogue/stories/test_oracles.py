"""Other runtimes of the two languages tell the same stories: lines, tags and choices, along random walks.

They are installed for these tests alone, where there is a package manager for them.
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

PACKAGES = ("inkjs@2", "@mnbroatch/bondage")
WALKS = 60
pytestmark = pytest.mark.needs_node


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node_modules folder that holds the other runtimes."""
    folder = tmp_path_factory.mktemp("oracles")
    npm = shutil.which("npm") or "npm"
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), *PACKAGES]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder / "node_modules"


def transcripts(modules: Path, program: str, file: str, walks: list[list[int]]) -> list[Any]:
    node = shutil.which("node") or "node"
    command = [node, str(Path(__file__).parent / program), str(FIXTURES / file), json.dumps(walks)]
    environment = {**os.environ, "ORACLE_MODULES": str(modules)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
    told = json.loads(done.stdout)
    assert told["told"] == [], "the other runtime has nothing to complain of"
    found: list[Any] = told["transcripts"]
    assert len(found) == len(walks)
    return found


def walks_of(seed: int) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(12) for _ in range(25)] for _ in range(WALKS)]


@pytest.mark.parametrize("file", sorted(path.name for path in FIXTURES.glob("*.ink") if path.name != "ledger.ink"))
def test_ink_s_own_runtime_tells_the_same(modules: Path, file: str) -> None:
    walks = walks_of(1)
    for walk, theirs in zip(walks, transcripts(modules, "oracle.js", file, walks), strict=True):
        ours = Player(fixture(file)).walk(walk)
        assert ours == [([(text, tags) for text, tags in beat["lines"]], beat["choices"]) for beat in theirs]


def test_another_runtime_of_yarn_tells_the_same(modules: Path) -> None:
    walks = walks_of(2)
    for walk, theirs in zip(walks, transcripts(modules, "yarn_oracle.js", "ferry.yarn", walks), strict=True):
        ours = [([text for text, _ in lines], choices) for lines, choices in Player(fixture("ferry.yarn")).walk(walk)]
        assert ours == [(beat["lines"], beat["choices"]) for beat in theirs]
