"""A GGUF into the data folder: looked at, weighed, copied with its hash, and named in a profile that then runs it."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.cli.importing import with_values
from app.core.errors import Invalid
from tests.engines.test_plan import write_gguf
from tests.servers import ROOT


def models(folder: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "models", "import", *arguments, "--data", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gguf")
    from tests.engines.tiny_gguf import write_tiny

    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.mark.needs_llama
def test_a_model_is_told_of_copied_whole_and_its_lines_are_shown(tiny: Path, tmp_path: Path) -> None:
    done = models(tmp_path / "data", str(tiny), "--as", "mira", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ("llama", "F32", "4096 tokens", "ChatML", "cc0-1.0", "Mira"):
        assert told in done.stdout
    placed = tmp_path / "data" / "models" / "mira.gguf"
    assert placed.read_bytes() == tiny.read_bytes()
    assert hashlib.sha256(tiny.read_bytes()).hexdigest() in done.stdout
    lines = tomllib.loads(done.stdout[done.stdout.index("[engines.llama]") :])
    assert lines["engines"]["llama"] == {"file": "data/models/mira.gguf", "context_tokens_max": 4096}
    assert [path.name for path in placed.parent.iterdir()] == ["mira.gguf"], "no half of a copy is left"


@pytest.mark.needs_llama
def test_the_profile_that_it_writes_makes_it_an_engine_that_is_ready(tiny: Path, tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("# ours\n[engines.llama]\ngpu_layers_max = 0 # none\n\n[server]\nport = 7000\n")
    done = models(tmp_path / "data", str(tiny), "--write", str(profile), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "# ours" in profile.read_text()
    assert "gpu_layers_max = 0 # none" in profile.read_text()
    command = [sys.executable, str(ROOT / "manage.py"), "doctor", "--json", "--mode", "2", "--profile", str(profile)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False).stdout)
    assert {engine["name"]: engine["state"] for engine in found["engines"]}["llama"] == "ready"


@pytest.mark.needs_llama
def test_a_link_takes_no_room(tiny: Path, tmp_path: Path) -> None:
    done = models(tmp_path, str(tiny), "--link")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "tiny.gguf").readlink() == tiny
    assert hashlib.sha256(tiny.read_bytes()).hexdigest() in done.stdout


@pytest.mark.needs_llama
def test_what_is_there_is_not_overwritten(tiny: Path, tmp_path: Path) -> None:
    assert models(tmp_path, str(tiny)).returncode == 0
    again = models(tmp_path, str(tiny))
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert "--as" in again.stderr
    assert models(tmp_path, str(tiny), "--as", "other").returncode == 0


@pytest.mark.needs_llama
def test_a_file_cut_short_is_refused_and_nothing_is_kept(tiny: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:30_000])
    refused = models(tmp_path / "data", str(cut))
    assert refused.returncode == 2
    assert "cut short: it has 30000 of" in refused.stderr
    assert not (tmp_path / "data" / "models").exists()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a picture", "begins with b'a pi'"),
        (b"", "begins with b''"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 0), "holds no weights"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1 << 60, 0), "tensors"),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(data)
    refused = models(tmp_path / "data", str(tmp_path / "m.gguf"))
    assert refused.returncode == 2
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    refused = models(tmp_path, str(tmp_path / "m.gguf"), "--as", "../m")
    assert refused.returncode == 2
    assert "no name for a model" in refused.stderr


def test_a_model_larger_than_the_machine_is_refused_with_what_would_fit(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path, size=1 << 20, tensor_elements=1 << 17)
    command = ("--set", "engines.llama.context_tokens_max=50000000")
    refused = models(tmp_path / "data", str(path), *command)
    assert refused.returncode == 2
    assert "does not fit this machine" in refused.stderr
    tokens = int(refused.stderr.rsplit("context_tokens_max=", 1)[1])
    assert models(tmp_path / "data", str(path), "--set", f"engines.llama.context_tokens_max={tokens}").returncode == 0
    os.truncate(path, 1 << 42)
    refused = models(tmp_path / "data", str(path), "--as", "large")
    assert "smaller quantization" in refused.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[engines.llama]\nfile = "m.gguf"\n'),
        ("[server]\nport = 1\n", '[server]\nport = 1\n\n[engines.llama]\nfile = "m.gguf"\n'),
        (
            '[engines.llama] # ours\nfile = "old"\nthreads_max = 2\n[ladder]\na = ["b"]\n',
            '[engines.llama] # ours\nfile = "m.gguf"\nthreads_max = 2\n[ladder]\na = ["b"]\n',
        ),
    ],
)
def test_only_the_values_meant_change_in_a_profile(before: str, after: str) -> None:
    assert with_values(before, "engines.llama", {"file": "m.gguf"}) == after


def test_a_profile_laid_out_otherwise_is_left_to_its_owner() -> None:
    with pytest.raises(Invalid, match="another way"):
        with_values('engines = { llama = { file = "x" } }\n', "engines.llama", {"file": "m.gguf"})
