"""Export and import: the event log as JSON lines, one event a line, every line complete in itself.

A line's `format` is the shape of the line, `version` that of its change. It streams: memory does not grow
with the log. It does not know files' names or progress bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec
from sqlalchemy import Connection, Table, select

from app.core.errors import Conflict, Invalid, nearest
from app.core.messages import Event
from app.stores import memories, repositories, tables
from app.stores.bulk import Row, insert_rows
from app.stores.replay import STEP_EVENTS, VERSIONS, Progress, chosen_worlds
from app.stores.sealing import Sealer
from app.stores.vault import vault_of
from app.world import reducers
from app.world.events import AnyChange, encoder
from app.world.personal import persons_of
from app.world.state import World

FORMAT = 1
KEYS_MAX = 65_536
EVENT_VERSION = 1

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


_decoder = msgspec.json.Decoder(Line)


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


def read_events(connection: Connection, body: Iterable[bytes], told: Progress) -> int:
    """Write the events of an export into a database that has none, all or nothing, and return how many there were.

    Idempotency keys are not in an export: what was sent before it must not be sent again.
    Raises Conflict when there are events, Invalid for a line that cannot be read or does not follow the one before.
    """
    if connection.execute(select(tables.events.c.seq).limit(1)).first() is not None:
        raise Conflict("this database has events already", hint="import into an empty one")
    worlds: dict[tuple[str, str], World] = {}
    rows: dict[Table, list[Row]] = {}
    sealer = Sealer(vault_of(connection), keys_max=KEYS_MAX)
    waiting = 0
    for number, text in enumerate(body, 1):
        line = _line(text, number)
        world = worlds.setdefault((line.tenant, line.world), World(line.tenant, line.world))
        if line.seq != world.state.seq + 1:
            raise Invalid(
                f"line {number}: event {line.seq} of world {line.world!r} follows event {world.state.seq}",
                hint="import a whole export, as it was written",
            )
        if line.seq == 1:
            repositories.insert_world(connection, line.tenant, line.world, line.wall_ms)
        _take(rows, sealer, world, line, number)
        waiting += 1
        if waiting == STEP_EVENTS:
            _flush(connection, rows)
            told(waiting)
            waiting = 0
    _flush(connection, rows)
    told(waiting)
    return sum(world.state.seq for world in worlds.values())


def _take(rows: dict[Table, list[Row]], sealer: Sealer, world: World, line: Line, number: int) -> None:
    """Add the rows of a line, sealed where it speaks of a person, and bring the world to it."""
    event = Event(seq=line.seq, id=line.id, wall_ms=line.wall_ms, game_s=line.game_s, change=line.change)
    persons = persons_of(world, line.change)
    if persons:
        sealed = sealer.seal(line.tenant, line.world, event, persons)
        rows.setdefault(tables.sealed_events, []).append(sealed.row)
        rows.setdefault(tables.subject_keys, []).extend(sealed.keys)
    body = sealed.body if persons else encoder.encode(line.change)
    row = (line.tenant, line.world, line.seq, line.id, line.wall_ms, line.game_s, line.version, body)
    rows.setdefault(tables.events, []).append(row)
    rows.setdefault(tables.minds, []).extend(memories.rows_of(line.tenant, line.world, event))
    try:
        reducers.apply(world.state, event)
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"line {number} cannot be applied: {error!r}", hint="import a whole export") from error


def _flush(connection: Connection, rows: dict[Table, list[Row]]) -> None:
    for table, waiting in rows.items():
        if waiting:
            insert_rows(connection, table, waiting)
    rows.clear()


def _line(text: bytes, number: int) -> Line:
    try:
        line = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"line {number} is no event: {error}", hint="import what events export has written") from error
    if line.format != FORMAT or line.version not in VERSIONS:
        raise Invalid(
            f"line {number} has format {line.format} and version {line.version}; this release reads {FORMAT} and "
            f"{sorted(VERSIONS)}",
            hint="import it with the release that wrote it, or a newer one",
        )
    return line


def _worlds(connection: Connection, tenant: str, world: str) -> list[tuple[str, str]]:
    found = chosen_worlds(connection, tenant, world)
    if world and not found:
        known = (id for _, id in repositories.world_ids(connection))
        raise Invalid(f"no world {world!r} in this database", hint=nearest(world, known))
    return found


def _lines(connection: Connection, tenant: str, world: str) -> Iterator[Line]:
    for event in repositories.events_between(connection, tenant, world, 1):
        yield Line(
            tenant=tenant,
            world=world,
            seq=event.seq,
            id=event.id,
            wall_ms=event.wall_ms,
            game_s=event.game_s,
            version=EVENT_VERSION,
            change=event.change,
        )
