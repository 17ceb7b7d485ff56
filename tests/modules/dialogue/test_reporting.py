"""A report says what was truly said, whatever a player writes about it."""

from __future__ import annotations

import pytest

from app.core.errors import NotFound
from app.modules.dialogue.reporting import Report, Reported
from tests.doubles import RamReports
from tests.modules.dialogue.village import TENANT, WORLD, make_stage


async def test_a_report_holds_the_line_as_it_was_said() -> None:
    kept = RamReports()
    stage = make_stage(reports=kept)
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Hello!")
    done = await stage.ask(Report(explain_id=said.explain_id, player="p1", category="wrong", text="rude\x00"))
    assert isinstance(done, Reported)
    one = await kept.get(TENANT, done.report)
    assert (one.world, one.npc, one.line, one.text) == (WORLD, "mira", said.text, "rude")
    assert one.ai_generated is said.ai_generated


async def test_a_report_for_nobody_is_refused() -> None:
    kept = RamReports()
    with pytest.raises(NotFound, match="no player 'p9'"):
        await make_stage(reports=kept).ask(Report(explain_id="x", player="p9", category="hate"))
    assert kept.kept == {}
