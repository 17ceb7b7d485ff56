"""`manage.py train`: teaches a policy on this machine; needs the extra `train`."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.train_offline import offline
from app.core.errors import EngineDown

if TYPE_CHECKING:
    from rich.progress import Progress

    from app.learning.results import Trained
    from app.learning.scorecard import Scorecard

ID = r"[a-z0-9][a-z0-9-]*"


@click.group()
def train() -> None:
    """Teach policies."""


train.add_command(offline)


@train.command()
@click.option("--minutes", type=click.FloatRange(0.05, 10_000), default=None, help="Wall time.  [default: 10]")
@click.option(
    "--steps", type=click.IntRange(1, 1_000_000_000_000), default=None,
    help="Agent steps instead of time: the same weights on any run of this machine, killed or not.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 1_000_000), default=1, show_default=True, help="Of villages and weights."
)
@click.option(
    "--seeds", type=click.IntRange(1, 16), default=1, show_default=True,
    help="Runs that share the budget, with the seeds from --seed on; the best on held-out villages is kept.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="That play and learn.")
@click.option(
    "--rewards", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="A TOML file of weights that differ from the usual ones.",
)  # fmt: skip
@click.option("--id", "name", default="my-policy", show_default=True, help="Of the catalog entry that is written.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/behavior"), show_default=True,
    help="Where everything goes; a run found there goes on.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="Measure and draw little at the end, to try things out.")
def behavior(
    minutes: float | None, steps: int | None, seed: int, seeds: int, threads: int, rewards: Path | None, name: str,
    out: Path, quick: bool,
) -> None:  # fmt: skip
    """Teach the behavior policy in a simulated village and measure it against the rules."""
    if minutes is not None and steps is not None:
        raise click.UsageError("give --minutes or --steps, not both")
    if not re.fullmatch(ID, name):
        raise click.BadParameter(f"{name!r} is not lower-case letters, digits and dashes", param_hint="--id")
    try:
        from app.learning import results
        from app.learning.envs.rewards import Rewards, read
        from app.learning.train import Budget, Course
    except ModuleNotFoundError as error:
        raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra train") from error
    from app.cli import baselines

    if minutes is None and steps is None:
        minutes = 10.0
    given = {
        "minutes": minutes,
        "steps": steps,
        "seed": seed,
        "seeds": seeds if seeds > 1 else None,
        "rewards": rewards,
    }
    options = " ".join(f"--{key} {value:g}" if isinstance(value, float) else f"--{key} {value}"
                       for key, value in given.items() if value is not None)  # fmt: skip
    weights = read(rewards) if rewards is not None else Rewards()
    seen, rules = baselines.rules()
    finish = results.Finish(others=baselines.others(seen), id=name, command=f"manage.py train behavior {options}")
    if quick:
        finish = dataclasses.replace(finish, villages=6, steps=120, episode_steps=80, frames_max=20)
    course = Course(seed=seed, rules=rules, fingerprint=seen.fingerprint, rewards=weights)
    with _bar() as progress:
        task = progress.add_task("training", total=1.0, words="drawing the villages")

        def tell(share: float, words: str) -> None:
            progress.update(task, completed=share, words=words, description="training" if share < 1.0 else "finishing")

        trained = results.train(
            course, Budget(minutes, steps), out, seeds=seeds, threads=threads, tell=tell, finish=finish
        )
    _print(trained, out)


@train.command()
@click.argument("policy", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Another, beside the rules.",
)
@click.option("--villages", type=click.IntRange(2, 10_000), default=96, show_default=True, help="To live through.")
@click.option("--minutes", type=click.FloatRange(0.1, 600), default=8.0, show_default=True, help="Of each life.")
@click.option("--seed", type=click.IntRange(0), default=9_002, show_default=True, help="Of the villages.")
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Lives at once.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Draw the card there.")
def score(
    policy: Path, against: tuple[Path, ...], villages: int, minutes: float, seed: int, threads: int, png: Path | None
) -> None:
    """Measure an ONNX policy in villages beside the rules, and beside other policies."""
    from app.cli import baselines
    from app.learning import scorecard, served
    from app.learning.envs.environment import DT_S

    seen, rules = baselines.rules()
    brain, _ = served.load(policy, seen.fingerprint)
    others = {}
    for path in against:
        other, roles = served.load(path, seen.fingerprint)
        others[path.stem] = partial(served.among, other, rules, roles)
    with _bar() as progress:
        task = progress.add_task("measuring", total=1.0, words="")
        card = scorecard.measure(
            brain, rules, others={**baselines.others(seen), **others}, villages=villages,
            steps=round(minutes * 60.0 / DT_S), seed=seed, threads=threads,
            tell=lambda share: progress.update(task, completed=share),
        )  # fmt: skip
    if png is not None:
        try:
            from app.learning.pictures import bars
        except ModuleNotFoundError as error:
            raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra train") from error
        bars(card, png)
    _print_card(card)


def _bar() -> Progress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[words]}"))


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
    from app.learning.results import FILES

    _print_card(trained.scorecard)
    click.echo(
        f"{trained.agent_steps:,} agent steps in {trained.minutes} minutes, {trained.agent_steps_per_s:,.0f} a second. "
        f"The policy leads: {', '.join(trained.roles) or 'no role, the rules stay'}."
    )
    for name in FILES:
        click.echo(f"  {out / name}")


def _print_card(card: Scorecard) -> None:
    from rich.console import Console
    from rich.table import Table

    from app.learning.scorecard import table

    columns, lines = table(card, of_roles=("reward",))
    rows = Table(title=f"Scorecard over {card.villages} villages of {card.minutes:g} minutes")
    for column in columns:
        rows.add_column(column, overflow="fold")
    for line in lines:
        shade = {"better": "green", "worse": "red"}.get(line[-1], "")
        rows.add_row(*line[:-1], f"[{shade}]{line[-1]}[/]" if shade else line[-1])
    Console().print(rows)
