"""Opens the authority over the database's keys; a first start makes the signing key, a tenant and one key."""

from __future__ import annotations

import secrets
from typing import Any

from app.control.auth import ALL_SCOPES, Authority, Key, make_key
from app.core.clock import Clock
from app.core.profile import Profile
from app.stores import repositories
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT

SIGNING_KEY_BYTES = 32
DEFAULT_TENANT = "default"


async def open_authority(database: Database, profile: Profile, clock: Clock) -> tuple[Authority, str]:
    """The authority over the database's keys; a first start makes the signing key, a tenant and one key."""

    def load(connection: Any) -> tuple[bytes, list[dict[str, Any]], str]:
        signing_key = repositories.secret(connection, "token_signing_key")
        if signing_key is None:
            signing_key = secrets.token_bytes(SIGNING_KEY_BYTES)
            repositories.insert_secret(connection, "token_signing_key", signing_key)
        text = ""
        if not repositories.tenant_ids(connection):
            now_ms = clock.wall_ms()
            new = make_key(label="first run", scopes=ALL_SCOPES, created_ms=now_ms)
            repositories.add_api_key(connection, DEFAULT_TENANT, new.row, now_ms)
            text = new.text
        return signing_key, repositories.api_keys(connection), text

    signing_key, rows, text = await database.run(EVERY_TENANT, load)
    authority = Authority(clock=clock, signing_key=signing_key, token_minutes=profile.security.token_minutes)
    for row in rows:
        authority.learn(Key.from_row(row))
    return authority, text
