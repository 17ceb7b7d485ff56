"""What models have cost, from the database: each world's newest checkpoint and the events after it.

It reads beside a running server and loads no world: of a checkpoint it decodes the usage alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection

from app.core.spending import Amount
from app.stores import repositories
from app.stores.checkpoints import checkpoint_body
from app.world import reducers
from app.world.events import WordsUsed
from app.world.state import State
from app.world.usage import Table, day_number, rows_of


class _Checkpoint(msgspec.Struct):
    """The part of a stored state that is needed here; the rest is skipped unread."""

    seq: int = 0
    usage: Table = {}


_decoder = msgspec.msgpack.Decoder(_Checkpoint)


def read_usage(connection: Connection, tenant: str, world: str) -> Table:
    """The usage of one world up to its newest event."""
    body = checkpoint_body(connection, tenant, world)
    known = _decoder.decode(body) if body else _Checkpoint()
    state = State(seq=known.seq, usage=known.usage)
    for event in repositories.events_between(connection, tenant, world, known.seq + 1):
        if isinstance(event.change, WordsUsed):
            reducers.apply(state, event)
    return state.usage


def spent(table: Table) -> Iterator[tuple[int, str, str, Amount]]:
    """(UTC day, NPC, player, amount) of every day that stands alone, as app.core.ports.Budgets takes it."""
    for row in rows_of(table):
        if len(row.period) == len("2026-10-03"):
            used = row.used
            amount = Amount(nano_usd=used.cost_nano_usd, tokens=used.tokens_in + used.tokens_out)
            yield day_number(row.period), row.npc, row.player, amount
