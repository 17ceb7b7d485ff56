"""Brings a world from the database into RAM: its checkpoint, then the events after it, page by page.

Pages are decoded and applied in a worker thread, so a long log delays nobody else's request. Whoever loads owns the
world: its log does not grow meanwhile. It knows nothing of owners.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from app.stores import repositories
from app.stores.checkpoints import checkpoint_body, decode_checkpoint
from app.stores.database import Database
from app.stores.repositories import Claim
from app.stores.vault import Vault
from app.world import reducers
from app.world.state import State, World

PAGE_EVENTS = 500


async def load_world(database: Database, claim: Claim) -> tuple[World, int]:
    """(the world as its log left it, how many events were replayed); raises StoreDown."""
    tenant, id = claim.tenant, claim.world
    body = await database.run_long(tenant, lambda connection: checkpoint_body(connection, tenant, id))
    state = await asyncio.to_thread(decode_checkpoint, body, id)
    replayed = 0
    while True:
        after_seq = state.seq
        rows = await database.run(
            tenant,
            lambda connection, after_seq=after_seq: repositories.event_rows(  # type: ignore[misc]  # bound at once
                connection, tenant, id, after_seq, PAGE_EVENTS
            ),
        )
        await asyncio.to_thread(_apply, state, rows, database.vault)
        replayed += len(rows)
        if len(rows) < PAGE_EVENTS:
            return World(tenant, id, state, fence=claim.fence), replayed


def _apply(state: State, rows: Sequence[Any], vault: Vault) -> None:
    for row in rows:
        reducers.apply(state, repositories.event_of(row, vault))
