"""Where things are, as tests: the same files in every module, files of readable length, no secrets of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
MODULE_FILES = {"README.md", "handler.py", "logic.py", "messages.py", "module.py", "settings.py"}
LINES_MAX = 450
LONG = {}
"""Files that may be longer, each with its reason; the list does not grow without one."""
MODULES = sorted(path for path in (APP / "modules").iterdir() if path.is_dir() and not path.name.startswith("__"))
SOURCES = sorted(APP.rglob("*.py"))


@pytest.mark.parametrize("folder", MODULES, ids=lambda path: path.name)
def test_every_module_has_the_same_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} >= MODULE_FILES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_knows_and_stays_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_MAX or str(path.relative_to(ROOT)) in LONG
    assert ast.get_docstring(ast.parse(text)), "a file opens by saying what it knows"


@pytest.mark.parametrize("word", ["utils", "helpers", "manager", "common", "base", "misc"])
def test_no_file_has_a_name_that_says_nothing(word: str) -> None:
    assert not [path for path in SOURCES if path.stem == word]


def test_broad_excepts_stand_only_where_a_stranger_s_fault_must_not_spread() -> None:
    allowed = {
        "app/edge/router.py",
        "app/edge/doors/door.py",  # no router stands around it: what breaks is told in the protocol of its client
        "app/stores/journal.py",
        "app/control/auth.py",  # whatever goes wrong about a credential, it does not hold
        "app/control/passkeys.py",  # whatever goes wrong about a passkey, it does not hold
        "app/control/access.py",  # a watch that ended would go on letting in whoever is revoked
    }
    broad = re.compile(r"except (Base)?Exception\b|except:")
    found = {str(path.relative_to(ROOT)) for path in SOURCES if broad.search(path.read_text())}
    assert found <= allowed


def test_settings_that_hold_a_number_name_their_unit() -> None:
    units = re.compile(r"_(max|min|ms|s|bytes|minutes|days|tokens|cells|rows|share|chars|npcs|events|chunks|per_\w+)$")
    unitless = {"server.port", "server.admin_port", "mode", "onnx.threads"}
    found = set()
    for path in [APP / "core" / "profile.py", APP / "core" / "quotas.py", *(APP / "modules").glob("*/settings.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and ast.unparse(field.annotation) in ("int", "float"):
                        name = ast.unparse(field.target)
                        if not units.search(name):
                            found.add(f"{node.name.lower()}.{name}".replace("profile.mode", "mode"))
    assert found <= unitless


def test_no_file_names_a_path_of_one_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    words = re.compile(
        "|".join((r"/ro" "ot/", r"/wo" "rk/", r"pypi\." "org", r"pythonhosted\." "org", r"npmjs\." "org"))
    )
    found = []
    for name in listed:
        path = ROOT / name
        if (
            path.suffix in (".py", ".md", ".toml", ".js", ".yaml", ".lock", ".txt", ".html", ".css", "")
            and path.is_file()
        ):
            found += [name] if words.search(path.read_text(errors="ignore")) else []
    assert found == []
