"""Opens what keeps persons' rights: the proof of the master keys, erasures that a restore undid, and the control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from app.control.privacy import Forget, Privacy, Renew
from app.core.clock import Clock
from app.core.module import Module
from app.core.ports import Audit, Journal, Log, Places
from app.core.profile import Profile
from app.stores.classes import retentions
from app.stores.database import Database
from app.stores.persons import DatabasePersons
from app.stores.rotation import require_masters
from app.stores.tenancy import EVERY_TENANT
from app.stores.tombstones import FILE, Tombstones
from app.world.state import Worlds


def persons_of(database: Database, profile: Profile, clock: Clock) -> DatabasePersons:
    """The persons of a profile's database, with the tombstones of its data folder."""
    return DatabasePersons(database, Tombstones(Path(profile.server.data_folder) / FILE), clock)


async def open_persons(database: Database, profile: Profile, clock: Clock, log: Log) -> DatabasePersons:
    """The persons, after what was erased is erased again; raises Invalid where a master key is missing.

    It runs before any world is loaded.
    """

    def prove(connection: Connection) -> None:
        require_masters(connection, clock.wall_ms())

    await database.run(EVERY_TENANT, prove)
    persons = persons_of(database, profile, clock)
    again = await persons.erase_again()
    if again:
        log.warning("erasures.repeated", persons=again)
    return persons


def open_privacy(
    persons: DatabasePersons,
    *,
    profile: Profile,
    worlds: Worlds,
    places: Places,
    journal: Journal,
    modules: Sequence[Module],
    forgets: Sequence[Forget],
    renew: Renew,
    audit: Audit,
    log: Log,
) -> Privacy:
    """The control over what is held of persons."""
    return Privacy(
        persons=persons,
        worlds=worlds,
        places=places,
        journal=journal,
        modules=modules,
        forgets=forgets,
        renew=renew,
        audit=audit,
        log=log,
        retention=retentions(profile.privacy),
    )
