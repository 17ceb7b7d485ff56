"""The tavern evening, played through a real server: it reads without loops, and the same way every time."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_evening_is_told_by_the_authored_rung_without_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from evening import evening

    played = evening()
    spoken = [line for line in played.lines if line.npc]
    assert len(spoken) >= 70
    assert {line.rung for line in spoken} == {"authored"}
    assert len({line.who for line in spoken}) == 6
    assert played.loop_rate <= 0.01
    assert played.distinct_2 >= 0.6
    assert not [line.text for line in spoken if re.search(r"[{}#]|\s{2}", line.text)]
    assert any("your sister" in line.text for line in spoken), "nobody remembers what Robin told"
    assert any("stole" in line.text for line in spoken), "nobody speaks of the theft"
    assert evening() == played
    sys.modules.pop("evening", None)
