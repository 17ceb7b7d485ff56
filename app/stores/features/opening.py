"""Opens a store for each feature view that the profile names; where it names none, nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.clock import Clock
from app.core.ports import Log
from app.core.profile import Profile
from app.stores.database import Database
from app.stores.events import Stream
from app.world.state import Worlds

if TYPE_CHECKING:
    from app.stores.features.live import FeatureStore


@dataclass(frozen=True, slots=True)
class OpenFeatures:
    """The stores of a running server, by view."""

    stores: dict[str, FeatureStore]
    patience_s: float

    def faults(self) -> dict[str, str]:
        """`features` -> why vectors or history lag now; empty while none does."""
        found = [store.fault for store in self.stores.values() if store.fault]
        return {"features": "; ".join(found)} if found else {}

    async def close(self) -> None:
        for store in self.stores.values():
            await store.close(patience_s=self.patience_s)


def open_features(
    profile: Profile, *, database: Database, stream: Stream, worlds: Worlds, clock: Clock, log: Log
) -> OpenFeatures:
    """The stores, fed by the stream; raises Invalid for a view or package that is not there, Conflict (see History)."""
    chosen = profile.features
    opened = OpenFeatures({}, profile.server.drain_ms_max / 1000.0)
    if not chosen.views:
        return opened
    from app.stores.features.history import require
    from app.stores.features.live import FeatureStore
    from app.stores.features.view import load

    if chosen.history:
        require("pyarrow")
    for name in chosen.views:
        store = FeatureStore(
            load(name),
            database=database,
            root=Path(profile.server.data_folder),
            clock=clock,
            log=log,
            history=chosen.history,
            queue_events_max=chosen.queue_events_max,
            rows_max=chosen.history_rows_max,
            keep_ms=chosen.keep_ms,
        )
        store.open(worlds)
        stream.subscribe(store.take)
        opened.stores[name] = store
    return opened
