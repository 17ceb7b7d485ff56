"""`manage.py behavior`: what NPCs see, may want and once decided, as the server reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.recordings import export, replay

if TYPE_CHECKING:
    from rich.table import Table

    from app.modules.behavior.schema import Schema


@click.group()
def behavior() -> None:
    """Schemas of what NPCs see and may want; recorded play, to repeat or to take elsewhere."""


behavior.add_command(replay)
behavior.add_command(export)


@behavior.command()
@click.argument("name", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs: layouts with every column.")
@click.option(
    "--content", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A studio's folder, with schemas/ in it; as modules.behavior.content_folder of the profile.",
)  # fmt: skip
def schema(name: str, as_json: bool, content: Path | None) -> None:
    """Print a schema with its columns, or check a file.

    NAME is that of a schema, or a path to a TOML file, which is checked first; without it the schemas are listed.
    """
    from app.modules.behavior import schema_files

    if not name:
        for each in schema_files.names(content):
            click.echo(f"{each:20} {schema_files.load(each, content).about}")
        return
    path = Path(name)
    found = schema_files.read(path.read_bytes(), name) if path.is_file() else schema_files.load(name, content)
    if as_json:
        click.echo(_as_json(found))
    else:
        _print(found)


def _as_json(schema: Schema) -> bytes:
    """What a client needs to lay out its matrices."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(_layout(schema)), indent=2)


def _layout(schema: Schema) -> dict[str, object]:
    candidate = [("kind", 0), *((end, 4 + 4 * at) for at, end in enumerate(schema.slot_features))]
    return {
        "name": schema.name,
        "about": schema.about,
        "fingerprint": schema.fingerprint,
        "roles": schema.roles,
        "kinds": schema.kinds,
        "slots": schema.places,
        "slot": schema.slot_ends,
        "intents": schema.intents,
        "row_bytes": 4 * len(schema.features),
        "features": [
            {
                "column": at, "offset_bytes": 4 * at, "name": item.name, "unit": item.unit, "low": item.low,
                "high": item.high, "scale": item.scale, "encoded_low": float(schema.low[at]),
                "encoded_high": float(schema.high[at]), "about": item.about,
            }
            for at, item in enumerate(schema.features)
        ],
        "candidate": [{"name": name, "offset_bytes": offset} for name, offset in candidate],
        "parameters": schema.parameters,
        "reflexes": schema.reflexes,
    }  # fmt: skip


def _print(schema: Schema) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"[bold]{schema.name}[/]: {schema.about}", highlight=False)
    roles = ", ".join(f"{at} {role}" for at, role in enumerate(schema.roles))
    console.print(f"fingerprint {schema.fingerprint}; archetypes: {roles}", highlight=False)
    console.print(_features(schema))
    console.print(_intents(schema))
    kinds = ", ".join(f"{1 + at} {kind}" for at, kind in enumerate(schema.kinds))
    console.print(f"a candidate: kind (0 nobody, {kinds}), {', '.join(schema.slot_features)}; float32 each, encoded")
    for item in schema.parameters:
        span = f"{item.low:g} to {item.high:g} {item.unit}"
        console.print(f"parameter {item.name}: {span}, {item.about}", highlight=False)
    for number, line in enumerate(schema.reflexes, 1):
        whose = ", ".join(line.roles) or "everyone"
        console.print(f"reflex {number}, {whose}: {line}", highlight=False)


def _features(schema: Schema) -> Table:
    from rich.table import Table

    table = Table("column", "offset", "feature", "unit", "low", "high", "scale", "means", title="Observation, float32")
    for at, item in enumerate(schema.features):
        table.add_row(
            str(at), str(4 * at), item.name, item.unit, f"{item.low:g}", f"{item.high:g}", item.scale, item.about
        )
    return table


def _intents(schema: Schema) -> Table:
    from rich.table import Table

    table = Table("intent", "name", "slots", "means", title="Intents")
    for at, intent in enumerate(schema.intents):
        slots = ", ".join(f"{slot} ({schema.places[slot].about})" for slot in intent.slots)
        table.add_row(str(at), intent.name, slots, intent.about)
    return table
