"""`manage.py demo`: a server and a village that lives on it, on one screen or as one JSON object."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import msgspec

from app.cli.demo.client import ADDRESS_FILE, KEY_FILE
from app.cli.demo.report import Config, Report, summary
from app.cli.demo.save import FILE as SAVE_FILE
from app.cli.demo.supervise import GAME_LOG, SERVER_LOG, Supervisor
from app.core.errors import Broken

DATABASE_FILES = ("innkeeper.db", "innkeeper.db-wal", "innkeeper.db-shm")
NOTE_S = 10.0
"""Between two lines of progress where there is no screen."""
SCREEN_S = 0.5


@click.command()
@click.option("--mode", type=click.Choice(("1", "2", "3")), default="2", show_default=True, help="What thinks.")
@click.option("--seconds", type=click.FloatRange(min=1.0), help="End after this long; otherwise with Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="No screen; print one JSON object at the end.")
@click.option("--npcs", type=click.IntRange(10, 2_000), default=200, show_default=True, help="Heads in the village.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Draws map and people.")
@click.option("--map", "map_file", type=click.Path(exists=True, path_type=Path), help="A Moving AI map to live on.")
@click.option("--port", type=int, default=0, help="The server's port; 0 takes a free one.")
@click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("data/demo"),
    show_default=True,
    help="Its folder.",
)
@click.option("--fresh", is_flag=True, help="Forget the village of earlier runs.")
def demo(
    mode: str,
    seconds: float | None,
    as_json: bool,
    npcs: int,
    seed: int,
    map_file: Path | None,
    port: int,
    folder: Path,
    fresh: bool,
) -> None:
    """Run the server and a village that lives on it."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    config = Config(
        folder=str(folder),
        seed=seed,
        npcs=npcs,
        seconds=seconds or 0.0,
        map_file=str(map_file.resolve()) if map_file is not None else "",
    )
    quiet = ("--quiet", "--set", "telemetry.log_level=warning")
    supervisor = Supervisor(
        folder=folder,
        serve=("--mode", mode, "--data", str(folder), "--port", str(port), *quiet),
        play=msgspec.json.encode(config).decode(),
    )
    supervisor.require_alone()
    if fresh:
        _forget(folder)
    with_screen = not as_json and sys.stdout.isatty()
    report = asyncio.run(_on_screen(supervisor) if with_screen else _on_lines(supervisor))
    if as_json:
        click.echo(msgspec.json.encode(summary(report)).decode())
    else:
        click.echo(_farewell(report), err=True)
    if report.events_lost:
        raise Broken(f"{report.events_lost} acknowledged events were lost", hint=f"see {folder / 'server.log'}")


async def _on_screen(supervisor: Supervisor) -> Report:
    """Draw the live table until the end."""
    from rich.live import Live

    from app.cli.demo.screen import render

    notes = [""]
    supervisor.on_note = lambda text: notes.__setitem__(0, text)

    async def draw(live: Live) -> None:
        while True:
            live.update(render(supervisor.report, supervisor.console, notes[0]), refresh=True)
            await asyncio.sleep(SCREEN_S)

    with Live(screen=True, auto_refresh=False) as live:
        drawing = asyncio.create_task(draw(live))
        try:
            return await supervisor.run()
        finally:
            drawing.cancel()


async def _on_lines(supervisor: Supervisor) -> Report:
    """Write a line of progress to standard error now and then."""
    supervisor.on_note = lambda text: click.echo(text, err=True)

    async def tell() -> None:
        while True:
            await asyncio.sleep(NOTE_S)
            if supervisor.report is not None:
                click.echo(_progress(supervisor.report), err=True)

    telling = asyncio.create_task(tell())
    try:
        return await supervisor.run()
    finally:
        telling.cancel()


def _progress(report: Report) -> str:
    return (
        f"{report.seconds:6.0f} s  {report.clock}  {report.decisions} decisions, {report.missed_deadlines} late ticks, "
        f"{report.paths} paths, {report.lines} lines, {report.quests_completed} quests, "
        f"{report.events_acknowledged} events, p99 {report.tick_p99_ms:.1f} ms"
    )


def _farewell(report: Report) -> str:
    return f"{_progress(report).strip()}\nThe village sleeps; run the demo again and it goes on."


def _forget(folder: Path) -> None:
    """Remove what earlier runs left, and nothing else that lies in the folder."""
    for name in (*DATABASE_FILES, KEY_FILE, ADDRESS_FILE, SAVE_FILE, SERVER_LOG, GAME_LOG):
        (folder / name).unlink(missing_ok=True)
