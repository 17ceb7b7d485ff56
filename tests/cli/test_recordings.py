"""Recorded play on the command line: taken elsewhere, decided again, learned from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from app.cli.behavior import behavior
from app.cli.train import train
from app.core.errors import Conflict, Invalid, NotFound
from tests.modules.behavior.playing import decide, files, recording, reward
from tests.modules.behavior.stage import LAYOUT, handles

NPCS, TICKS = 200, 40


def asked(command: Any, *arguments: object) -> Result:
    """What a command says; an error of the tree is raised as the caller would meet it."""
    found = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


async def play(folder: Path) -> None:
    """Record ticks whose rewards grow with the handle, and repeat every seven."""
    async with recording(folder, npcs=NPCS) as on:
        for tick in range(TICKS):
            await decide(on, NPCS, tick=tick, seed=tick)
            worth = np.linspace(-1.0, 1.0, NPCS, dtype="<f4") + np.float32(tick % 7)
            await reward(on, tick=tick, npcs=(), handles=handles(NPCS), rewards=(), reward=worth.tobytes())


@pytest.fixture
def played(tmp_path: Path) -> Path:
    asyncio.run(play(tmp_path / "rec"))
    return tmp_path / "rec"


def test_an_export_has_a_row_for_each_decision_with_its_reward(played: Path, tmp_path: Path) -> None:
    assert asked(behavior, "export", played, "--out", tmp_path / "x.parquet").exit_code == 0
    assert asked(behavior, "export", played, "--out", tmp_path / "x.npz").exit_code == 0
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.num_rows == NPCS * TICKS
    assert {"world", "npc", "tick", "intent", "reward", "ends", "obs.hunger", "may.flee"} <= set(table.column_names)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert arrays["features"].tolist() == list(LAYOUT.feature_names)
        hunger = arrays["obs"][:, LAYOUT.columns["hunger"]]
        assert np.array_equal(table["obs.hunger"].to_numpy(), hunger)
        assert np.array_equal(table["reward"].to_numpy(), arrays["reward"])
        assert arrays["reward"].reshape(NPCS, TICKS)[0] == pytest.approx(np.arange(TICKS) % 7 - 1.0)
        assert set(arrays["world"].tolist()) == {"t/w"}


def test_an_export_is_refused_in_words(played: Path, tmp_path: Path) -> None:
    (tmp_path / "there.npz").touch()
    for arguments, kind, words in (
        ((played, "--out", tmp_path / "there.npz"), Conflict, "exists"),
        ((played, "--out", tmp_path / "x.csv"), Invalid, "neither"),
        ((tmp_path / "no", "--out", tmp_path / "x.npz"), NotFound, "no recording"),
        ((played, "--out", tmp_path / "x.npz", "--schema", "chess"), NotFound, "chess"),
    ):
        with pytest.raises(kind, match=words):
            asked(behavior, "export", *arguments)


def test_a_replay_tells_people_and_programs(played: Path) -> None:
    words = asked(behavior, "replay", played, "--mode", "1")
    assert words.exit_code == 0, words.output
    assert f"{TICKS} ticks, {NPCS * TICKS:,} decisions (utility {NPCS * TICKS:,})" in words.output
    assert "bit for bit" in words.output
    path = files(played)[0]
    data = bytearray(path.read_bytes())
    data[-30_000] ^= 1
    path.write_bytes(bytes(data))
    said = json.loads(asked(behavior, "replay", path, "--mode", "1", "--json").stdout)
    assert said["equal"]
    assert said["rows"] < NPCS * TICKS
    assert len(said["damaged_files"]) == 1
    narrow = asked(behavior, "replay", path, "--mode", "1", "--set", "ladder.behavior=reflex")
    assert narrow.exit_code == 1
    assert "perhaps because: another ladder" in narrow.output


@pytest.mark.needs_torch
def test_a_policy_is_taught_from_a_recording(played: Path, tmp_path: Path) -> None:
    run = ("offline", "--from", played, "--steps", "60", "--out", tmp_path / "run", "--no-card", "--agreement-min", "0")
    found = asked(train, *run)
    assert found.exit_code == 0, found.output
    assert "which rests on" in found.output
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"policy.onnx", "report.json", "curve.png", "catalog.toml", "checkpoint.pt"}
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["rows"], report["rewards"]) == (NPCS * TICKS, NPCS * TICKS)
    with pytest.raises(Conflict, match="no policy was written"):
        asked(train, *run[:-1], "1")
    with pytest.raises(Invalid, match="is no file"):
        asked(train, *run, "--start", "nowhere.onnx")
