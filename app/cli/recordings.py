"""Recorded play on the command line: read it into trajectories, decide it again, write it for other programs.

What reads files (a module) and what learns (`app/learning/`) do not know each other; they meet here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from app.cli.options import load_profile, profile_options
from app.core.clock import SystemClock
from app.core.errors import Conflict, Invalid, NotFound
from app.core.profile import Profile
from app.modules.behavior import recordings, schema
from app.modules.behavior.brains import Brains
from app.modules.behavior.logic import Flag
from app.modules.behavior.minds import open_minds
from app.modules.behavior.programs import Programs
from app.modules.behavior.recordings import Context, Played, Reader
from app.modules.behavior.replay import Replayed
from app.modules.behavior.replay import replay as decide_again
from app.modules.behavior.schema import Schema

if TYPE_CHECKING:
    from app.learning.datasets import Plays

DIFFERS = 1
"""Exit code of a replay that did not decide the same."""
ROWS_MAX = 4_000_000
path_argument = click.argument("path", type=click.Path(path_type=Path))


class _Silent:
    """Nobody is told of rungs."""

    def rung_fell(self, module: str, rung: str, reason: str) -> None:
        click.echo(f"{rung} is left out: {reason}", err=True)

    def rung_rose(self, module: str, rung: str) -> None: ...


@click.command()
@path_argument
@profile_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def replay(path: Path, mode: str, file: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """Decide the recorded ticks of a file or folder again, with this profile's brains, and compare bit for bit.

    The exit code is 0 when all decisions are the same, 1 when any differs or could not be repeated.
    """
    profile = load_profile(mode, file, assignments).profile
    reader = Reader(path)
    found = asyncio.run(_replay(profile, reader))
    if as_json:
        lost = {"lost_bytes": reader.lost_bytes, "damaged_files": sorted(reader.damaged_files)}
        click.echo(msgspec.json.encode({"equal": found.equal, **msgspec.structs.asdict(found), **lost}).decode())
    else:
        _tell(found, reader)
    if not found.equal:
        sys.exit(DIFFERS)


async def _replay(profile: Profile, reader: Reader) -> Replayed:
    from app.build import ROOT
    from app.build.engines import Engines, open_network

    engines = Engines()
    policy = open_network("policy", profile, engines, root=ROOT) if "policy" in profile.ladder["behavior"] else None
    minds = open_minds(
        settings=profile.modules["behavior"], clock=SystemClock(), watcher=_Silent(), policy=policy,
        rungs=profile.ladder["behavior"],
    )  # fmt: skip
    for mind in minds.values():
        mind.warm()

    def brains_of(context: Context) -> Brains | None:
        mind = minds.get(context.schema)
        return mind.brains if mind is not None and mind.schema.fingerprint == context.fingerprint else None

    def programs_of(context: Context) -> Programs | None:
        mind = minds.get(context.schema)
        return mind.programs if mind is not None and mind.schema.fingerprint == context.fingerprint else None

    try:
        return await decide_again(reader, brains_of, clock=SystemClock(), programs_of=programs_of)
    finally:
        await engines.close()


def layout_of(name: str, fingerprint: str) -> Schema | None:
    """The schema of that name if it has the same layout as then; None where there is none."""
    try:
        found = schema.load(name)
    except NotFound:
        return None
    return found if found is not None and found.fingerprint == fingerprint else None


def _tell(found: Replayed, reader: Reader) -> None:
    rungs = ", ".join(f"{rung} {rows:,}" for rung, rows in found.rungs.items()) or "none"
    click.echo(f"{found.ticks:,} ticks, {found.rows:,} decisions ({rungs})")
    _tell_damage(reader)
    for line in found.differences:
        now = line.now or "not repeated: its rung is not here"
        click.echo(f"  world {line.world!r} tick {line.tick} NPC {line.npc}: {line.was} -> {now}")
    if found.equal:
        click.echo("every decision is the same, bit for bit")
        return
    click.echo(
        f"{found.differing_rows:,} decisions differ and {found.unrepeated_rows:,} could not be repeated, "
        f"in {found.differing_ticks:,} ticks"
    )
    for why in found.why or ("nothing that is recorded has changed: the rules or the code have",):
        click.echo(f"  perhaps because: {why}")


def _tell_damage(reader: Reader) -> None:
    if reader.damaged_files:
        click.echo(
            f"passed over {reader.lost_bytes:,} damaged bytes: {', '.join(sorted(reader.damaged_files))}", err=True
        )


@click.command()
@path_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .parquet or .npz file to write.")
@click.option("--schema", "name", default="open_world", show_default=True, help="Of which play is exported.")
@click.option("--rows-max", type=click.IntRange(1), default=ROWS_MAX, show_default=True, help="Newest decisions.")
def export(path: Path, out: Path, name: str, rows_max: int) -> None:
    """Write the decisions of a file or folder, joined with their rewards, for other programs."""
    if out.exists():
        raise Conflict(f"{str(out)!r} exists", hint="name a file that does not")
    writers: dict[str, Callable[[Plays, Schema, Path], None]] = {".parquet": _write_parquet, ".npz": _write_npz}
    if out.suffix not in writers:
        raise Invalid(f"{out.name!r} is neither .parquet nor .npz", hint="choose by the name's ending")
    layout = schema_of(name)
    plays = plays_of(path, layout, rows_max=rows_max)
    if not len(plays):
        raise NotFound(
            f"no decision of schema {name!r} is in {str(path)!r}", hint="record some, or name another schema"
        )
    writers[out.suffix](plays, layout, out)
    click.echo(f"{len(plays):,} decisions, {plays.rewarded:,} rewards joined, written to {out}")


def schema_of(name: str) -> Schema:
    """The schema of that name; raises NotFound."""
    try:
        return schema.load(name)
    except FileNotFoundError as error:
        raise NotFound(f"there is no schema {name!r}", hint="see app/modules/behavior/schemas") from error


def plays_of(path: Path, layout: Schema, *, rows_max: int = ROWS_MAX) -> Plays:
    """The trajectories of everything at `path` that was recorded under the layout; raises NotFound without files."""
    from app.learning.datasets import Collector

    collector = Collector(layout.fingerprint, rows_max)
    reader = Reader(path)
    for record in reader:
        world = f"{record.segment.tenant}/{record.segment.world}"
        if isinstance(record, Played):
            arrays = record.arrays
            collector.tick(
                world, record.head.tick, record.context.fingerprint, handles=record.handles, obs=record.obs,
                mask=record.mask, intents=arrays["intents"], targets=arrays["targets"],
                confidence=arrays["confidence"], rungs=record.context.rungs, rung_of=arrays["rung_of"],
                broken=(arrays["flags"] & (Flag.NOT_FINITE | Flag.IDLE)) != 0,
            )  # fmt: skip
        else:
            collector.reward(
                world, record.head.tick, handles=record.arrays["handles"], reward=record.arrays["reward"],
                ends=record.head.ends, key=record.head.key,
            )  # fmt: skip
    _tell_damage(reader)
    return collector.plays()


def _columns(plays: Plays) -> dict[str, NDArray[Any]]:
    """Name -> column (N,), in the order in which they are written, without observations and masks."""
    return {
        "world": np.array(plays.worlds)[plays.world], "npc": plays.npc, "tick": plays.tick,
        "trajectory": plays.trajectory, "intent": plays.intent, "target": plays.target,
        "confidence": plays.confidence, "rung": np.array(plays.rungs)[plays.rung], "reward": plays.reward,
        "ends": plays.ends,
    }  # fmt: skip


def _write_npz(plays: Plays, layout: Schema, out: Path) -> None:
    columns: dict[str, Any] = {
        "obs": plays.obs, "mask": plays.mask, "features": np.array(layout.feature_names),
        "intents": np.array(layout.intent_names), **_columns(plays),
    }  # fmt: skip
    np.savez(out, **columns)


def _write_parquet(plays: Plays, layout: Schema, out: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise Invalid(
            "the package 'pyarrow' is not installed", hint="uv sync --extra features, or write .npz"
        ) from error

    columns = {name: pa.array(column) for name, column in _columns(plays).items()}
    for column, name in enumerate(layout.feature_names):
        columns[f"obs.{name}"] = pa.array(np.ascontiguousarray(plays.obs[:, column]))
    for column, name in enumerate(layout.intent_names):
        columns[f"may.{name}"] = pa.array(plays.mask[:, column] != 0)
    known = {
        "innkeeper.schema": layout.name, "innkeeper.fingerprint": layout.fingerprint,
        "innkeeper.intents": ",".join(layout.intent_names), "innkeeper.format": str(recordings.FORMAT),
    }  # fmt: skip
    pq.write_table(pa.table(columns).replace_schema_metadata(known), out, compression="zstd")
