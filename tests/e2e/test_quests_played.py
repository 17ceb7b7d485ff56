"""Quests played over the real API to their ends, in spite of rivals, deaths and a power cut in the middle."""

from __future__ import annotations

from pathlib import Path

from tests.modules.quests.bot import Bot


def test_no_quest_is_left_in_limbo_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    bot = Bot(tmp_path, seed=3, kill_every=60)
    try:
        tally = bot.run(40)
    finally:
        bot.close()
    assert tally.limbo == []
    assert tally.doubled == []
    assert tally.lost == []
    assert tally.undeclared == []
    assert tally.kills >= 2
    assert tally.ends["completed"] >= 10
    assert tally.ends["compensated"] >= 1
    assert len(tally.payouts) >= tally.ends["completed"]
