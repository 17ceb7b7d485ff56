"""What can be made again from the event log, and the proof of each: compare what is saved, or make it anew.

A projection joins by an entry in `projections_of`. It works on one world at a time, through one connection.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from app.core.profile import Profile
from app.stores.memories import MindsProjection
from app.stores.replay import Progress, Replayed, check_world, rebuild_world


class Projection(Protocol):
    """Something saved that the log gives again, to the same bytes."""

    @property
    def name(self) -> str: ...

    def check(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        """What differs from the log; nothing is written."""
        ...

    def rebuild(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        """What differed, and is now replaced by what the log gives."""
        ...


class StateProjection:
    """A world's state: entities, facts, relations, quests and all else that its events decide."""

    name = "state"

    def check(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        return check_world(connection, tenant, world, told)

    def rebuild(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        return rebuild_world(connection, tenant, world, told)


def projections_of(profile: Profile) -> list[Projection]:
    """Every projection that a server of this profile keeps; raises Invalid for a view or package that is not there."""
    chosen = profile.features
    found: list[Projection] = [StateProjection(), MindsProjection()]
    if chosen.views:
        from app.stores.features.history import require
        from app.stores.features.proof import FeatureProjection
        from app.stores.features.view import load

        if chosen.history:
            require("pyarrow")
        root = Path(profile.server.data_folder)
        found += [FeatureProjection(load(name), root=root, history=chosen.history) for name in chosen.views]
    return found
