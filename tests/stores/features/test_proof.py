"""What a server saved of its features is held against the log: damage is named, and mended to the same bytes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.events import events
from tests.cli.test_features import play


def replay(folder: Path, *arguments: str, history: str = "true") -> Result:
    settings = ["--set", "features.views=people", "--set", f"features.history={history}"]
    return CliRunner().invoke(events, ["replay", "--mode", "1", "--data", str(folder), *settings, *arguments])


def kept(folder: Path, pattern: str) -> Path:
    (found,) = (folder / "features").rglob(pattern)
    return found


@pytest.mark.parametrize("history", ["true", "false"])
def test_what_a_server_saved_equals_the_log(tmp_path: Path, history: str) -> None:
    asyncio.run(play(tmp_path, history=history))
    checked = replay(tmp_path, "--check", "--json", history=history)
    assert checked.exit_code == 0, checked.output
    found = {one["projection"]: one for one in json.loads(checked.output)}
    assert found.keys() == {"state", "minds", "features.people"}
    assert found.pop("minds")["faults"] == [], "nobody has anything to remember"
    assert {(one["seq"], one["saved_seq"], tuple(one["faults"])) for one in found.values()} == {(7, 7, ())}


@pytest.mark.parametrize("damage", [b"", b"\x00", b"rubbish"])
def test_damaged_vectors_are_named_and_mended_to_the_same_bytes(tmp_path: Path, damage: bytes) -> None:
    asyncio.run(play(tmp_path))
    file = kept(tmp_path, "online-with-history.bin")
    before = file.read_bytes()
    changed = bytearray(before)
    changed[-9] ^= 1  # in the numbers of the last row
    file.write_bytes(damage or bytes(changed))
    checked = replay(tmp_path, "--check")
    assert checked.exit_code == 1
    assert "features.people  7 events" in checked.output
    assert "state  7 events" in checked.output
    assert checked.output.count("DIFFERS") == 1
    assert "the saved vectors" in checked.output
    assert replay(tmp_path).exit_code == 1, "it was mended, and says what was wrong"
    assert file.read_bytes() == before
    assert replay(tmp_path, "--check").exit_code == 0


@pytest.mark.parametrize("how", ["gone", "torn", "changed"])
def test_damaged_history_is_named_and_mended_to_the_same_bytes(tmp_path: Path, how: str) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    asyncio.run(play(tmp_path))
    file = kept(tmp_path, "*.parquet")
    before = file.read_bytes()
    if how == "torn":
        file.write_bytes(before[: len(before) // 2])
    elif how == "changed":
        table = pq.read_table(file)
        at = table.schema.get_field_index("at_s")
        pq.write_table(table.set_column(at, "at_s", pc.add(table["at_s"], 1.0)), file, compression="zstd")
    else:
        table = pq.read_table(file)
        pq.write_table(table.slice(0, table.num_rows - 1), file, compression="zstd")
    checked = replay(tmp_path, "--check")
    assert checked.exit_code == 1
    assert f"history {file.name}" in checked.output
    assert replay(tmp_path).exit_code == 1
    assert replay(tmp_path, "--check").exit_code == 0
    assert file.read_bytes() == before
