"""Exports are played in the runtimes of their languages, to the quest's end by each branch."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from app.modules.dialogue.stories import ink as ink_stories
from app.modules.dialogue.stories import yarn as yarn_stories
from app.modules.dialogue.stories.limits import Limits
from app.modules.quests.draft import Draft
from app.modules.quests.exports import ink, twee, yarn
from app.modules.quests.exports.records import records
from tests.modules.dialogue.stories.playing import LIMITS, Player
from tests.modules.quests.exports import drawing
from tests.modules.quests.exports.drawing import BEFORE, RING

WAYS = {
    "peace": ["✓", "✓", "Buy it back", "✓", "✓"],
    "war": ["✓", "✗", "Take it from the bandit", "✓"],
}
END = "✓ The smith's ring"
SOME = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
PACKAGES = ("inkjs@2",)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node_modules folder that holds ink's own runtime for JavaScript."""
    folder = tmp_path_factory.mktemp("inkjs")
    npm = shutil.which("npm") or "npm"
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), *PACKAGES]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder / "node_modules"


def played(modules: Path, source: Path, **order: Any) -> list[dict[str, Any]]:
    node = shutil.which("node") or "node"
    command = [node, str(Path(__file__).parent / "ink_oracle.js"), str(source), json.dumps(order)]
    environment = {**os.environ, "ORACLE_MODULES": str(modules)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
    told = json.loads(done.stdout)
    assert told["told"] == []
    runs: list[dict[str, Any]] = told["runs"]
    return runs


@pytest.mark.needs_node
def test_ink_s_own_runtime_reaches_the_end_by_each_branch(modules: Path, tmp_path: Path) -> None:
    source = tmp_path / "quests.ink"
    source.write_text(ink.write((RING,)), encoding="utf-8")
    runs = played(modules, source, set={}, path="", read=["quest_q7_done"], picks=list(WAYS.values()))
    for branch, run in zip(RING.branches, runs, strict=True):
        assert run["lines"][0] == [RING.title, [tag for tag in run["lines"][0][1] if tag]]
        assert "quest: q7" in run["lines"][0][1]
        assert run["lines"][-1] == [END, ["done: q7"]]
        assert run["done"] == [True]
        shown = [tags[0] for _, tags in run["lines"] if tags and tags[0].startswith("step: ")]
        assert shown == [f"step: {step.id}" for step in (*RING.steps, *branch.steps)]
    assert [tags[0] for _, tags in runs[0]["offered"][2]] == ["branch: peace", "branch: war"]


@pytest.mark.needs_node
def test_in_a_game_only_its_variables_move_the_quest(modules: Path, tmp_path: Path) -> None:
    source = tmp_path / "quests.ink"
    source.write_text(ink.write((RING,)), encoding="utf-8")
    done = "set quest_q7_step_ask_done", "set quest_q7_branch_war_step_slay_done"
    picks = [[done[0], "Take it from the bandit", done[1]]]
    order: dict[str, Any] = {"set": {"rehearsal": False}, "path": "quest_q7", "read": ["quest_q7_done"]}
    (run,) = played(modules, source, picks=picks, **order)
    assert run["offered"][0] == [], "nothing to choose before the game says that the step is done"
    assert run["lines"][-1] == [END, ["done: q7"]]
    (idle,) = played(modules, source, picks=[[]], **order)
    assert idle["done"] == [False]


@pytest.mark.needs_node
def test_ink_s_own_runtime_shows_nasty_texts_as_they_are(modules: Path, tmp_path: Path) -> None:
    steps = RING.steps[:1]
    quests = tuple(Draft(id=f"n{n}", title=text, giver="x", steps=steps) for n, text in enumerate(drawing.NASTY))
    source = tmp_path / "nasty.ink"
    source.write_text(ink.write(quests), encoding="utf-8")
    titles = [next(records(quest)).shown for quest in quests]
    runs = played(modules, source, set={}, path="", read=[], picks=[[title, "✓"] for title in dict.fromkeys(titles)])
    assert [text for text, _ in runs[0]["offered"][0]] == titles
    for title, run in zip(dict.fromkeys(titles), runs, strict=True):
        assert run["lines"][0][0] == title
        assert run["lines"][-1][0] == f"✓ {title}"


@pytest.mark.parametrize("way", WAYS)
def test_our_own_runtime_reaches_the_end_of_both_languages(way: str) -> None:
    for player in (
        Player(ink_stories.compile(ink.write((RING,)), "story", limits=LIMITS)),
        Player(yarn_stories.compile(yarn.write((RING,)), "story", limits=LIMITS)).pick(RING.title),
    ):
        for pick in WAYS[way]:
            player.pick(pick)
        assert player.lines[-1] == END
        assert player.choices == []


def test_a_quest_opens_when_those_before_it_are_done() -> None:
    for player in (
        Player(ink_stories.compile(ink.write((RING, BEFORE)), "story", limits=LIMITS)),
        Player(yarn_stories.compile(yarn.write((RING, BEFORE)), "story", limits=LIMITS)),
    ):
        assert player.choices == [BEFORE.title]


@SOME
@given(quests=drawing.files)
def test_whatever_authors_write_compiles(quests: tuple[Draft, ...]) -> None:
    limits = Limits()
    said = {record.shown for quest in quests for record in records(quest)}
    if all(text.isprintable() for text in said):
        ink_stories.compile(ink.write(quests), "story", limits=limits)
        yarn_stories.compile(yarn.write(quests), "story", limits=limits)


def test_each_text_of_a_script_is_in_its_table_under_a_stable_id() -> None:
    script = yarn.write((BEFORE, RING))
    tagged = re.findall(r"#line:(\S+)", script)
    rows = list(csv.DictReader(io.StringIO(yarn.texts((BEFORE, RING), language="en", file="quests.yarn"))))
    assert [row["id"] for row in rows] == [f"line:{id}" for id in tagged]
    assert len(set(tagged)) == len(tagged)
    by_id = {row["id"]: row for row in rows}
    ring = by_id["line:q7.branch.war.step.slay"]
    assert ring["text"] == 'Slay "Red" Olaf — or be slain.'
    assert script.split("\n")[int(ring["lineNumber"]) - 1].startswith('Slay "Red" Olaf')
    alone = {row["id"]: row for row in csv.DictReader(io.StringIO(yarn.texts((RING,), language="en", file="x.yarn")))}
    same = alone["line:q7.branch.war.step.slay"]
    assert (same["text"], same["lock"]) == (ring["text"], ring["lock"]), "whatever else is in the file"


@SOME
@given(quests=drawing.files)
def test_ids_of_texts_are_distinct_whatever_ids_are(quests: tuple[Draft, ...]) -> None:
    found = re.findall(r" #line:(\S+)", yarn.write(quests))
    assert len(set(found)) == len(found)


@SOME
@given(quests=drawing.files)
def test_twine_finds_every_passage_that_is_linked(quests: tuple[Draft, ...]) -> None:
    text = twee.write(quests)
    heads = re.findall(r"^:: (\S+)(?: \[(\w+)\] (\{.*\}))?$", text, re.MULTILINE)
    names = [name for name, _, _ in heads]
    assert names[:2] == ["StoryTitle", "StoryData"]
    assert len(set(names)) == len(names)
    assert set(re.findall(r"^\[\[[^\[\]]*->(\S+)\]\]$", text, re.MULTILINE)) <= set(names)
    places = [json.loads(place)["position"] for _, _, place in heads[2:]]
    assert len(set(places)) == len(places), "no passage lies on another"
    data = json.loads(text.split(":: StoryData\n")[1].split("\n\n\n")[0])
    assert re.fullmatch(r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}", data["ifid"])
    assert data["start"] in names
    assert twee.write(quests) == text
