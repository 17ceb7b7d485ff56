"""`manage.py train offline`: teaches a policy from recorded play; needs the extra `train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.recordings import plays_of, schema_of
from app.core.errors import EngineDown, Invalid

if TYPE_CHECKING:
    from app.learning.awr import Layout
    from app.learning.outcome import Report
    from app.modules.behavior.schema import Schema

CURRENT, NOTHING = "current", "nothing"
VILLAGE = "open_world"
"""The schema of the simulated village, which a policy of it can be measured in."""

CARD_VILLAGES, CARD_STEPS = 16, 480
"""A shorter card than that of `train behavior`: here it stands beside the proof, and is none."""


@click.command()
@click.option(
    "--from", "folder", type=click.Path(path_type=Path), required=True, help="A recording: a file, or a folder of them."
)
@click.option("--minutes", type=click.FloatRange(0.05, 10_000), default=5.0, show_default=True, help="Wall time.")
@click.option("--steps", type=click.IntRange(10), help="Gradient steps, instead of minutes: the same on any machine.")
@click.option("--method", type=click.Choice(["awr", "clone"]), default="awr", show_default=True,
              help="Weigh decisions by what came of them, or copy all alike.")  # fmt: skip
@click.option("--start", default=NOTHING, show_default=True, metavar="nothing|current|FILE",
              help="Weights to begin with; current is the policy that ships.")  # fmt: skip
@click.option("--schema", "name", default=VILLAGE, show_default=True, help="Of which play is learned.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of weights, rows and held-out play."
)
@click.option(
    "--discount", type=click.FloatRange(0, 1, max_open=True), default=0.99, show_default=True, help="Per decision."
)
@click.option("--temperature", type=click.FloatRange(0.01, 100), default=0.25, show_default=True,
              help="Smaller follows the best decisions more closely.")  # fmt: skip
@click.option("--agreement-min", type=click.FloatRange(0, 1), default=0.4, show_default=True,
              help="Bound: share of held-out decisions, weighted as learned, that it must repeat.")  # fmt: skip
@click.option("--worse-max", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Bound: by how much a decision may be estimated worse than a recorded one.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of PyTorch.")
@click.option(
    "--card/--no-card", default=True, show_default=True, help="Measure in the simulated village too (a minute)."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/offline"), show_default=True,
              help="Where policy, report, curve and checkpoint go; a run found there goes on.")  # fmt: skip
def offline(folder: Path, name: str, start: str, agreement_min: float, worse_max: float, card: bool, out: Path,
            **chosen: Any) -> None:  # fmt: skip
    """Teach a policy from recorded play and its rewards, and prove it on play that it never saw."""
    try:
        from app.learning import offline as learner
        from app.learning.outcome import Bounds, snippet
    except ModuleNotFoundError as error:
        raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra train") from error
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    seen = schema_of(name)
    layout, plays = layout_of(seen), plays_of(folder, seen)
    began = None if start == NOTHING else learner.weights_of(_file(start), layout)
    (out / "catalog.toml").unlink(missing_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns) as progress:
        task = progress.add_task(f"learning from {len(plays):,} decisions", total=1.0, words="")
        report = learner.learn(
            plays, layout, options=learner.Options(**chosen), out=out, start=began, started_from=start,
            bounds=Bounds(agreement_min=agreement_min, worse_max=worse_max),
            tell=lambda share, words: progress.update(task, completed=share, words=words),
            card=_village_card(seen) if card and name == VILLAGE else None,
        )  # fmt: skip
    command = f"manage.py {shlex.join(sys.argv[1:])}"
    outputs = len(layout.intents) + layout.slots
    text = snippet(report, id=f"behavior-{name.replace('_', '-')}-own", command=command,
                   features=layout.features, outputs=outputs)  # fmt: skip
    (out / "catalog.toml").write_text(text)
    _print(report, out)


def layout_of(seen: Schema) -> Layout:
    """A schema in the learner's terms."""
    from app.learning.awr import Layout

    return Layout(
        name=seen.name, fingerprint=seen.fingerprint, roles=seen.roles, intents=seen.intent_names,
        features=len(seen.features), aims=seen.aims, slot_columns=seen.slot_columns, role_columns=seen.role_columns,
    )  # fmt: skip


def _file(start: str) -> Path:
    """The policy to start from; raises Invalid when there is none."""
    from app.build import ROOT
    from app.engines import catalog

    if start == CURRENT:
        folder = ROOT / "models"
        return folder / catalog.load(folder / "catalog.toml").entry("behavior-open-world").file
    if not Path(start).is_file():
        raise Invalid(f"--start {start!r} is no file", hint=f"name a policy.onnx, or say {CURRENT} or {NOTHING}")
    return Path(start)


def _village_card(seen: Schema) -> Any:
    """Measures a brain in the village beside the rules."""

    def measure(brain: Any) -> dict[str, Any]:
        import msgspec

        from app.learning import scorecard
        from app.modules.behavior import considerations
        from app.modules.behavior.logic import rule_brain

        rules = rule_brain(considerations.load(seen.name, seen))
        found: dict[str, Any] = msgspec.to_builtins(
            scorecard.measure(brain, rules, villages=CARD_VILLAGES, steps=CARD_STEPS)
        )
        return found

    return measure


def _print(report: Report, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from app.learning.outcome import rows_of

    table = Table("what", "found", title=f"Learned offline by {report.method}")
    for row in rows_of(report):
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(f"in {out}: policy.onnx, report.json, curve.png, catalog.toml, checkpoint.pt")
