"""A mode is what its profile says, and what is not there is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from tests.servers import ROOT, running

DECIDE = {"world": "w", "tick": 1, "npcs": ["mara"], "rows": [[0.0] * 64], "format": "lists"}
WANTED = {"nv_tensorrt_rtx": "NvTensorRTRTXExecutionProvider", "cuda": "CUDAExecutionProvider"}


@pytest.mark.parametrize(("mode", "rung"), [(1, "utility"), (2, "policy"), (3, "policy")])
def test_each_mode_decides_by_its_own_best_rung(tmp_path: Path, mode: int, rung: str) -> None:
    with running(tmp_path, mode=mode) as server:
        server.post("/v1/world/create", {"world": "w"})
        server.post("/v1/world/upsert", {"world": "w", "entities": [{"type": "npc", "id": "mara"}]})
        status, decided = server.post("/v1/behavior/decide", DECIDE)
        assert status == 200, decided
        assert decided["lists"]["rungs"] == [rung]
        _, ready = server.get("/health/ready")
        assert ready["mode"] == mode


def test_mode_3_names_every_provider_that_is_missing(tmp_path: Path) -> None:
    missing = [name for name in WANTED.values() if name not in onnxruntime.get_available_providers()]
    with running(tmp_path, mode=3) as server:
        _, ready = server.get("/health/ready")
    policy = next(engine for engine in ready["engines"] if engine["name"] == "policy")
    assert ready["ready"]
    assert ("policy" in ready["degraded"]) == bool(missing)
    assert all(name in policy["detail"] for name in missing)
    if len(missing) == len(WANTED):
        assert policy["provider"] == "cpu"
        assert "--extra gpu" in policy["mend"]


def test_doctor_says_what_is_missing_by_its_exit_code(tmp_path: Path) -> None:
    def examine(mode: int) -> tuple[int, dict[str, object]]:
        command = [sys.executable, str(ROOT / "manage.py"), "doctor", "--mode", str(mode), "--json"]
        run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        return run.returncode, json.loads(run.stdout)

    code, found = examine(2)
    assert (code, found["degraded"]) == (0, [])
    code, found = examine(3)
    assert code == (3 if found["degraded"] else 0)
    assert list(tmp_path.iterdir()) == [], "doctor leaves nothing behind"


def test_a_damaged_model_falls_to_the_rules_and_says_so(tmp_path: Path) -> None:
    """The catalog's hash is compared before a network is loaded."""
    models = tmp_path / "models"
    models.mkdir()
    for file in (ROOT / "models").iterdir():
        (models / file.name).write_bytes(file.read_bytes())
    damaged = models / "behavior-open-world-int8.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x00")
    code = f"""
import asyncio, json
from pathlib import Path
from app import build
from app.core.profile import layers, load
(Path({str(tmp_path)!r}) / "migrations").symlink_to(build.ROOT / "migrations")

async def main():
    flags = {{"server.data_folder": {str(tmp_path / "data")!r}}}
    sources = layers(build.ROOT / "profiles", mode=2, file=None, environment={{}}, flags=flags)
    loaded = load(sources, build.MODULE_SETTINGS)
    innkeeper = await build.build(loaded.profile, root=Path({str(tmp_path)!r}))
    print(json.dumps([innkeeper.readiness()["degraded"], [m.rungs for m in innkeeper.modules if m.name == "behavior"]]))
    await innkeeper.close()

asyncio.run(main())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    degraded, rungs = json.loads(run.stdout.splitlines()[-1])
    assert degraded == ["policy"]
    assert rungs == [["utility", "reflex"]]
