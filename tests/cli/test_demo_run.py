"""The demo as a newcomer runs it, small: a server and a game, a server that is killed, and the day after."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
from click.testing import CliRunner

from app.cli.demo.client import call_http, read_address
from app.cli.demo.command import demo
from app.cli.demo.report import SUMMARY, Config, Report
from app.cli.demo.supervise import Supervisor

PATIENCE_S = 40.0


def village(folder: Path, *, seconds: float = 0.0) -> Supervisor:
    config = Config(folder=str(folder), seed=7, npcs=30, seconds=seconds)
    arguments = ("--mode", "1", "--data", str(folder), "--port", "0", "--quiet", "--set", "telemetry.log_level=warning")
    return Supervisor(folder=folder, serve=arguments, play=msgspec.json.encode(config).decode())


async def until(supervisor: Supervisor, running: asyncio.Task[Report], reached: Callable[[Report], bool]) -> Report:
    """The first report for which `reached` holds."""
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(int(PATIENCE_S / 0.05)):
            if running.done():
                break
            if supervisor.report is not None and reached(supervisor.report):
                return supervisor.report
            await asyncio.sleep(0.05)
    raise AssertionError(f"it never came to that: {supervisor.report}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_village_lives_through_a_killed_server_and_goes_on_the_next_day(tmp_path: Path) -> None:
    supervisor = village(tmp_path)
    running = asyncio.create_task(supervisor.run())
    before = await until(supervisor, running, lambda report: report.decisions > 300 and report.events_acknowledged > 90)
    killed = read_address(tmp_path).pid
    os.kill(killed, signal.SIGKILL)
    after = await until(supervisor, running, lambda report: report.reconnects == 1)
    assert after.newest_seq >= before.newest_seq
    await until(supervisor, running, lambda report: report.quests_completed >= 1 and report.lines >= 5)
    reborn = read_address(tmp_path).pid
    assert reborn != killed
    first = call_http(tmp_path, "GET", "/v1/worlds/village")
    assert first["seq"] >= before.newest_seq
    supervisor.stop.set()
    ended = await running
    assert (ended.state, ended.events_lost, ended.events_refused) == ("ended", 0, 0)
    assert ended.paths > 0
    assert not alive(reborn)
    assert not (tmp_path / "address.json").exists()

    again = village(tmp_path, seconds=1.0)
    day_after = await again.run()
    assert day_after.newest_seq >= ended.newest_seq
    assert day_after.events_lost == 0
    assert day_after.clock >= ended.clock
    assert day_after.npcs == 30


def test_json_alone_goes_to_standard_output(tmp_path: Path) -> None:
    arguments = ["--mode", "1", "--seconds", "2", "--json", "--npcs", "12", "--data", str(tmp_path)]
    result = CliRunner().invoke(demo, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert tuple(found) == SUMMARY
    assert found["mode"] == 1
    assert found["ticks"] >= 10
    assert found["decisions"] > 0
