"""An audit for people: a progress bar on a terminal, a table by check and verdict, then what is broken and why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from app.modules.quests.auditing.audit import Proving, silent
from app.modules.quests.report import Found, Report

CHECKS = {
    "V0": "types", "V1": "references and order", "V2": "a way to the end", "V3": "branches", "V4": "soft locks",
    "V5": "robustness", "V6": "parties", "V7": "other quests, reward",
}  # fmt: skip
WEIGHTS = {"fault": "faults", "follows": "follow from them", "warning": "warnings"}
VERDICTS = ("verified", "verified_with_assumptions", "rejected", "blocked", "unknown")
WIDTH = 120
"""Columns of what is written to a file or a pipe."""


@contextmanager
def bar() -> Iterator[Proving]:
    """Bars on standard error with how many are done and the time left; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:

        def proving(title: str, total: int) -> Callable[[], None]:
            task = shown.add_task(title, total=total)
            return lambda: shown.advance(task)

        yield proving


def show(name: str, report: Report) -> None:
    """The tables, then each finding."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    click.echo(f"{report.quests} quests of {name}")
    verdicts = Table()
    verdicts.add_column("verdict")
    verdicts.add_column("quests", justify="right")
    for verdict in VERDICTS:
        if verdict in report.verdicts:
            verdicts.add_row(verdict.replace("_", " "), str(report.verdicts[verdict]))
    console.print(verdicts)
    if report.checks:
        checks = Table()
        checks.add_column("check")
        for words in WEIGHTS.values():
            checks.add_column(words, justify="right")
        for check, counts in report.checks.items():
            named = f"{check} {CHECKS.get(check, '')}".strip()
            checks.add_row(named, *(str(counts.get(weight, 0)) for weight in WEIGHTS))
        console.print(checks)
    for found in report.found:
        click.echo(told(found))
    click.echo(summary(report))


def told(found: Found) -> str:
    """One finding in a few lines: whom it concerns and where, what is wrong, what would mend it."""
    quest = f" {found.quests[0]}" if found.quests else ""
    lines = [f"{found.where + ': ' if found.where else ''}{found.weight}{quest} [{found.check} {found.fault}]"]
    lines.append(f"    {found.reason}")
    if found.missing:
        lines.append(f"    missing: {', '.join(found.missing)}")
    lines.extend(f"    {id!r}: {hint}" for id, hint in found.nearest.items())
    if found.variant:
        lines.append(f"    can be done all the same: {', '.join(found.variant)}")
    return "\n".join(lines)


def summary(report: Report) -> str:
    """The last line."""
    broken = report.verdicts.get("rejected", 0) + report.verdicts.get("blocked", 0)
    warnings = sum(counts.get("warning", 0) for counts in report.checks.values())
    if broken:
        return f"{broken} of {report.quests} quests cannot be completed; {warnings} warnings"
    unknown = report.verdicts.get("unknown", 0)
    proved = "every quest can be completed" if not unknown else f"no quest is broken; {unknown} are unknown"
    return f"{proved}; {warnings} warnings"
