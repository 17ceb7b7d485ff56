"""The demo's screen: everything of a report is on it, and nothing that is said can dress up as our markup."""

from __future__ import annotations

import io

from rich.console import Console

from app.cli.demo.report import SUMMARY, Report, summary
from app.cli.demo.screen import render


def drawn(report: Report | None) -> str:
    console = Console(file=io.StringIO(), width=200, height=60, force_terminal=False)
    console.print(render(report, "http://127.0.0.1:8717/console/#code", "starting the server"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_before_the_first_report_the_note_is_shown() -> None:
    assert "starting the server" in drawn(None)


def test_numbers_lines_quests_and_the_address_are_on_the_screen() -> None:
    report = Report(
        mode=1,
        ticks=10,
        decisions=2000,
        lines=3,
        rungs={"utility": 2000, "authored": 3},
        clock="day 1, 06:40",
        newest_lines=["Ada Cobb: Still warm, if you hurry!"],
        quests=["Robin: rides to Ada Cobb"],
        engines={"authored": "en"},
    )
    text = drawn(report)
    for part in ("mode 1", "day 1, 06:40", "Still warm", "Robin: rides", "utility 99.9%", "authored: en", "#code"):
        assert part in text


def test_markup_in_a_line_stays_text() -> None:
    assert "[bold]loud[/bold]" in drawn(Report(newest_lines=["Ada: [bold]loud[/bold]"]))


def test_lost_events_are_shown() -> None:
    assert "2 lost" in drawn(Report(events_lost=2))


def test_summary_has_exactly_the_documented_keys() -> None:
    assert tuple(summary(Report())) == SUMMARY
