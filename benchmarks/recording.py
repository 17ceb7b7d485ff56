"""What recording costs a tick of 1,000 NPCs: the event loop's part, beside the same tick without a recorder.

It drives the module's own handler over the shipped policy, in process. Between ticks it leaves the loop idle for a
moment, as ticks of a game do, so that the writing thread finds its time outside them.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import uvloop
from brains.stage import Quiet, ask, compose, open_policy, tick_of
from report import Report, start

from app.core.clock import SystemClock
from app.modules.behavior.recorder import Recorder
from app.modules.behavior.recordings import Played, Reader
from app.modules.behavior.scribe import Moment, Scribe
from app.modules.behavior.settings import Recording

NPCS = 1_000
SHARES = (1.0, 0.1)
IDLE_S = 0.03


def recorder_of(folder: Path, share: float) -> Recorder:
    settings = Recording(enabled=True, npc_share=share, world_bytes_max=1 << 40, tenant_bytes_max=1 << 40)
    return Recorder(settings, folder / str(share), clock=SystemClock(), log=Quiet())


async def measure_ticks(report: Report, folder: Path, rounds: int) -> None:
    """The whole handler with and without a recorder, in turns."""
    engine = open_policy()
    recorders = {share: recorder_of(folder, share) for share in SHARES}
    modules = {"plain": compose(engine, NPCS)}
    modules |= {f"share_{share}": compose(engine, NPCS, recorder) for share, recorder in recorders.items()}
    works = {name: ask(built, tick_of(NPCS), deadline_ms=5_000.0) for name, built in modules.items()}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            await work()
            taken[name].append(time.perf_counter() - began)
            await asyncio.sleep(IDLE_S)
    # The quickest tenth: what a busy machine adds falls on all of them, and is no part of the cost.
    took = {name: statistics.median(sorted(values)[: rounds // 10]) * 1e6 for name, values in taken.items()}
    for share, recorder in recorders.items():
        await recorder.close()
        name = f"share_{share}"
        report.add(f"tick_us.{name}", took[name], "us", "lower", peer="without a recorder", peer_value=took["plain"])
        report.add(f"tick_cost.{name}", took[name] / took["plain"] - 1.0, "share", "lower", goal=0.03)
        report.add(f"dropped_ticks.{name}", recorder.dropped_ticks, "count", "lower", goal=0)
    await engine.close()


def measure_parts(report: Report, folder: Path, rounds: int) -> None:
    """What the writing thread takes for a tick, whatever else the machine does meanwhile."""
    record = next(each for each in Reader(folder / "1.0") if isinstance(each, Played))
    arrays = {name: array for name, array in record.arrays.items() if name not in ("flags", "mask")}
    moment = Moment(
        "t", "w", record.context, 1, 0.0, 0, 1, 0.0, 0, record.arrays["flags"], record.mask, arrays
    )  # fmt: skip
    for share in SHARES:
        scribe = Scribe(Recording(enabled=True, npc_share=share), folder / f"parts-{share}", SystemClock())
        taken = []
        for _ in range(rounds):
            began = time.perf_counter()
            scribe.write(moment)
            taken.append(time.perf_counter() - began)
        report.add(f"write_us.share_{share}", statistics.median(taken) * 1e6, "us", "lower")


def main() -> None:
    report = start("recording")
    rounds = 400 if report.options.quick else 3_000
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(measure_ticks(report, Path(name), rounds))
        measure_parts(report, Path(name), rounds // 4)
    report.close()


if __name__ == "__main__":
    main()
