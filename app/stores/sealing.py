"""Event bodies on their way to the log and back: what is personal in them goes into a row of its own, sealed.

The event's row stays readable, so a log replays without any key; with the keys it is what it was. A key is made for
each person, world and run of the server, and is written in the transaction that first needs it, so that sealing never
waits for the database. An event of two persons is sealed by both keys and opens with neither alone.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, select

from app.core.messages import Change, Event
from app.stores import tables
from app.stores.bulk import Row
from app.stores.vault import SEALS_MAX, Key, Vault, new_key, seal, unseal
from app.world.events import decoder, encoder
from app.world.personal import put_back, taken_out

SUBJECT = "subject"
COLUMN = ("sealed_events", "body")


class Sealed(NamedTuple):
    """The body of an event's row, and the rows that go with it."""

    body: bytes
    row: Row
    keys: list[Row]


class _Held:
    """A key that seals now, and how often it did."""

    __slots__ = ("key", "seals")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.seals = 0


class Sealer:
    """Seals with the newest key of each person; a key that left its bounded table is replaced by a new one."""

    def __init__(self, vault: Vault, *, keys_max: int) -> None:
        self._vault = vault
        self._keys_max = keys_max
        self._held: OrderedDict[tuple[str, str, str], _Held] = OrderedDict()
        self._not_before_ms: dict[tuple[str, str, str], int] = {}

    def seal(self, tenant: str, world: str, event: Event, persons: tuple[str, ...]) -> Sealed:
        """The rows of an event that says something of `persons`; raises Invalid without a master key."""
        made: list[Row] = []
        keys = [self._key((tenant, world, person), event.wall_ms, made) for person in persons[:2]]
        change, leaves = taken_out(event.change)
        body, row = sealed_row(tenant, world, event.seq, event.id, keys, change, leaves)
        return Sealed(body, row, made)

    def forget(self, tenant: str, world: str, person: str = "", *, now_ms: int = 0) -> None:
        """Use the keys of a person, or of all in a world, no more; later ones are made after `now_ms`."""
        for place in [key for key in self._held if key[:2] == (tenant, world) and person in ("", key[2])]:
            del self._held[place]
        if person:
            self._not_before_ms[tenant, world, person] = now_ms + 1

    def _key(self, place: tuple[str, str, str], now_ms: int, made: list[Row]) -> Key:
        held = self._held.get(place)
        if held is None or held.seals >= SEALS_MAX:
            tenant, world, person = place
            key, secret = new_key()
            wrapped = self._vault.wrap(key, secret, tenant, SUBJECT)
            created_ms = max(now_ms, self._not_before_ms.pop(place, 0))
            made.append((tenant, key.id, person, world, wrapped, created_ms))
            held = self._held[place] = _Held(key)
            if len(self._held) > self._keys_max:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(place)
        held.seals += 1
        return held.key


def sealed_row(
    tenant: str, world: str, seq: int, id: str, keys: list[Key], change: Change, leaves: bytes
) -> tuple[bytes, Row]:
    """(the readable body, the sealed row) of an event; the second key goes around the first."""
    where = _where(tenant, world, seq, id)
    blob = seal(keys[0], where, leaves)
    other = keys[1] if len(keys) > 1 else None
    if other is not None:
        blob = seal(other, where, blob)
    return encoder.encode(change), (tenant, world, seq, keys[0].id, other.id if other is not None else None, blob)


def logged() -> Select[Any]:
    """The rows of the log with what is sealed of them and the keys that are still there."""
    log, sealed = tables.events, tables.sealed_events
    first, second = tables.subject_keys.alias("first"), tables.subject_keys.alias("second")
    return select(
        log,
        sealed.c.key,
        sealed.c.other_key,
        sealed.c.body.label("sealed"),
        first.c.wrapped.label("wrapped"),
        second.c.wrapped.label("other_wrapped"),
    ).select_from(
        log.outerjoin(
            sealed, and_(sealed.c.tenant == log.c.tenant, sealed.c.world == log.c.world, sealed.c.seq == log.c.seq)
        )
        .outerjoin(first, and_(first.c.tenant == log.c.tenant, first.c.id == sealed.c.key))
        .outerjoin(second, and_(second.c.tenant == log.c.tenant, second.c.id == sealed.c.other_key))
    )


def keys_of(row: Any, vault: Vault) -> list[Key]:
    """The keys of a row of `logged`; none where the row is not sealed or one of its keys was shredded."""
    if row.sealed is None or not row.wrapped or (row.other_key is not None and not row.other_wrapped):
        return []
    keys = [vault.unwrap(row.key, row.wrapped, row.tenant, SUBJECT)]
    if row.other_key is not None:
        keys.append(vault.unwrap(row.other_key, row.other_wrapped, row.tenant, SUBJECT))
    return keys


def change_of(row: Any, vault: Vault) -> Change:
    """The change in a row of `logged`: whole where its keys are there, without its personal fields where not.

    Raises Unopened where the sealed part was changed or moved.
    """
    change: Change = decoder.decode(row.body)
    keys = keys_of(row, vault)
    if not keys:
        return change
    where = _where(row.tenant, row.world, row.seq, row.id)
    leaves = row.sealed
    for key in reversed(keys):
        leaves = unseal(key, where, leaves)
    return put_back(change, leaves)


def _where(tenant: str, world: str, seq: int, id: str) -> tuple[str | int, ...]:
    return (tenant, *COLUMN, world, seq, id)
