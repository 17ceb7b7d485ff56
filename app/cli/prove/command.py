"""`manage.py prove`: runs the chosen suites one after the other and ends with a table of figures.

Exit code: 0 every figure that is judged reached its threshold, 1 one did not. A suite works in a temporary folder and
with processes that it started; it touches no data folder and no database of yours.
"""

from __future__ import annotations

import base64
import importlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from app.cli.prove.figures import Figure, Gap, Outcome, Plan, Run, Suite
from app.cli.prove.suites import SUITES
from app.core.errors import Error
from app.stores.aead import KEY_BYTES
from app.stores.ring import VARIABLE

SHORT = 1
LETTERS = [suite.letter for suite in SUITES]


@click.command()
@click.option("--quick", "scale", flag_value="quick", default="quick", help="Minutes, for every change (the default).")
@click.option("--full", "scale", flag_value="full", help="Everything, for the night.")
@click.option("--suite", "letters", multiple=True, type=click.Choice(LETTERS), help="Only this suite; repeatable.")
@click.option("--seed", type=int, help="Repeat a run's draws.")
@click.option(
    "--judge",
    type=click.Choice(["all", "counts"]),
    default="all",
    show_default=True,
    help="counts: fail for nothing that a slow or busy machine changes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def prove(
    scale: Literal["quick", "full"], letters: tuple[str, ...], seed: int | None, judge: str, as_json: bool
) -> None:
    """Kill, break and restore servers of its own, and print the figures."""
    drawn = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    chosen = [suite for suite in SUITES if not letters or suite.letter in letters]
    os.environ.setdefault(VARIABLE, base64.b64encode(os.urandom(KEY_BYTES)).decode())  # one for all replicas
    started_s = time.monotonic()
    outcomes: list[Outcome] = []
    folder = Path(tempfile.mkdtemp(prefix="innkeeper-prove-"))
    try:
        for suite in chosen:
            place = folder / suite.letter
            place.mkdir()
            outcomes += _run(suite, Plan(scale, drawn, place, _tell))
    except Error:
        _tell(f"what the servers left is kept in {folder}")
        raise
    shutil.rmtree(folder)
    report = {
        "scale": scale,
        "seed": drawn,
        "load_average": os.getloadavg()[0],
        "seconds": round(time.monotonic() - started_s, 1),
        "figures": [
            {**msgspec.to_builtins(outcome), "reached": outcome.reached}
            for outcome in outcomes
            if isinstance(outcome, Figure)
        ],
        "not_run": [msgspec.to_builtins(outcome) for outcome in outcomes if isinstance(outcome, Gap)],
    }
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        _print(report, outcomes)
    figures = [outcome for outcome in outcomes if isinstance(outcome, Figure)]
    if not all(figure.reached for figure in figures if judge == "all" or not figure.timed):
        sys.exit(SHORT)


def _run(suite: Suite, plan: Plan) -> Sequence[Outcome]:
    _tell(f"suite {suite.letter}: {suite.title}")
    where, _, name = suite.where.partition(":")
    run: Run = getattr(importlib.import_module(where), name)
    return run(plan)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _print(report: dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("suite", "figure", "value", "must be", "")
    for outcome in outcomes:
        if isinstance(outcome, Gap):
            table.add_row(outcome.suite, outcome.name, "not run", outcome.lacks, "-")
            continue
        sign = "<=" if outcome.side == "at_most" else ">="
        verdict = "ok" if outcome.reached else "SHORT"
        table.add_row(
            outcome.suite, outcome.name, f"{outcome.value:g} {outcome.unit}", f"{sign} {outcome.bound:g}", verdict
        )
    Console().print(table)
    click.echo(
        f"{report['scale']}, {report['seconds']} s, seed {report['seed']}, load average {report['load_average']:.2f}"
    )
