"""`manage.py models`: makes networks smaller and quicker, lists and checks those that ship, takes a GGUF in."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.cli.compiling import catalog_option, compile_
from app.cli.importing import import_
from app.core.errors import Broken, EngineDown
from app.engines import catalog


@click.group()
def models() -> None:
    """Compile, list and check networks; import a language model."""


@models.command(name="list")
@catalog_option
def list_(listed: Path) -> None:
    """Show the networks that the catalog holds."""
    from rich.console import Console
    from rich.table import Table

    rows = Table("id", "file", "KiB", "in", "out", "schema", "roles", "made from", "licence", title="Models")
    for entry in catalog.load(listed).models:
        path = listed.parent / entry.file
        size = f"{path.stat().st_size / 1024:.0f}" if path.exists() else "missing"
        ports = ["; ".join(f"{port.name} {_shape(port)}" for port in side) for side in (entry.inputs, entry.outputs)]
        source = entry.provenance.get("source", "")
        rows.add_row(
            entry.id, entry.file, size, *ports, entry.fingerprint, ", ".join(entry.roles), source, entry.licence
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 200).print(rows)


def _shape(port: catalog.Tensor) -> str:
    return "×".join("n" if size == -1 else str(size) for size in port.shape)


@models.command()
@click.argument("ids", nargs=-1)
@catalog_option
def check(ids: tuple[str, ...], listed: Path) -> None:
    """Check files against the catalog: hash, shapes, schema, source, and that no answer depends on its batch."""
    from rich.console import Console
    from rich.table import Table

    try:
        import onnxruntime  # noqa: F401  # found out here, not in the middle of a table

        from app.engines.compiler import invariance
    except ModuleNotFoundError as error:
        raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra cpu") from error
    known = catalog.load(listed)
    entries = [known.entry(id) for id in ids] or list(known.models)
    rows, faults = Table("model", "check", "verdict", title="Checks"), 0
    for entry in entries:
        for finding in invariance.examine(entry, listed.parent, known):
            rows.add_row(entry.id, finding.check, finding.fault or "holds", style="red" if finding.fault else None)
            faults += bool(finding.fault)
    Console(width=None if sys.stdout.isatty() else 200).print(rows)
    if faults:
        raise Broken(
            f"{faults} checks of {listed.name} fail", hint="restore the files from the release, or mend the catalog"
        )


models.add_command(compile_)
models.add_command(import_)
