"""Paths through a real server's WebSocket: batches of 256 short game paths in msgpack, packed both ways.

Short game paths are the published problems of AR0011SR that are at most 60 steps long. Clients keep two
requests in flight each and run on the same two cores as the server. A probe on its own connection counts how
long the event loop keeps it waiting meanwhile.
"""

from __future__ import annotations

import asyncio
import statistics
import urllib.request

import behavior_wire as wire
import msgspec
import numpy as np
import report

MAP = "AR0011SR"
BATCH = 256
LENGTH_MAX = 60.0
CLIENTS = 2


def requests(count: int) -> list[bytes]:
    """Frames of path.find over the short problems, in an order of their own each."""
    folder = report.DATA / "maps"
    rows = [line.split() for line in (folder / f"{MAP}.map.scen").read_text().splitlines()[1:]]
    short = np.array([[int(field) for field in row[4:8]] for row in rows if float(row[8]) <= LENGTH_MAX], "<i2")
    random = np.random.default_rng(1)
    frames = []
    for number in range(count):
        chosen = short[random.integers(0, len(short), BATCH)]
        starts, goals = chosen[:, :2].tobytes(), chosen[:, 2:].tobytes()
        data = {"map": MAP, "starts": starts, "goals": goals}
        frames.append(
            msgspec.msgpack.encode({"id": str(number), "op": "path.find", "deadline_ms": 1_000, "data": data})
        )
    return frames


def upload(served: wire.Served) -> None:
    """Put the map into the world."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{served.port}/v1/worlds/w/maps/{MAP}",
        data=(report.DATA / "maps" / f"{MAP}.map").read_bytes(),
        method="PUT",
        headers={"Authorization": f"Bearer {served.key}", "Content-Type": "application/octet-stream"},
    )
    urllib.request.urlopen(asked, timeout=30).read()


async def press(served: wire.Served, seconds: float, rounds: int) -> tuple[list[float], list[float]]:
    """Paths a second of each round, and all answers' milliseconds."""
    frames = requests(64)
    rates, took_ms = [], []
    for _ in range(rounds):
        clients = [wire.Socket(frames, in_flight=2, key=served.key, world="w") for _ in range(CLIENTS)]
        rate, ms, refused = await wire.spell(clients, served.port, seconds)
        assert refused == 0, "the server refused paths"
        rates.append(BATCH * rate)
        took_ms += ms
    return rates, sorted(took_ms)


def measure(told: report.Report, *, quick: bool) -> None:
    """Start a server in mode 1, which needs nothing for paths, and press it."""
    if not (report.DATA / "maps").is_dir():
        told.add("socket_paths_per_s", None, "paths/s", "higher", goal=60_000, why="no maps in ../shared/data")
        return
    with wire.innkeeper(1, 1) as served:
        upload(served)
        asyncio.run(press(served, 1.0, 1))
        rates, ms = asyncio.run(press(served, 2.0 if quick else 5.0, 3 if quick else 5))
    told.add("socket_paths_per_s", statistics.median(rates), "paths/s", "higher", goal=60_000)
    told.add("socket_batch_p50_ms", ms[len(ms) // 2], "ms", "lower")
    told.add("socket_batch_p99_ms", ms[int(len(ms) * 0.99)], "ms", "lower")
