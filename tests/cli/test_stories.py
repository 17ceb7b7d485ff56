"""Stories from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

FIXTURES = ROOT / "tests" / "modules" / "dialogue" / "stories" / "fixtures"


def stories(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "stories", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, input=typed)


def test_a_story_is_checked_and_drawn(tmp_path: Path) -> None:
    (tmp_path / "lost.ink").write_text("-> a\n== a\n* [On] Gone.\n== b\nNobody comes here.\n")
    done = stories("check", str(tmp_path / "lost.ink"), str(FIXTURES / "ferry.yarn"), "--svg", str(tmp_path / "svg"))
    assert done.returncode == 0, done.stderr
    rows = {line.split()[1]: line for line in done.stdout.splitlines() if line.split()[0].isdecimal() and "  " in line}
    assert "runs out" in rows["a.c-0"]
    assert "nothing leads here" in rows["b"]
    assert "nothing leads" not in rows["Crossing"]
    assert (tmp_path / "svg" / "ferry.svg").read_text().count("<rect") == 3
    told = json.loads(stories("check", str(FIXTURES / "miller.ink"), "--json").stdout)
    assert (told["syntax"], told["faults"]) == ("ink", [])
    assert {node["name"]: node["reachable"] for node in told["nodes"]}["road.thinking"]


def test_what_is_wrong_is_told_with_its_place_and_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "bad.ink").write_text("Hi.\n-> nowhere\n")
    done = stories("check", str(tmp_path / "bad.ink"))
    assert done.returncode == 1
    assert "bad.ink:2: 'nowhere' is no knot" in done.stderr
    assert "hint:" in done.stderr


def test_a_story_is_played_by_numbers_and_words_over_given_facts(tmp_path: Path) -> None:
    (tmp_path / "gate.ink").write_text(
        '- (top) Halt. {hour()}\n* {has_item("pass")} [Show the pass]\n    ~ open_door("gate")\n    Go on. -> END\n'
        "* [Beg him to let you by] No. -> top\n+ [Leave] -> END\n"
    )
    done = stories(
        "play", str(tmp_path / "gate.ink"), "--fact", "player.has pass=true", "--fact", "world.hour=23",
        typed="so I beg him, let me by\nwhat?\n1\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert said.index("Halt. 23") < said.index("No. Halt. 23") < said.index("none of them") < said.index("Go on.")
    assert "proposes open_door location=gate" in said
    assert "Show the pass" not in stories("play", str(tmp_path / "gate.ink"), typed="\n").stdout


def test_a_story_is_imported_with_what_it_includes_or_not_at_all(tmp_path: Path) -> None:
    done = stories("import", str(FIXTURES / "miller.ink"), "--content", str(tmp_path / "content"))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "content" / "stories").iterdir()} == {"miller.ink", "ledger.ink"}
    (tmp_path / "bad.yarn").write_text("title: A\n---\n<<jump B>>\n===\n")
    refused = stories("import", str(tmp_path / "bad.yarn"), "--content", str(tmp_path / "other"))
    assert refused.returncode == 2
    assert "bad.yarn:3: 'B' is no node" in refused.stderr
    assert not (tmp_path / "other").exists()
