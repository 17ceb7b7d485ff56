"""Schemas from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

SCHEMAS = ROOT / "app" / "modules" / "behavior" / "schemas"


def shown(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "behavior", "schema", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env={"COLUMNS": "200"})


def test_the_schemas_are_listed_and_one_is_printed_with_its_columns() -> None:
    listed = shown()
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["arena", "open_world"]
    table = shown("open_world").stdout
    assert any(line.replace("│", "").split()[:4] == ["26", "104", "slot0_hp", "share"] for line in table.splitlines())
    assert "5a19dcce437814c1" in table


def test_a_program_gets_the_layout_with_offsets_and_units() -> None:
    layout = json.loads(shown("arena", "--json").stdout)
    assert (layout["row_bytes"], layout["roles"][3]) == (212, "boss")
    assert layout["features"][1] == {
        "column": 1, "offset_bytes": 4, "name": "stamina", "unit": "share", "low": 0.0, "high": 1.0,
        "scale": "linear", "encoded_low": 0.0, "encoded_high": 1.0, "about": "0 = exhausted",
    }  # fmt: skip
    assert [part["name"] for part in layout["candidate"]] == ["kind", "distance", "health", "marked", "open"]


def test_a_file_is_checked_and_a_studio_s_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    file = tmp_path / "schemas" / "duel.toml"
    file.write_text((SCHEMAS / "arena.toml").read_text().replace('name = "arena"', 'name = "duel"', 1))
    assert shown(str(file)).returncode == 0
    assert "duel" in shown("--content", str(tmp_path)).stdout
    assert shown("duel", "--content", str(tmp_path)).returncode == 0
    file.write_text(file.read_text().replace('"dodge", roles', '"dogde", roles'))
    refused = shown(str(file))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "reflexes[0].intent names 'dogde'" in refused.stderr
    assert "did you mean 'dodge'?" in refused.stderr
    unknown = shown("arnea")
    assert unknown.returncode == 2
    assert "did you mean 'arena'?" in unknown.stderr
