"""Export: the event log as JSON lines, one event a line, every line complete in itself.

A line's `format` is the shape of the line, `version` that of its change. It streams: memory does not grow
with the log. It does not know files' names or progress bars.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec
from sqlalchemy import Connection, select

from app.core.errors import Invalid, nearest
from app.stores import repositories, tables
from app.stores.replay import STEP_EVENTS, Progress, chosen_worlds
from app.world.events import AnyChange, decoder

FORMAT = 1

_encoder = msgspec.json.Encoder()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one world; bytes inside a change are base64."""

    format: int = FORMAT
    tenant: str
    world: str
    seq: int
    id: str
    wall_ms: int
    game_s: float
    version: int
    change: AnyChange


def count_events(connection: Connection, tenant: str, world: str) -> int:
    """How many events an export of these filters holds now; raises Invalid for a world that is not there."""
    return sum(repositories.newest_seq(connection, owner, id) for owner, id in _worlds(connection, tenant, world))


def write_events(connection: Connection, out: BinaryIO, tenant: str, world: str, told: Progress) -> int:
    """Write the events of the chosen worlds, each world in order, and return how many there were."""
    written = 0
    for owner, id in _worlds(connection, tenant, world):
        for line in _lines(connection, owner, id):
            out.write(_encoder.encode(line))
            out.write(b"\n")
            written += 1
            if written % STEP_EVENTS == 0:
                told(STEP_EVENTS)
    told(written % STEP_EVENTS)
    return written


def _worlds(connection: Connection, tenant: str, world: str) -> list[tuple[str, str]]:
    found = chosen_worlds(connection, tenant, world)
    if world and not found:
        known = (id for _, id in repositories.world_ids(connection))
        raise Invalid(f"no world {world!r} in this database", hint=nearest(world, known))
    return found


def _lines(connection: Connection, tenant: str, world: str) -> Iterator[Line]:
    table = tables.events
    query = select(table).where(table.c.tenant == tenant, table.c.world == world).order_by(table.c.seq)
    for row in connection.execute(query.execution_options(yield_per=repositories.ROWS_PER_FETCH)):
        yield Line(
            tenant=tenant,
            world=world,
            seq=row.seq,
            id=row.id,
            wall_ms=row.wall_ms,
            game_s=row.game_s,
            version=row.version,
            change=decoder.decode(row.body),
        )
