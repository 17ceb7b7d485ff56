"""`manage.py train`: teaches a policy on this machine; needs the extra `train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.train_offline import offline
from app.core.errors import EngineDown

if TYPE_CHECKING:
    from app.learning.train import Trained


SCHEMA = "open_world"


@click.group()
def train() -> None:
    """Teach policies."""


train.add_command(offline)


@train.command()
@click.option("--minutes", type=click.FloatRange(0.05, 10_000), default=10.0, show_default=True, help="Wall time.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of villages, weights and play.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of PyTorch.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/behavior"), show_default=True,
    help="Where policy, scorecard, curve and checkpoint go; a run found there goes on.",
)  # fmt: skip
def behavior(minutes: float, seed: int, threads: int, out: Path) -> None:
    """Teach the behavior policy in a simulated village and measure it against the rules."""
    try:
        from app.learning.train import train as learn
    except ModuleNotFoundError as error:
        raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra train") from error
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from app.modules.behavior import considerations, schema
    from app.modules.behavior.logic import rule_brain

    seen = schema.load(SCHEMA)
    rules = rule_brain(considerations.load(SCHEMA, seen))
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=1.0, words="")

        def tell(share: float, words: str) -> None:
            progress.update(task, completed=share, words=words)

        trained = learn(
            minutes=minutes, seed=seed, out=out, rules=rules, fingerprint=seen.fingerprint, threads=threads, tell=tell
        )
    _print(trained, out)


@train.command()
@click.option("--countries", type=click.IntRange(1, 9_000), default=600, show_default=True, help="Made-up worlds.")
@click.option("--epochs", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Times over all lessons.")
@click.option("--seed", type=click.IntRange(0, 100_000), default=1, show_default=True, help="Of countries and weights.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/dangers"), show_default=True,
    help="Where danger.onnx and danger.json go.",
)  # fmt: skip
def dangers(countries: int, epochs: int, seed: int, out: Path) -> None:
    """Teach the network that foresees danger on a map, and score it beside plain counts."""
    try:
        from app.learning.dangers import train as learn
    except ModuleNotFoundError as error:
        raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra train") from error
    from app.modules.pathfinding.overlays import ground
    from app.modules.pathfinding.overlays.trial import Trial

    trained = learn(
        seed=seed, countries=countries, epochs=epochs, out=out, eyes=Trial, symmetries=ground.symmetries(),
        fingerprint=ground.FINGERPRINT,
    )  # fmt: skip
    for name, scores in (("network", trained.network), ("counts", trained.counts)):
        click.echo(f"{name}: Brier {scores.brier:.6f}, log loss {scores.log_loss:.6f}, miss {scores.miss:.1f}")
    click.echo(f"{trained.tiles:,} tiles of {countries} countries; in {out}: danger.onnx, danger.json")


def _print(trained: Trained, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from app.learning.scorecard import table

    console = Console()
    rows = Table("measure", "policy", "rules", "random", "difference", "verdict", title="Scorecard")
    for row in table(trained.scorecard):
        rows.add_row(*row)
    console.print(rows)
    console.print(
        f"{trained.agent_steps:,} agent steps in {trained.minutes} minutes; "
        f"leads: {', '.join(trained.roles) or 'no role, the rules stay'}; in {out}: "
        "policy.onnx, scorecard.json, curve.png, checkpoint.pt"
    )
