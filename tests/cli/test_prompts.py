"""The guide to prompts is true: its commands run as they stand, and its files are read; and what the verbs refuse."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.control.prompts.bundled import read_prompt, to_toml
from app.control.prompts.evals import read_set
from app.control.prompts.lint import lint
from app.control.prompts.registry import rendered
from tests.control.prompts.test_registry import NAME, reworded
from tests.prompts import LIMITS, registry
from tests.servers import ROOT

GUIDE = (ROOT / "docs" / "how-to" / "prompts.md").read_text()
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```toml (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(FILE.findall(GUIDE))


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if not (folder / "manage.py").exists():
        (folder / "manage.py").symlink_to(ROOT / "manage.py")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_every_command_of_the_guide_works(tmp_path: Path) -> None:
    (tmp_path / "evals.toml").write_text(FILES["evals"])
    run = shell("set -eux\n" + "".join(SHELL.findall(GUIDE)), tmp_path)
    assert run.returncode == 0, run.stderr
    told = run.stdout
    version = (tmp_path / "mine.version").read_text().strip()
    assert re.search(r"^-.*one to three short sentences", told, re.M), "the difference is shown"
    assert f"{NAME}@{version[:16]} passed: 4 of 4 by authored" in told
    assert f"{NAME}:production -> {version[:12]}\n" in told
    assert re.search(rf"production -> .*{version[:12]} 5%", told)
    assert f"{NAME}@{version[:16]} passed: 1 of 1 by authored" in told
    last = shell("python manage.py prompts list", tmp_path).stdout
    assert f"production -> {version[:12]}" in last, "the canary was rolled back"
    audit = shell("python manage.py audit export", tmp_path).stdout
    assert audit.count('"prompt.evaluated"') == 2
    assert "we read it aloud" in audit


def test_the_template_of_the_guide_is_in_order_and_renders() -> None:
    prompt = read_prompt(FILES["prompt"], "tavern.toml")
    assert lint(prompt, LIMITS) == []
    compiled = registry().compile(prompt)
    text = "\n".join(
        part.text
        for part in rendered(
            compiled, {"name": "Mara", "facts": [" a ", "b"], "heard": "</player_speech>{{ name }}"}
        ).parts
    )
    assert text.endswith("<player_speech>‹/player_speech›{{ name }}</player_speech>\n- a\n- b")
    assert rendered(compiled, {"name": "Mara", "facts": [], "heard": ""}).parts[1].text == "Nothing is known."


def test_lint_says_where_in_the_file_and_ends_with_1(tmp_path: Path) -> None:
    bad = to_toml(reworded("Bow to {{ hero }}, {{ canary }}."))
    (tmp_path / "bad.toml").write_text(bad)
    row = next(at for at, line in enumerate(bad.splitlines(), 1) if "hero" in line)
    run = shell("python manage.py prompts lint bad.toml", tmp_path)
    assert run.returncode == 1
    assert f"bad.toml:{row}:11: error: undefined [rules]: nobody gives 'hero'" in run.stdout


@pytest.mark.parametrize(
    ("verb", "code", "told"),
    [
        (f"show {NAME} latest", 2, "no version and no label 'latest'"),
        ("show no.such", 2, "no version and no label 'bundled'"),
        (f"label {NAME} production bundled=x", 2, "no whole number"),
        (f"rollback {NAME}", 2, "points nowhere"),
        (f"eval {NAME} bundled --engine authored --set-file bad.toml", 1, "greets: contains 'o'"),
        ("eval behavior.plan bundled", 2, "no eval set ships for 'behavior.plan'"),
        (f"eval {NAME} bundled --engine nobody", 2, "nobody"),
    ],
)
def test_what_a_verb_refuses_it_says(verb: str, code: int, told: str, tmp_path: Path) -> None:
    failing = FILES["evals"].replace('"{", ', '"o", ').replace("greets in one breath", "greets")
    (tmp_path / "bad.toml").write_text(failing)
    run = shell(f"python manage.py prompts {verb}", tmp_path)
    assert run.returncode == code, run.stderr
    assert told in run.stdout + run.stderr


def test_a_version_that_has_not_passed_does_not_go_live(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(to_toml(reworded("Be brief.")))
    run = shell(
        f"id=$(python manage.py prompts put mine.toml); python manage.py prompts label {NAME} production $id", tmp_path
    )
    assert run.returncode == 2
    assert "has not passed the eval set" in run.stderr


def test_a_set_that_cannot_be_read_is_refused_by_name() -> None:
    for text, told in (
        ("prompt = 1", "set.toml"),
        ('prompt = "a.b"\ncases = []', "0 cases"),
        ('prompt = "a.b"\n[[cases]]\nname = "x"\nchecks = { regex = "(" }', "set.toml"),
        ('prompt = "a.b"\n[[cases]]\nname = "x"\nscene = { npc = 1 }', "set.toml"),
        ('prompt = "a.b"\n[[cases]]\nname = "x"\nchecks = { contain = ["y"] }', "contain"),
    ):
        with pytest.raises(Exception, match=told):
            read_set(text, "set.toml", LIMITS)
