"""`manage.py moderation`: try a rating on a sentence, measure the classifier, and teach it anew."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import click
import msgspec

from app.cli.options import profile_options
from app.core.errors import Invalid

FAILED = 1
WEIGHTS = Path(__file__).resolve().parents[1] / "world" / "moderation" / "classifier.bin"
PRECISION_MIN = 0.95
CAUGHT_MIN = 0.85
ALARMS_MAX_SHARE = 0.01
QUIET_MAX_SHARE = 0.003
"""Of ordinary talk that nobody tuned on, and of the product's own lines none."""


@click.group()
def moderation() -> None:
    """Try, measure and teach what NPCs and players may say."""


@moderation.command()
@click.argument("rating", default="")
def packs(rating: str) -> None:
    """List the ratings, or what is done about each category under RATING."""
    from app.world.moderation import Moderation, ratings

    if not rating:
        for known in ratings():
            pack = Moderation.load(known).pack
            click.echo(known if pack.rating == known else f"{known}  as {pack.rating}")
        return
    pack = Moderation.load(rating).pack
    for category, action in pack.actions.items():
        click.echo(f"{category:18}{action:8}{pack.about[category]}")


@moderation.command()
@click.option("--rating", default="", help="An age rating; the profile's own when left out.")
@profile_options
@click.argument("text")
def judge(rating: str, mode: str, file: Path | None, assignments: tuple[str, ...], text: str) -> None:
    """Print what becomes of TEXT as JSON; exit code 1 where it is not said as it is."""
    from app.cli.options import load_profile
    from app.control.guardrails import rating_of
    from app.world.moderation import Moderation

    chosen = rating or rating_of(load_profile(mode, file, assignments).profile)
    judged = Moderation.load(chosen).judge(text)
    click.echo(msgspec.json.encode({"rating": chosen, **judged._asdict()}).decode())
    sys.exit(0 if judged.allowed else FAILED)


@moderation.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def test(as_json: bool) -> None:
    """Measure the classifier that ships on sentences that it was not taught; exit code 1 where it is too weak."""
    from app.learning.moderation import measure

    report = measure(WEIGHTS.read_bytes())
    if as_json:
        told = {"rows": [row._asdict() for row in report.rows], "alarms": report.alarms, "benign": report.benign}
        told["quiet"] = [quiet._asdict() for quiet in report.quiet]
        click.echo(msgspec.json.encode(told).decode())
    else:
        for row in report.rows:
            click.echo(
                f"{row.category:12} precision {row.precision:.2f}  recall {row.recall:.2f}  "
                f"caught {row.caught:.2f}  of {row.cases};  blind: caught {row.blind:.2f}  of {row.blind_cases}"
            )
        click.echo(f"false alarms {report.alarms} of {report.benign}, held out")
        for quiet in report.quiet:
            click.echo(f"false alarms {quiet.alarms} of {quiet.lines}, {quiet.name}{', blind' if quiet.blind else ''}")
        click.echo("caught and the last two count the lexicon too; who wrote the examples knew the held-out sentences")
    good = all(row.precision >= PRECISION_MIN and row.caught >= CAUGHT_MIN for row in report.rows)
    quiet_enough = all(quiet.alarms <= (QUIET_MAX_SHARE * quiet.lines if quiet.blind else 0) for quiet in report.quiet)
    sys.exit(0 if good and quiet_enough and report.alarms <= ALARMS_MAX_SHARE * report.benign else FAILED)


@moderation.command()
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, help="Where the weights go.")
def train(out: Path) -> None:
    """Teach the classifier from app/learning/moderation/examples.toml; the same examples give the same weights."""
    from app.learning.moderation import train as teach

    data = teach()
    try:
        out.write_bytes(data)
    except OSError as error:
        raise Invalid(f"{str(out)!r} cannot be written: {error.strerror}", hint="choose another --out") from error
    click.echo(f"{out.name}  {len(data)} bytes  sha256 {hashlib.sha256(data).hexdigest()}")
