"""Opens the audit trail of a profile, and tells it what the whole server does: starts, stops, refused budgets."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from app import __version__
from app.control.audit import HOST, Trail, entry_of
from app.control.repeats import Repeats
from app.core.chain import KEY_BYTES_MIN, Keys
from app.core.clock import Clock
from app.core.errors import Invalid, OverBudget
from app.core.ports import Log
from app.core.profile import Profile
from app.core.spending import Amount, Budgets, Reservation, Spender
from app.stores import audit as stored
from app.stores.chains import DatabaseChains
from app.stores.database import Database
from app.stores.tenancy import SERVERS


async def open_trail(database: Database, profile: Profile, clock: Clock, log: Log) -> Trail:
    """The trail over the database, which begins to write; raises Invalid for a key that cannot be one."""
    section = profile.audit
    trail = Trail(
        await open_chains(database, section.key_file),
        clock=clock,
        log=log,
        queue_entries_max=section.queue_entries_max,
        retention_days=section.retention_days,
        checkpoint_file=Path(section.checkpoint_file) if section.checkpoint_file else None,
    )
    trail.start()
    return trail


def note_start(trail: Trail, profile: Profile) -> None:
    """Write down that a server starts, and with which configuration."""
    trail.note(HOST, "host", "server.started", fingerprint(profile), mode=profile.mode, version=__version__)


async def open_chains(database: Database, key_file: str) -> DatabaseChains:
    """The chains with their keys, from that file or, without one, from the database; raises Invalid, StoreDown."""
    return DatabaseChains(database, await database.run(SERVERS, lambda connection: _keys(connection, key_file)))


def append_with(
    connection: Connection,
    profile: Profile,
    clock: Clock,
    tenant: str,
    actor: str,
    action: str,
    target: str,
    **details: str | int | bool,
) -> None:
    """Write an entry in the transaction of what it tells of, so that neither is there without the other."""
    entry = entry_of(clock, tenant, actor, action, target, details)
    keys = _keys(connection, profile.audit.key_file)
    stored.append(connection, tenant, keys, [entry], now_ms=clock.wall_ms())


def fingerprint(profile: Profile) -> str:
    """What stays the same for as long as the configuration does."""
    whole = msgspec.json.encode(profile, order="deterministic", enc_hook=repr)
    return f"profile:{hashlib.sha256(whole).hexdigest()[:32]}"


def _keys(connection: Connection, path: str) -> Keys:
    if not path:
        return Keys.of(stored.kept_secret(connection, secrets.token_bytes(KEY_BYTES_MIN)))
    try:
        secret = Path(path).read_bytes()
    except OSError as error:
        raise Invalid(
            f"audit.key_file {path!r} cannot be read: {error.strerror}", hint=f"openssl rand -out {path} 32"
        ) from error
    if len(secret) < KEY_BYTES_MIN:
        raise Invalid(
            f"audit.key_file {path!r} holds {len(secret)} bytes", hint=f"give {KEY_BYTES_MIN} random ones or more"
        )
    return Keys.of(secret)


class NotingBudgets:
    """Budgets whose refusals are noted; for the rest, those that it was given."""

    def __init__(self, budgets: Budgets, repeats: Repeats) -> None:
        self._budgets = budgets
        self._repeats = repeats

    async def reserve(self, spender: Spender, most: Amount) -> Reservation:
        try:
            return await self._budgets.reserve(spender, most)
        except OverBudget as error:
            self._repeats.count(spender.tenant, "server", "budget.refused", f"world:{spender.world}", error.message)
            raise

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        self._budgets.settle(reservation, spent)

    def know(self, tenant: str, world: str, spent: Iterable[tuple[int, str, str, Amount]]) -> None:
        self._budgets.know(tenant, world, spent)
