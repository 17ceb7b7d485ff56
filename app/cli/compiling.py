"""`manage.py models compile`: its options, its progress and what it prints; the work is in `app/learning/compress`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from app.build import ROOT
from app.core.errors import EngineDown, Invalid, Refused
from app.engines import catalog

if TYPE_CHECKING:
    from app.learning.compress.pipeline import Plan
    from app.learning.compress.report import Output, Report

SCHEMA = "open_world"
WIDTHS_MAX, WIDTH_MAX = 8, 4_096
DYNAMIC = (
    "dynamic INT8 takes its scales from the rows that share a batch, so an NPC's decision would depend on its neighbors"
)
NOT_OF_THE_RESULT = ("out", "install", "listed")
"""Options that change where things go, not what comes out."""

catalog_option = click.option(
    "--catalog", "listed", type=click.Path(path_type=Path), default=ROOT / "models" / "catalog.toml",
    help="The catalog; models/catalog.toml, if left out.",
)  # fmt: skip
_OPTIONS = (
    click.option(
        "--to", type=click.Choice(["fp32", "fp16", "int8", "int8-dynamic"]), multiple=True, default=("int8",),
        show_default=True, help="Precision; may be given again.",
    ),
    click.option(
        "--prune", "prune_share", type=click.FloatRange(0.0, 0.95), default=0.0, metavar="SHARE",
        help="Remove this share of each hidden layer's units, and teach the rest again.",
    ),
    click.option("--distill", "widths", default="", metavar="64,64", help="Teach a network of these hidden widths."),
    click.option(
        "--calibrate", type=click.Choice(["auto", "minmax", "percentile", "entropy"]), default="auto",
        show_default=True, help="How INT8 finds its ranges; auto takes what agrees best.",
    ),
    click.option(
        "--weight-bits", type=click.Choice(["7", "8"]), default="7", show_default=True,
        help="7 is safe on CPUs without VNNI, where the sums of 8 may saturate.",
    ),
    click.option("--last-fp32", is_flag=True, help="Leave the last layer in FP32 beside INT8."),
    click.option("--io-fp16", "io_half", is_flag=True, help="Let FP16 take and give float16 as well."),
    click.option(
        "--fit-steps", type=click.IntRange(1, 1_000_000), default=3_000, show_default=True,
        help="Steps of distillation, and of teaching again after pruning.",
    ),
    click.option(
        "--tune-steps", type=click.IntRange(0, 1_000_000), default=1_500, show_default=True,
        help="Steps that fit the weights to their rounding; 0 = none.",
    ),
    click.option(
        "--observations", type=click.Path(path_type=Path), metavar="PATH",
        help="An .npz file with obs and mask, or a folder of them; played in the village, if left out.",
    ),
    click.option(
        "--rows", type=click.IntRange(2_048, 4_000_000), default=131_072, show_default=True, help="Observations."
    ),
    click.option(
        "--agreement-min", type=click.FloatRange(0.0, 1.0), default=0.97, show_default=True,
        help="Refuse what makes the same legal decision in a smaller share of rows.",
    ),
    click.option(
        "--villages", type=click.IntRange(0, 1_000), default=48, show_default=True,
        help="Of the scorecard, at least 2; 0 = no scorecard.",
    ),
    click.option(
        "--village-steps", type=click.IntRange(1, 100_000), default=960, show_default=True,
        help="Half seconds that each village lives.",
    ),
    click.option(
        "--features", type=click.IntRange(1, 65_536), default=64, show_default=True,
        help="Width of a TorchScript module's input.",
    ),
    click.option("--id", "id_", default="", help="Of the source; outputs add their kind. The catalog's or file's."),
    click.option("--seed", type=click.IntRange(0, 100_000), default=1, show_default=True, help="Of play and learning."),
    click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of PyTorch."),
    click.option(
        "--out", type=click.Path(path_type=Path), default=Path("runs/compiled"), show_default=True,
        help="Where networks, report, picture and catalog entries go.",
    ),
    click.option("--install", is_flag=True, help="Copy what holds beside the catalog, and enter it there."),
    catalog_option,
)  # fmt: skip


@click.command(name="compile")
@click.argument("source", type=click.Path(path_type=Path))
@click.pass_context
def compile_(
    ctx: click.Context, /, source: Path, to: tuple[str, ...], widths: str, weight_bits: str, observations: Path | None,
    features: int, id_: str, out: Path, install: bool, listed: Path, **rest: object,
) -> None:  # fmt: skip
    """Compile SOURCE (ONNX, PyTorch or TensorFlow), measure what comes out, and refuse what lost too much.

    SOURCE is an .onnx file, a program of torch.export (.pt2), a TorchScript module or a checkpoint of our own training
    (.pt), a SavedModel folder, or a Keras .h5 or .tflite file.
    """
    if "int8-dynamic" in to:
        raise Invalid(f"--to int8-dynamic: {DYNAMIC}", hint="--to int8 is static: its scales come from recorded rows")
    if rest["villages"] == 1:
        raise Invalid("--villages 1 has no interval", hint="give 2 or more, or 0 for no scorecard")
    try:
        from app.learning.compress import pipeline
    except ModuleNotFoundError as error:
        raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra train") from error
    plan = pipeline.Plan(to=to, widths=_widths(widths), weight_bits=int(weight_bits), **rest)  # type: ignore[arg-type]  # click has checked each option
    report = _run(source, plan, listed, observations, out, features=features, id=id_, command=_command(ctx))
    _print(report, out)
    if install:
        _install(report, out, listed)
    refused = [f"{output.id}: {'; '.join(output.refused)}" for output in report.outputs if output.refused]
    if refused:
        raise Refused(f"not written: {' | '.join(refused)}", hint="more --fit-steps or --tune-steps, or another bound")


for _option in reversed(_OPTIONS):
    compile_ = _option(compile_)


def _run(
    path: Path, plan: Plan, listed: Path, observations: Path | None, out: Path, *, features: int, id: str, command: str
) -> Report:
    from app.learning.compress import pipeline, sources
    from app.modules.behavior import considerations, schema
    from app.modules.behavior.logic import rule_brain

    seen = schema.load(SCHEMA)
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(words: str, share: float) -> None:
            if words not in tasks:
                for task in tasks.values():
                    progress.update(task, completed=1.0)
                tasks[words] = progress.add_task(words, total=1.0)
            progress.update(tasks[words], completed=share)

        tell("reading and simplifying", 0.0)
        source = sources.open_source(
            path, catalog.load(listed), schema=SCHEMA, fingerprint=seen.fingerprint, features=features, id=id
        )
        report = pipeline.compile_network(
            source, plan, rules=rule_brain(considerations.load(SCHEMA, seen)), fingerprint=seen.fingerprint,
            observations=observations, out=out, command=command, tell=tell,
        )  # fmt: skip
        tell("done", 1.0)
    return report


def _widths(words: str) -> tuple[int, ...]:
    """`64,64` -> (64, 64)."""
    try:
        found = tuple(int(word) for word in words.split(",")) if words else ()
    except ValueError:
        found = (0,)
    if len(found) > WIDTHS_MAX or any(not 0 < width <= WIDTH_MAX for width in found):
        raise Invalid(
            f"--distill {words!r} is no list of hidden widths",
            hint=f"write 64,64: up to {WIDTHS_MAX} numbers from 1 to {WIDTH_MAX}",
        )
    return found


def _command(ctx: click.Context) -> str:
    """The command that gives the same result: options that were given and matter, paths below the project's own."""
    words = ["manage.py", "models", "compile"]
    for parameter in ctx.command.params:
        name, value = parameter.name or "", ctx.params.get(parameter.name or "")
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not given or name in NOT_OF_THE_RESULT:
            continue
        values = value if isinstance(value, tuple) else (value,)
        for each in values:
            shown = _below(each) if isinstance(each, Path) else str(each)
            flag = [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
            words += flag if each is True else [*flag, shown]
    return shlex.join(words)


def _below(path: Path) -> str:
    full = path.resolve()
    return full.relative_to(ROOT).as_posix() if full.is_relative_to(ROOT) else path.name


def _print(report: Report, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = Table(
        "network", "same decision", "logit error", "µs / 1,024", "speed", "KiB", "batch", "scorecard", "verdict",
        title=f"{report.source} compiled ({report.observations})",
    )  # fmt: skip
    rows.add_row(
        "FP32 source", "1.0000", "", f"{report.fp32_us:.0f}", "1.00×", f"{report.source_bytes / 1024:.0f}", "", "", ""
    )
    for output in report.outputs:
        rows.add_row(*_row(output, report.fp32_us), style="red" if output.refused else None)
    console.print(rows)
    scored = [output for output in report.outputs if output.scorecard]
    for output in scored:
        card = Table("measure", output.name, "FP32", "difference", "verdict", title=f"Scorecard of {output.id}")
        for name, gap in output.scorecard.items():
            difference = f"{gap.difference.mean:+.3f} ± {gap.difference.half:.3f}"
            card.add_row(name, f"{gap.found:.3f}", f"{gap.wanted:.3f}", difference, gap.word)
        console.print(card)
    written = [f"{output.id}.onnx" for output in report.outputs if not output.refused]
    console.print(f"in {out}: {', '.join([*written, 'catalog.toml', 'report.json', 'quality.png'])}", soft_wrap=True)
    console.print(f"again: {report.command}", soft_wrap=True)


def _row(output: Output, fp32_us: float) -> tuple[str, ...]:
    worse = [name for name, gap in output.scorecard.items() if gap.word == "worse"]
    lives = (f"worse: {', '.join(worse)}" if worse else "not worse") if output.scorecard else "-"
    return (
        output.name,
        f"{output.loss.agreement:.4f} ± {output.loss.agreement_half:.4f}",
        f"{output.loss.error_mean:.3f} (max {output.loss.error_max:.2f})",
        f"{output.part_us:.0f}",
        f"{fp32_us / output.part_us:.2f}×",
        f"{output.bytes / 1024:.0f}",
        "varies" if output.variance else "same bits",
        lives,
        "refused" if output.refused else "written",
    )


def _install(report: Report, out: Path, listed: Path) -> None:
    """Put what holds beside the catalog, each file whole, then its entry."""
    from app.engines.compiler import listing

    made = catalog.load(out / "catalog.toml")
    for entry in made.models:
        draft = listed.parent / f".{entry.file}.tmp"
        shutil.copyfile(out / entry.file, draft)
        os.replace(draft, listed.parent / entry.file)
        listing.put(entry, listed)
        click.echo(f"installed {entry.id} in {listed.name}")
