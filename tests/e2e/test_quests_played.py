"""Quests played over the real API to their ends, in spite of rivals, deaths and power cuts in the middle."""

from __future__ import annotations

from pathlib import Path

from tests.modules.quests.bot import Bot


def test_no_quest_is_left_in_limbo_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    bot = Bot(tmp_path, seed=1, kill_every=120, cuts_max=2)
    try:
        tally = bot.run(45)
    finally:
        bot.close()
    assert tally.faults == []
    assert tally.kills == 2
    assert all(tally.kinds[kind] for kind in ("solo", "party", "guild", "server", "written"))
    assert tally.ends["completed"] >= 15
    assert tally.ends["compensated"] >= 1
    assert tally.declared >= 1
    assert len(tally.payouts) >= tally.ends["completed"]


def test_who_is_not_disturbed_completes_every_quest(tmp_path: Path) -> None:
    bot = Bot(tmp_path, seed=2, calm=True)
    try:
        tally = bot.run(18)
    finally:
        bot.close()
    assert tally.faults == []
    assert set(tally.ends) == {"completed"}
