"""Opens access over the database: the authority and what changes it; a first start makes a tenant and one key."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from app.build.records import DatabaseRecords, changes_after, rotate_ring
from app.control.access import DAY_MS, AccessWatch
from app.control.api_keys import ApiKeys
from app.control.auth import ALL_SCOPES, Authority
from app.control.grants import MINUTE_MS, Grants
from app.control.keys import make_key
from app.control.records import Changes
from app.control.ring import LEARN_MS, Ring
from app.core.clock import Clock
from app.core.ports import Audit, Log
from app.core.profile import Profile
from app.stores import identity, repositories
from app.stores.database import Database

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may speak, and all that may be done about it. `first_key` is empty but at a first start."""

    authority: Authority
    grants: Grants
    api_keys: ApiKeys
    watch: AccessWatch
    first_key: str


async def open_access(database: Database, profile: Profile, *, clock: Clock, log: Log, audit: Audit) -> Access:
    """Access as the database has it now, and from then on as it changes; raises StoreDown."""
    settings = profile.security

    def load(connection: Connection) -> tuple[bytes, Changes, str]:
        pepper = identity.prepare(connection)
        now_ms, older_ms = clock.wall_ms(), settings.signing_key_days * DAY_MS
        rotate_ring(connection, now_ms, older_than_ms=older_ms, signs_ms=now_ms + LEARN_MS)
        text = ""
        if not repositories.tenant_ids(connection):
            new = make_key(label="first run", scopes=ALL_SCOPES, created_ms=now_ms)
            identity.add_api_key(connection, DEFAULT_TENANT, new.row, now_ms)
            text = new.text
        return pepper, changes_after(connection, -1) or Changes(0), text

    pepper, changes, text = await database.run(load)
    authority = Authority(
        clock=clock,
        ring=Ring(token_ms=settings.token_minutes * MINUTE_MS),
        pepper=pepper,
        token_minutes=settings.token_minutes,
        cache_max=settings.token_cache_max,
    )
    authority.learn(changes)
    records = DatabaseRecords(database)
    watch = AccessWatch(authority, records, clock=clock, log=log, settings=settings, version=changes.version)
    watch.start()
    grants = Grants(authority, records, clock=clock, audit=audit, settings=settings, learn=watch.learn)
    api_keys = ApiKeys(records, clock=clock, audit=audit, learn=watch.learn)
    return Access(authority, grants, api_keys, watch, text)
