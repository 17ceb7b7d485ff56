"""`manage.py doctor`: what this machine can run of a profile, what is missing, and the command that mends it.

It opens the server exactly as `serve` would, over an empty data folder of its own, and closes it again.
Exit code 0 when everything asked for is there, 3 when something is missing or degraded, or `serve` would refuse.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import msgspec

from app.build import Innkeeper, build
from app.cli.options import load_profile, profile_options
from app.cli.serve import KEY_FILE
from app.control.safety import dangers
from app.core.errors import EngineDown
from app.core.profile import Profile

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "openai", "anthropic", "torch")
DEGRADED = 3


@click.command()
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(mode: str, file: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """Say what this machine can run and what is missing."""
    loaded = load_profile(mode, file, assignments, telemetry__log_level="error")
    with tempfile.TemporaryDirectory(prefix="innkeeper-doctor-") as folder:
        server = msgspec.structs.replace(loaded.profile.server, data_folder=folder)
        database = msgspec.structs.replace(loaded.profile.database, url="")
        trail = msgspec.structs.replace(loaded.profile.audit, checkpoint_file="")
        profile = msgspec.structs.replace(loaded.profile, server=server, database=database, audit=trail)
        found = asyncio.run(_examine(profile))
    found["dangers"] = [msgspec.to_builtins(one) for one in dangers(loaded.profile, os.environ, key_file=KEY_FILE)]
    if as_json:
        click.echo(json.dumps(found))
    else:
        _print(found)
    sys.exit(DEGRADED if found["degraded"] or any(danger["fatal"] for danger in found["dangers"]) else 0)


async def _examine(profile: Profile) -> dict[str, Any]:
    innkeeper = await build(profile)
    try:
        return {
            "mode": profile.mode,
            "machine": {
                "python": platform.python_version(),
                "system": platform.platform(terse=True),
                "cores": os.cpu_count(),
            },
            "packages": {name: _version(name) for name in PACKAGES},
            "engines": [msgspec.to_builtins(engine) for engine in innkeeper.engines.statuses()],
            "ladders": _ladders(innkeeper),
            "degraded": innkeeper.readiness()["degraded"],
            "gpu": _gpu(profile),
        }
    finally:
        await innkeeper.close()


def _gpu(profile: Profile) -> dict[str, Any] | None:
    """The card and what the profile's engines take of its memory; None where no engine asks for one."""
    from app.engines import plan
    from app.engines.onnx import gpu

    card = gpu.look()
    try:
        found = plan.plan(profile.engines, card_bytes=card.memory_bytes if card else 0, folder=Path.cwd())
    except EngineDown as error:
        return {"card": card.name if card else None, "fault": error.message}
    if not found.parts:
        return None
    return {
        "card": f"{card.name}, sm_{card.sm}, driver {card.driver}" if card else None,
        "card_bytes": found.card_bytes,
        "parts": [{"engine": part.engine, "what": part.what, "bytes": part.bytes} for part in found.parts],
        "total_bytes": found.total_bytes,
        "fits": found.fits,
        "layers": found.layers,
        "layers_all": found.layers_all,
    }


def _ladders(innkeeper: Innkeeper) -> dict[str, dict[str, list[str]]]:
    """For each ladder the rungs that answer, and those that the profile names but this machine cannot build."""
    asked = innkeeper.profile.ladder
    return {
        module.name: {
            "answers": list(module.rungs),
            "left_out": [rung for rung in asked.get(module.name, ()) if rung not in module.rungs],
        }
        for module in innkeeper.modules
        if module.rungs
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    machine = found["machine"]
    console.print(f"Python {machine['python']} on {machine['system']}, {machine['cores']} cores")
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items() if version)
    console.print(f"Installed: {packages or 'no optional package'}")
    engines = Table(title=f"Engines of mode {found['mode']}")
    for heading in ("engine", "kind", "state", "provider", "detail", "mend"):
        engines.add_column(heading, overflow="fold")
    colors = {"ready": "green", "degraded": "yellow", "missing": "dim"}
    for engine in found["engines"]:
        state = engine["state"]
        name, kind, provider = engine["name"], engine["kind"], engine["provider"]
        engines.add_row(name, kind, f"[{colors[state]}]{state}[/]", provider, engine["detail"], engine["mend"])
    console.print(engines)
    ladders = Table("module", "answers, best first", "left out", title="Ladders")
    for module, rungs in found["ladders"].items():
        ladders.add_row(module, " → ".join(rungs["answers"]), ", ".join(rungs["left_out"]))
    console.print(ladders)
    if found["gpu"] is not None:
        _print_gpu(console, found["gpu"])
    for danger in found["dangers"]:
        color, word = ("red", "Unsafe") if danger["fatal"] else ("yellow", "Warning")
        console.print(f"[{color}]{word}:[/] {danger['setting']}: {escape(danger['what'])}; {escape(danger['mend'])}")
    if found["degraded"]:
        console.print(f"[yellow]Degraded:[/] {', '.join(found['degraded'])}")
    else:
        console.print("[green]Everything that this mode must have is here.[/]")


def _print_gpu(console: Any, found: dict[str, Any]) -> None:
    """The plan of the GPU's memory, and how many layers would fit where not all do."""
    from rich.table import Table

    gib = 1 << 30
    if "fault" in found:
        console.print(f"[yellow]GPU memory:[/] {found['fault']}")
        return
    table = Table("engine", "what", "GiB", title=f"GPU memory: {found['card'] or 'no card here'}")
    for part in found["parts"]:
        table.add_row(part["engine"], part["what"], f"{part['bytes'] / gib:.2f}")
    of = f" of {found['card_bytes'] / gib:.2f}" if found["card_bytes"] else ""
    table.add_row("", "together", f"{found['total_bytes'] / gib:.2f}{of}", end_section=True)
    console.print(table)
    if not found["fits"]:
        advice = f"; {found['layers']} of {found['layers_all']} layers fit" if found["layers_all"] else ""
        console.print(f"[yellow]It does not fit[/]{advice}: lower gpu_layers_max or gpu_memory_bytes_max")
