"""The demo's screen: one table that follows the game's reports. It draws and decides nothing."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from app.cli.demo.report import Report


def render(report: Report | None, console: str, note: str) -> Panel:
    """The whole screen: numbers, what is going on, and the address of the live page."""
    if report is None:
        return Panel(escape(note), title="Innkeeper demo", subtitle=escape(console))
    return Panel(
        Group(_numbers(report), _happenings(report)),
        title=f"Innkeeper demo · mode {report.mode} · {report.clock} · {report.state}",
        subtitle=f"live page: {escape(console)} · Ctrl-C ends",
    )


def _numbers(report: Report) -> Table:
    table = Table.grid(padding=(0, 3))
    for _ in range(4):
        table.add_column()
    total = sum(report.rungs.values()) or 1
    rungs = ", ".join(f"{name} {count / total:.1%}" for name, count in sorted(report.rungs.items()))
    lost = f"[bold red]{report.events_lost} lost[/]" if report.events_lost else "none lost"
    doing = ", ".join(f"{name} {count}" for name, count in sorted(report.doing.items(), key=lambda each: -each[1])[:6])
    rows = (
        ("tick", f"p50 {report.tick_p50_ms:.1f} ms, p99 {report.tick_p99_ms:.1f} ms"),
        ("decisions", f"{report.decisions_per_s:.0f}/s, {report.missed_deadlines} ticks late of {report.ticks}"),
        ("village", f"{report.alive} of {report.npcs} alive, {report.walking} walking"),
        ("paths", str(report.paths)),
        ("events", f"{report.events_acknowledged} acknowledged, {report.events_waiting} waiting, {lost}"),
        ("lines", f"{report.lines} spoken"),
        ("quests", f"{report.quests_completed} completed"),
        ("links", f"{report.reconnects} lost and made again"),
        ("rungs", rungs or "none yet"),
        ("doing", doing),
    )
    for left, right in zip(rows[::2], rows[1::2], strict=True):
        table.add_row(f"[dim]{left[0]}[/]", left[1], f"[dim]{right[0]}[/]", right[1])
    engines = ", ".join(f"{name}: {provider}" for name, provider in sorted(report.engines.items()))
    table.add_row("[dim]engines[/]", escape(engines or "authored rules only"))
    return table


def _happenings(report: Report) -> Table:
    table = Table(box=None, show_header=True, header_style="dim", expand=True)
    table.add_column("said in the village", ratio=3, overflow="ellipsis", no_wrap=True)
    table.add_column("happened", ratio=2, overflow="ellipsis", no_wrap=True)
    lines = [escape(line) for line in report.newest_lines]
    happened = [escape(line) for line in (*report.quests, *report.newest_events)]
    for index in range(max(len(lines), len(happened))):
        table.add_row(lines[index] if index < len(lines) else "", happened[index] if index < len(happened) else "")
    return table
