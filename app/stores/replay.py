"""Replay: the event log gives every world's state again, and the checkpoints are held against it.

The log is the truth; a checkpoint is a projection that may be thrown away. It reads and writes through one
connection and does not know where the database lies or whether a server runs on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from app.core.errors import StoreDown
from app.stores import repositories, tables
from app.stores.checkpoints import drop_checkpoints, load_checkpoint, save_checkpoint
from app.stores.pieces import state_encoder
from app.world import reducers
from app.world.state import State

VERSIONS = frozenset({1})
"""Event versions that this release can apply."""
STEP_EVENTS = 1_000
"""Progress is told this often."""

Progress = Callable[[int], None]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What the replay of one world found of a projection; without `faults` its bytes are those that a server holds."""

    tenant: str
    world: str
    projection: str = "state"
    seq: int
    saved_seq: int
    """Newest event in what was saved; 0 where nothing was."""
    sha256: str
    """Of the projection's bytes at `seq`, as the log gives them."""
    faults: tuple[str, ...] = ()


def chosen_worlds(connection: Connection, tenant: str, world: str) -> list[tuple[str, str]]:
    """(tenant, world) of every world that the two filters let through; an empty filter lets all through."""
    return [
        (owner, id) for owner, id in repositories.world_ids(connection) if tenant in ("", owner) and world in ("", id)
    ]


def newest_seqs(connection: Connection) -> list[tuple[str, str, int]]:
    """(tenant, world, newest seq) of every world."""
    return [
        (tenant, id, repositories.newest_seq(connection, tenant, id))
        for tenant, id in repositories.world_ids(connection)
    ]


def check_world(connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
    """Replay one world and compare; nothing is written."""
    return _replay(connection, tenant, world, told)[0]


def rebuild_world(connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
    """Replay one world and replace its checkpoint by the result; a log with faults changes nothing."""
    replayed, state, whole = _replay(connection, tenant, world, told)
    if whole:
        drop_checkpoints(connection, tenant, world)
        save_checkpoint(connection, tenant, world, state_encoder.encode(state), state.seq)
    return replayed


def _replay(connection: Connection, tenant: str, world: str, told: Progress) -> tuple[Replayed, State, bool]:
    """(what was found, the state from the log alone, whether the log is whole)."""
    # The checkpoint comes first: a running server may add events meanwhile, and a checkpoint never runs ahead of them.
    unreadable = []
    try:
        served = load_checkpoint(connection, tenant, world)
    except StoreDown as error:
        served, unreadable = State(), [error.message]
    checkpoint_seq = served.seq
    last_seq = repositories.newest_seq(connection, tenant, world)
    rebuilt = State()
    faults = _log_faults(connection, tenant, world, last_seq)
    if not faults:
        faults = list(_apply_all(connection, tenant, world, last_seq, (rebuilt, served), told))
    whole = not faults
    faults += unreadable
    body = state_encoder.encode(rebuilt)
    if whole and checkpoint_seq > last_seq:
        faults.append(f"the checkpoint is at event {checkpoint_seq}, the log ends at {last_seq}")
    elif whole and body != state_encoder.encode(served):
        faults.append(f"the checkpoint at event {checkpoint_seq} differs: {', '.join(_differing(rebuilt, served))}")
    replayed = Replayed(
        tenant=tenant,
        world=world,
        seq=last_seq,
        saved_seq=checkpoint_seq,
        sha256=hashlib.sha256(body).hexdigest(),
        faults=tuple(faults),
    )
    return replayed, rebuilt, whole


def _apply_all(
    connection: Connection, tenant: str, world: str, last_seq: int, states: tuple[State, State], told: Progress
) -> Iterator[str]:
    """Bring both states to `last_seq` and yield the fault that stops them, if any."""
    rebuilt, served = states
    checkpoint_seq = served.seq
    for event in repositories.events_between(connection, tenant, world, 1, last_seq):
        try:
            reducers.apply(rebuilt, event)
            if event.seq > checkpoint_seq:
                reducers.apply(served, event)
        except (KeyError, TypeError, ValueError) as error:
            yield f"event {event.seq} cannot be applied: {error!r}"
            return
        if event.seq % STEP_EVENTS == 0:
            told(STEP_EVENTS)
    told(last_seq % STEP_EVENTS)


def _log_faults(connection: Connection, tenant: str, world: str, last_seq: int) -> list[str]:
    """What is wrong with the rows themselves: gaps, versions from the future, keys that point at nothing."""
    events, keys = tables.events, tables.idempotency
    faults = []
    count, first_seq = _row(
        connection, select(func.count(), func.min(events.c.seq)).where(*_of(events, tenant, world, last_seq))
    )
    if count != last_seq or (count and first_seq != 1):
        faults.append(f"the log has {count} events where the newest is {last_seq}: some are missing")
    versions = connection.execute(select(events.c.version).where(*_of(events, tenant, world, last_seq)).distinct())
    unknown = sorted(set(versions.scalars()) - VERSIONS)
    if unknown:
        faults.append(f"events of version {unknown[0]} need a newer release; this one knows {sorted(VERSIONS)}")
    (dangling,) = _row(
        connection,
        select(func.count()).where(
            keys.c.tenant == tenant,
            keys.c.world == world,
            (keys.c.first_seq < 1) | (keys.c.last_seq < keys.c.first_seq),
        ),
    )
    if dangling:
        faults.append(f"{dangling} idempotency keys point at no event")
    return faults


def _of(table: Any, tenant: str, world: str, last_seq: int) -> tuple[Any, ...]:
    return (table.c.tenant == tenant, table.c.world == world, table.c.seq <= last_seq)


def _row(connection: Connection, query: Any) -> Any:
    return connection.execute(query).one()


def _differing(one: State, other: State) -> list[str]:
    return [name for name in State.__struct_fields__ if getattr(one, name) != getattr(other, name)] or ["the order"]
