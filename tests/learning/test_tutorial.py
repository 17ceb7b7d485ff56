"""The tutorial is true: its commands are run as they stand, from top to bottom, with less time to train."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app.cli.prove.child import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial" / "train-your-own-npc.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS_MAX = 400

WIN = """
import hashlib, re, sys
from pathlib import Path
import onnx
from onnx import helper
folder = Path(sys.argv[1])
model = onnx.load(folder / "policy.onnx")
kept = {each.key: each.value for each in model.metadata_props}
helper.set_model_props(model, kept | {"roles": "villager"})
onnx.save(model, folder / "policy.onnx")
digest = hashlib.sha256((folder / "policy.onnx").read_bytes()).hexdigest()
text = re.sub('sha256 = .*', f'sha256 = "{digest}"', (folder / "catalog.toml").read_text())
(folder / "catalog.toml").write_text(re.sub('roles = .*', 'roles = ["villager"]', text))
"""
"""Gives a policy that learned for seconds the role that ten minutes would have won; without one it is not served."""


@pytest.mark.needs_torch
def test_every_command_of_the_tutorial_works_in_a_copy_of_the_clone(tmp_path: Path) -> None:
    for folder in ("app", "models", "profiles", "migrations"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "manage.py", tmp_path)
    port = free_port()
    script = "set -eux\n" + "".join(BLOCK.findall(PAGE.read_text()))
    assert script.count("--minutes 10 ") == 2
    script = script.replace("--minutes 10 ", "--steps 100000 --quick ").replace("8717", str(port))
    script = script.replace("train score ", "train score --villages 2 --minutes 0.2 ")
    script = script.replace("cp runs/my", "python win.py runs/my-villagers\ncp runs/my")
    (tmp_path / "win.py").write_text(WIN)
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "INNKEEPER__SERVER__PORT": str(port),
    }  # fmt: skip
    heard = tmp_path / "said.txt"
    with heard.open("w") as kept:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, env=environment, start_new_session=True, stdout=kept, stderr=kept
        )
        try:
            code = shell.wait(timeout=SECONDS_MAX)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    said = heard.read_text()
    assert code == 0, said
    assert '"rungs":["policy"]' in said, said
    assert (tmp_path / "runs/greedy/beside.png").stat().st_size > 10_000
