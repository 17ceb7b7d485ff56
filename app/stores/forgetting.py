"""What an erasure does to the rows of one world, as functions on a connection; every one may be run again.

The log is brought to the alias, what was sealed under the person's keys goes, and so do the keys. It decides nothing
and knows no running server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, and_, delete, func, insert, literal, or_, select, update

from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.messages import Change
from app.stores import batches, dialogue_records, memories, reports, repositories, tables
from app.stores.checkpoints import drop_checkpoints
from app.stores.replay import Progress
from app.stores.sealing import change_of, keys_of, logged, sealed_row
from app.stores.vault import CHECKPOINT, vault_of
from app.world import entities, events
from app.world.events import SubjectErased, decoder, encoder
from app.world.personal import emptied, swapped, taken_out, unnamed
from app.world.scene import quest_head

PAGE_ROWS = 1_000
EVENT_VERSION = 1
NAME_LETTERS_MIN = 2
"""A name that is shorter stands in too many other words."""


def key_ids(connection: Connection, tenant: str, world: str, subject: str, before_ms: int) -> list[bytes]:
    """The person's keys in a world that were made before that time."""
    table = tables.subject_keys
    query = select(table.c.id).where(
        table.c.tenant == tenant, table.c.world == world, table.c.subject == subject, table.c.created_ms <= before_ms
    )
    return list(connection.execute(query).scalars())


def worlds_of(connection: Connection, tenant: str, subject: str) -> list[str]:
    """The tenant's worlds whose log names the person, or holds something under a key of theirs."""
    keys = tables.subject_keys
    known = set(
        connection.execute(
            select(keys.c.world).where(keys.c.tenant == tenant, keys.c.subject == subject).distinct()
        ).scalars()
    )
    worlds = [id for owner, id in repositories.world_ids(connection) if owner == tenant]
    return [id for id in worlds if id in known or _named(connection, tenant, id, subject)]


def erased_seq(connection: Connection, tenant: str, world: str, alias: str) -> int:
    """The place of the event that erased under that alias; 0 where it is still to be written."""
    call = repositories.keyed_calls(connection, [(tenant, world, call_key(alias))])
    return next((last for _, last, _ in call.values()), 0)


def call_key(alias: str) -> str:
    """The idempotency key of an erasure's event."""
    return f"erasure:{alias}"


def append_erased(connection: Connection, tenant: str, world: str, change: SubjectErased, wall_ms: int) -> int:
    """Write the event of an erasure into a log that no process owns now, once; its place."""
    seq = erased_seq(connection, tenant, world, change.alias)
    if seq:
        return seq
    claim = repositories.claim_of(connection, tenant, world)
    if claim is None or repositories.take_world(connection, tenant, claim, "") is None:
        raise Conflict(f"world {world!r} was taken by a server just now", hint="run it again")
    log = tables.events
    newest = select(func.max(log.c.game_s), func.max(log.c.seq)).where(log.c.tenant == tenant, log.c.world == world)
    game_s, last_seq = connection.execute(newest).one()
    seq = int(last_seq or 0) + 1
    row = {"tenant": tenant, "world": world, "seq": seq, "id": new_id(wall_ms), "wall_ms": wall_ms}
    row |= {"game_s": float(game_s or 0.0), "version": EVENT_VERSION, "body": encoder.encode(change)}
    connection.execute(insert(log).values(row))
    call = {"tenant": tenant, "world": world, "key": call_key(change.alias), "first_seq": seq, "last_seq": seq}
    connection.execute(insert(tables.idempotency).values(call))
    return seq


def quests_in_log(connection: Connection, tenant: str, world: str, subject: str, keys: Sequence[bytes]) -> list[str]:
    """The ids of the person's quests, by whose key their newest records are under or by what is readable."""
    found: dict[str, None] = {}
    for row in rows_naming(connection, tenant, world, subject):
        change = decoder.decode(row.body)
        if not isinstance(change, events.QuestRecorded):
            continue
        if row.key in keys or quest_head(change).player == subject:
            found[change.id] = None
        else:  # a party that somebody else leads by now
            found.pop(change.id, None)
    return list(found)


def rewrite(
    connection: Connection, tenant: str, world: str, change: SubjectErased, last_seq: int, told: Progress
) -> int:
    """Bring the log up to `last_seq` to the alias and take out what was the person's; how many rows that changed."""
    log, sealed, vault = tables.events, tables.sealed_events, vault_of(connection)
    wall_ms = connection.execute(
        select(log.c.wall_ms).where(log.c.tenant == tenant, log.c.world == world, log.c.seq == last_seq)
    ).scalar()
    keys = key_ids(connection, tenant, world, change.subject, int(wall_ms or 0))
    names = (change.subject, *_names(connection, tenant, world, change.subject, keys))
    changed, forgotten = 0, []
    for row in rows_naming(connection, tenant, world, change.subject, last_seq, names):
        of = (tenant, world, row.seq)
        body, sealed_values, empty = _rewritten(row, change, keys, names, vault)
        if empty:
            forgotten.append(row.seq)
        if body != row.body:
            connection.execute(update(log).where(_at(log, *of)).values(body=body))
            changed += 1
        if row.sealed is not None and sealed_values is None:
            connection.execute(delete(sealed).where(_at(sealed, *of)))
            changed += 1
        elif sealed_values is not None:
            connection.execute(update(sealed).where(_at(sealed, *of)).values(body=sealed_values))
            changed += 1
        told(1)
    memories.forget_rows(connection, tenant, world, forgotten)
    table = tables.subject_keys
    connection.execute(delete(table).where(table.c.tenant == tenant, table.c.id.in_(keys)))
    vault.forget(keys)
    changed += dialogue_records.erase(connection, tenant, world, change.subject)
    changed += reports.erase(connection, tenant, world, change.subject)
    return changed + batches.erase(connection, tenant, world, change.subject)


def destroy_checkpoint_keys(connection: Connection, tenant: str, before_ms: int) -> None:
    """Destroy the keys of checkpoints that were made before, and the checkpoints under them."""
    table = tables.data_keys
    of = and_(table.c.tenant == tenant, table.c.purpose == CHECKPOINT)
    old = or_(table.c.retired_ms.is_not(None), table.c.created_ms < before_ms)
    ids = list(connection.execute(select(table.c.id).where(of, old)).scalars())
    connection.execute(delete(table).where(of, table.c.id.in_(ids)))
    vault_of(connection).forget(ids)


def retire_checkpoint_keys(connection: Connection, tenant: str, now_ms: int) -> None:
    """Let the next checkpoint be written under a new key."""
    table = tables.data_keys
    of = and_(table.c.tenant == tenant, table.c.purpose == CHECKPOINT, table.c.retired_ms.is_(None))
    connection.execute(update(table).where(of).values(retired_ms=now_ms))


def drop_all_checkpoints(connection: Connection, tenant: str) -> None:
    """Take the checkpoints of every world of the tenant away."""
    for owner, world in repositories.world_ids(connection):
        if owner == tenant:
            drop_checkpoints(connection, tenant, world)


def _rewritten(
    row: Any, erased: SubjectErased, keys: Sequence[bytes], names: Sequence[str], vault: Any
) -> tuple[bytes, bytes | None, bool]:
    """(the readable body, the sealed one, whether it is a memory of which nothing is left).

    The sealed one is None where there is none any more, or where nothing to change is known.
    """
    old, new = erased.subject, erased.alias
    if row.key in keys or row.other_key in keys:
        change: Change = swapped(decoder.decode(row.body), old, new)
        return encoder.encode(change), None, isinstance(change, events.MemoryNoted)
    used = keys_of(row, vault)
    whole = swapped(change_of(row, vault) if used else decoder.decode(row.body), old, new)
    if (used or row.sealed is None) and isinstance(whole, events.MemoryNoted):
        whole = unnamed(whole, new, names)
    empty = isinstance(whole, events.MemoryNoted) and not whole.text
    if not used:
        if row.sealed is None and _about(whole, new):
            whole = emptied(whole)
        return encoder.encode(whole), row.sealed, empty
    change, leaves = taken_out(whole)
    body, sealed = sealed_row(row.tenant, row.world, row.seq, row.id, used, change, leaves)
    return body, sealed[-1], empty


def _about(change: Change, id: str) -> bool:
    """Whether a change that was never sealed says something of the person."""
    match change:
        case events.EntityUpserted(entity=entities.Player(id=player)):
            return player == id
        case events.FactAsserted(fact=fact):
            return fact.subject == id
        case events.Happened(actor=actor, target=target):
            return id in (actor, target)
        case events.ProposalOffered(player=player):
            return player == id
        case events.QuestRecorded():
            return quest_head(change).player == id
    return False


def _names(connection: Connection, tenant: str, world: str, subject: str, keys: Sequence[bytes]) -> list[str]:
    """What the person was ever called, as far as it can be read."""
    log, sealed, vault = tables.events, tables.sealed_events, vault_of(connection)
    query = logged().where(log.c.tenant == tenant, log.c.world == world, sealed.c.key.in_(keys))
    found: dict[str, None] = {}
    for row in connection.execute(query):
        match decoder.decode(row.body):
            case events.EntityUpserted(entity=entities.Player(id=player)) if player == subject:
                change = change_of(row, vault)
                if isinstance(change, events.EntityUpserted) and len(change.entity.name) >= NAME_LETTERS_MIN:
                    found[change.entity.name] = None
    return list(found)


def rows_naming(
    connection: Connection,
    tenant: str,
    world: str,
    subject: str,
    last_seq: int | None = None,
    texts: Sequence[str] = (),
) -> Iterator[Any]:
    """The rows that may name the person, hold one of the texts, or are sealed, in order and page by page."""
    log, sealed, after = tables.events, tables.sealed_events, 0
    while True:
        query = logged().where(
            log.c.tenant == tenant,
            log.c.world == world,
            log.c.seq > after,
            or_(
                _holds(connection, log.c.body, subject),
                *(_has(connection, log.c.body, text.encode()) for text in texts),
                sealed.c.body.is_not(None),
            ),
        )
        if last_seq is not None:
            query = query.where(log.c.seq <= last_seq)
        page = connection.execute(query.order_by(log.c.seq).limit(PAGE_ROWS)).all()
        yield from page
        if len(page) < PAGE_ROWS:
            return
        after = page[-1].seq


def _named(connection: Connection, tenant: str, world: str, subject: str) -> bool:
    log = tables.events
    query = select(log.c.seq).where(
        log.c.tenant == tenant, log.c.world == world, _holds(connection, log.c.body, subject)
    )
    return connection.execute(query.limit(1)).first() is not None


def _holds(connection: Connection, column: Any, text: str) -> Any:
    return _has(connection, column, msgspec.msgpack.encode(text))  # with its length, so no part of a longer id


def _has(connection: Connection, column: Any, part: bytes) -> Any:
    needle = literal(part, LargeBinary)
    if connection.dialect.name == "postgresql":
        return func.position(needle.op("IN")(column)) > 0
    return func.instr(column, needle) > 0


def _at(table: Any, tenant: str, world: str, seq: int) -> Any:
    return and_(table.c.tenant == tenant, table.c.world == world, table.c.seq == seq)
