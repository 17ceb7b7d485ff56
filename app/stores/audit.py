"""The audit trail's tables: appending to a tenant's chain, signing it, reading it, and cutting off what is old.

Whoever appends holds the tenant's head row until the transaction ends, so two replicas make one chain. It does not
know who noted what, nor when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text, update

from app.core import chain
from app.core.chain import NOTHING, Checkpoint, Entry, Keys
from app.stores.fields import keep_secret
from app.stores.tables import audit_checkpoints, audit_entries, audit_heads

CHECKPOINT_ENTRIES = 1_000
CHECKPOINT_MS = 60_000
"""The chain is signed when it has so many more entries than at the last time, or so long after that."""
SECRET = "audit_key"  # noqa: S105  # the name of a secret
_FIRST_HEAD = text(
    "INSERT INTO audit_heads (tenant, seq, hash, signed_seq, signed_ms) "
    "VALUES (:tenant, 0, :hash, 0, :now_ms) ON CONFLICT (tenant) DO NOTHING"
)


def append(
    connection: Connection, tenant: str, keys: Keys, noted: Sequence[Entry], *, now_ms: int, close: bool = False
) -> Checkpoint | None:
    """Write entries of the tenant behind its chain, in order; the checkpoint where one became due.

    An entry whose id is there already stays as it is: an earlier try may have lost only its answer. Without entries
    it signs what is not signed yet where that is due, or with `close` at once.
    """
    head = _held_head(connection, tenant, now_ms)
    seq, before = head.seq, head.hash
    known = _known_ids(connection, tenant, [entry.id for entry in noted])
    rows = []
    for entry in noted:
        if entry.id in known:
            continue
        seq += 1
        placed = msgspec.structs.replace(entry, seq=seq)
        before = chain.hash_of(keys.chain, before, placed)
        rows.append(msgspec.structs.asdict(msgspec.structs.replace(placed, hash=before)))
    if rows:
        connection.execute(insert(audit_entries), rows)
    due = seq > head.signed_seq and (
        close or seq - head.signed_seq >= CHECKPOINT_ENTRIES or now_ms - head.signed_ms >= CHECKPOINT_MS
    )
    signed = None
    values: dict[str, Any] = {"seq": seq, "hash": before}
    if due:
        unsigned = Checkpoint(tenant=tenant, seq=seq, kind="checkpoint", wall_ms=now_ms, hash=before)
        signed = chain.sign(keys.checkpoint, unsigned)
        connection.execute(insert(audit_checkpoints).values(msgspec.structs.asdict(signed)))
        values |= {"signed_seq": seq, "signed_ms": now_ms}
    connection.execute(update(audit_heads).where(audit_heads.c.tenant == tenant).values(values))
    return signed


def _held_head(connection: Connection, tenant: str, now_ms: int) -> Any:
    """The tenant's head, which nobody else reads for writing before this transaction ends.

    The insert comes first on purpose: SQLite takes its lock with the first statement that writes.
    """
    connection.execute(_FIRST_HEAD, {"tenant": tenant, "hash": NOTHING, "now_ms": now_ms})
    query = select(audit_heads).where(audit_heads.c.tenant == tenant).with_for_update()
    return connection.execute(query).one()


def _known_ids(connection: Connection, tenant: str, ids: Sequence[str]) -> set[str]:
    query = select(audit_entries.c.id).where(audit_entries.c.tenant == tenant, audit_entries.c.id.in_(ids))
    return set(connection.execute(query).scalars()) if ids else set()


def tenants(connection: Connection) -> list[str]:
    """Every tenant that has a chain."""
    return list(connection.execute(select(audit_heads.c.tenant).order_by(audit_heads.c.tenant)).scalars())


def head_seq(connection: Connection, tenant: str) -> int:
    """The place of the newest entry; 0 without any."""
    return connection.execute(select(audit_heads.c.seq).where(audit_heads.c.tenant == tenant)).scalar() or 0


def entries_after(
    connection: Connection, tenant: str, seq: int, *, entries_max: int, until_seq: int | None = None
) -> list[Entry]:
    """The entries that follow `seq`, up to `until_seq`, in order."""
    query = select(audit_entries).where(audit_entries.c.tenant == tenant, audit_entries.c.seq > seq)
    if until_seq is not None:
        query = query.where(audit_entries.c.seq <= until_seq)
    rows = connection.execute(query.order_by(audit_entries.c.seq).limit(entries_max)).mappings()
    return [Entry(**row) for row in rows]


def checkpoints(connection: Connection, tenant: str) -> list[Checkpoint]:
    """Every checkpoint and base of the tenant, in order."""
    query = select(audit_checkpoints).where(audit_checkpoints.c.tenant == tenant)
    rows = connection.execute(query.order_by(audit_checkpoints.c.seq, audit_checkpoints.c.kind)).mappings()
    return [Checkpoint(**row) for row in rows]


def cut(connection: Connection, tenant: str, keys: Keys, *, before_ms: int, now_ms: int) -> tuple[int, int]:
    """Delete what lies before the newest checkpoint that is older than `before_ms`; (entries gone, last seq of them).

    A signed base takes their place, without which a chain that begins late does not hold.
    """
    _held_head(connection, tenant, now_ms)
    table = audit_checkpoints
    query = (
        select(table)
        .where(table.c.tenant == tenant, table.c.kind == "checkpoint", table.c.wall_ms < before_ms)
        .order_by(table.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return 0, 0
    mark = Checkpoint(**row)
    old = audit_entries.c.tenant == tenant, audit_entries.c.seq <= mark.seq
    count = connection.execute(select(func.count()).select_from(audit_entries).where(*old)).scalar() or 0
    if not chain.is_signed(keys.checkpoint, mark) or not count:
        return 0, 0
    connection.execute(delete(audit_entries).where(*old))
    connection.execute(delete(table).where(table.c.tenant == tenant, table.c.seq <= mark.seq))
    base = Checkpoint(tenant=tenant, seq=mark.seq, kind="base", wall_ms=now_ms, hash=mark.hash)
    connection.execute(insert(table).values(msgspec.structs.asdict(chain.sign(keys.checkpoint, base))))
    return count, mark.seq


def kept_secret(connection: Connection, fresh: bytes) -> bytes:
    """The trail's secret in the database, `fresh` where there was none."""
    return keep_secret(connection, SECRET, fresh)
