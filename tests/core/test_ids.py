"""Ids sort by time; hashes are the same in every process."""

from __future__ import annotations

import subprocess
import sys

from app.core.ids import new_id, stable_hash


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id(1_700_000_000_000 + ms) for ms in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {len(id) for id in ids} == {26}


def test_a_hash_does_not_depend_on_the_process() -> None:
    code = "from app.core.ids import stable_hash; print(stable_hash('w', 7, 'é'))"
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env={"PYTHONHASHSEED": seed}, check=True
        )
        assert int(run.stdout) == stable_hash("w", 7, "é")


def test_different_parts_hash_differently() -> None:
    assert stable_hash("ab", "c") != stable_hash("a", "bc")
