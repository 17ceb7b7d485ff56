"""The learned costs of one world: its events in, an overlay for each map and class of agents out.

A projection: events of the log rebuild it, and what was recorded besides (walks, flights) is saved with it. It meets
the network as a port and decides when to ask it; what danger is stands in `danger.py`.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown, Invalid, Unavailable
from app.core.messages import Event
from app.core.ports import Network
from app.modules.pathfinding.overlays import counts, danger, ground
from app.modules.pathfinding.overlays.counts import F32, SavedTally, Tally
from app.modules.pathfinding.overlays.ground import Ground
from app.modules.pathfinding.overlays.settings import OverlaySettings
from app.modules.pathfinding.overlays.watch import Overlay, Rung, Sight, Snapshot, Watch
from app.world.events import MapStored

ALL = ""
"""The class of what is a danger to every class."""


class _Saved(msgspec.Struct, frozen=True):
    tallies: tuple[tuple[str, str, SavedTally], ...]


class _Looked(NamedTuple):
    key: tuple[str, str]
    epoch: int
    """How often the map had been forgotten by then."""
    watch: Watch
    taken: Snapshot
    sight: Sight


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Saved)


class Overlays:
    """Tallies and newest overlays of one world. Its methods are called from one thread, the event loop's.

    Without a network, or with one of another layout of features, counts alone judge.
    """

    def __init__(self, limits: OverlaySettings, network: Network | None, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        fits = network is not None and network.metadata.get("fingerprint") == ground.FINGERPRINT
        self._network = network if fits else None
        self._sizes: dict[str, tuple[int, int]] = {}
        self._grounds: dict[str, tuple[Ground, Mapping[str, float]]] = {}
        self._tallies: OrderedDict[tuple[str, str], Tally] = OrderedDict()
        self._overlays: dict[tuple[str, str], Overlay] = {}
        self._version = 0
        self._epochs: dict[str, int] = {}
        self._refreshed_s: dict[tuple[str, str], float] = {}
        self._next_s = -math.inf
        self._busy = False

    def lay(self, map: str, surveyed: Ground, cautions: Mapping[str, float]) -> None:
        """Begin to weigh a map: its ground, and how much each class of agents fears death (0: not at all).

        A map that was laid before with other sides is forgotten first; one of the same sides keeps what it knows.
        """
        self._resize(map, surveyed.rows, surveyed.columns)
        self._grounds[map] = (surveyed, dict(cautions))

    def forget(self, map: str) -> None:
        """Nothing ever happened on that map, for any class; its overlays are gone."""
        self._epochs[map] = self._epochs.get(map, 0) + 1
        for known in (self._tallies, self._overlays, self._refreshed_s):
            for key in [key for key in known if key[0] == map]:
                del known[key]

    def observe(self, event: Event) -> None:
        """Learn from an event of the log; one that tells no place, or none on a known map, teaches nothing."""
        change = event.change
        if isinstance(change, MapStored):
            self._resize(change.map.name, change.map.height, change.map.width)
        for incident in counts.incidents(event):
            rows, columns = self._sizes.get(incident.map, (0, 0))
            if 0.0 <= incident.x < columns and 0.0 <= incident.y < rows:
                cell = np.array([[incident.x, incident.y]])
                tally = self._tally(incident.map, incident.agents)
                tally.record_many(incident.kind, cell, event.game_s, incident.weight)

    def record(
        self, map: str, agents: str, kind: int, cells: NDArray[np.generic], at_s: float, *, weight: float = 1.0
    ) -> None:
        """Count one event of `kind` (a place in counts.KINDS) in each of `cells` (n, 2) of x, y; raises Invalid."""
        self._known(map)
        self._tally(map, agents).record_many(kind, cells, at_s, weight)

    def walked(self, map: str, agents: str, waypoints: NDArray[np.generic], at_s: float) -> None:
        """Count a visit of each tile of a path that an agent went; `waypoints` (n, 2) of x, y; raises Invalid."""
        self._known(map)
        self._tally(map, agents).walked(waypoints, at_s)

    def overlay(self, map: str, agents: str) -> Overlay | None:
        """The newest overlay; None while nothing costs more than its ground."""
        return self._overlays.get((map, agents))

    @property
    def rung(self) -> Rung:
        """What judges danger unless it fails."""
        return "network" if self._network is not None else "counts"

    async def refresh(self, now_s: float) -> Sequence[Overlay]:
        """Weigh the maps anew, at most every `refresh_s` game seconds; the overlays that changed.

        Heavy steps run in a worker thread, the network is asked once. One refresh at a time: a call while another
        runs returns nothing. A world's clock that was set back is followed.
        """
        if self._busy or self._next_s - self._limits.refresh_s <= now_s < self._next_s:
            return ()
        self._busy, self._next_s = True, now_s + self._limits.refresh_s
        try:
            looked = await self._look(now_s)
            if not looked:
                return ()
            answers = await self._ask(looked)
            changed = []
            for one in looked:
                before = self._overlays.get(one.key)
                fresh = await asyncio.to_thread(_weighed, one, answers.get(id(one.sight)), before)
                self._refreshed_s[one.key] = now_s
                forgotten = self._epochs.get(one.key[0], 0) != one.epoch
                if fresh is not None and not forgotten:
                    self._version += 1
                    self._overlays[one.key] = fresh._replace(version=self._version)
                    changed.append(self._overlays[one.key])
            return tuple(changed)
        finally:
            self._busy = False

    async def _look(self, now_s: float) -> list[_Looked]:
        """The maps whose turn it is, longest unweighed first, as many as the network may be asked about."""
        keys = [(map, agents) for map, (_, cautions) in self._grounds.items() for agents in cautions]
        keys.sort(key=lambda key: (self._refreshed_s.get(key, -math.inf), key))
        looked: list[_Looked] = []
        seen: dict[tuple[int, ...], _Looked] = {}
        rows = 0
        for key in keys:
            before = self._overlays.get(key)
            feared = before is not None and bool(before.levels.any())  # it is weighed until it costs nothing
            watch = self._watch(key)
            if watch is None or not (watch.tallies or feared):
                continue
            same = (id(watch.ground), *map(id, watch.tallies))  # classes that know the same see the same
            if same in seen:
                looked.append(seen[same]._replace(key=key, watch=watch))
                continue
            rows += int(np.count_nonzero(watch.ground.share))
            if looked and rows > self._limits.rows_max:
                break
            taken, epoch = watch.snapshot(now_s), self._epochs.get(key[0], 0)
            if feared or not taken.harmless:
                look = watch.see if self._network is not None else watch.reckon
                seen[same] = _Looked(key, epoch, watch, taken, await asyncio.to_thread(look, taken))
                looked.append(seen[same])
        return looked

    def _watch(self, key: tuple[str, str]) -> Watch | None:
        """The map as that class sees it now; None where it is not laid."""
        if key[0] not in self._grounds:
            return None
        surveyed, cautions = self._grounds[key[0]]
        found = [self._tallies.get((key[0], agents)) for agents in dict.fromkeys((ALL, key[1]))]
        tallies = [tally for tally in found if tally is not None]
        return Watch(surveyed, tallies, self._limits, caution=cautions.get(key[1], 1.0))

    async def _ask(self, looked: Sequence[_Looked]) -> Mapping[int, F32]:
        """The network's logits by the id of each sight, in one run; nothing where it cannot say."""
        if self._network is None:
            return {}
        sights = {id(one.sight): one.sight.rows for one in looked}
        joined = np.concatenate([*sights.values()])  # (tiles of all maps, features)
        try:
            deadline = Deadline.after_ms(self._limits.network_ms, self._clock)
            logits = np.asarray((await self._network.run({"obs": joined}, deadline))["logits"])
            if logits.shape != (len(joined), len(danger.DANGERS)) or not np.isfinite(logits).all():
                raise EngineDown(f"the network gave shape {logits.shape!r} or no numbers", hint="check the catalog")
        except Unavailable:
            return {}
        ends = np.cumsum([len(rows) for rows in sights.values()])[:-1]
        return dict(zip(sights, np.split(logits.astype(np.float32, copy=False), ends), strict=True))

    def saved(self) -> bytes:
        """All tallies, for a store; overlays follow from them."""
        return _encoder.encode(_Saved(tuple((*key, tally.saved()) for key, tally in self._tallies.items())))

    def restore(self, data: bytes) -> None:
        """Take saved tallies in place of those known; raises Invalid and changes nothing when they cannot be read.

        What was saved of a map that has other sides now is left out.
        """
        try:
            saved = _decoder.decode(data)
        except msgspec.DecodeError as error:
            raise Invalid(f"saved tallies: {error}", hint="forget them; events rebuild what the log tells") from error
        tallies = [((map, agents), counts.restored(one)) for map, agents, one in saved.tallies]
        self._tallies.clear()
        for key, tally in tallies:
            if self._sizes.setdefault(key[0], (tally.rows, tally.columns)) == (tally.rows, tally.columns):
                self._tallies[key] = tally
        self._bound()

    def _resize(self, map: str, rows: int, columns: int) -> None:
        if self._sizes.get(map, (rows, columns)) != (rows, columns):
            self.forget(map)
            self._grounds.pop(map, None)
        self._sizes[map] = (rows, columns)

    def _known(self, map: str) -> None:
        if map not in self._sizes:
            raise Invalid(f"no map {map!r} is weighed here", hint="lay its ground first")

    def _tally(self, map: str, agents: str) -> Tally:
        """The tally of that class, made where it is new; the longest unused ones make room."""
        key = (map, agents)
        if key not in self._tallies:
            self._tallies[key] = Tally(*self._sizes[map], self._limits.half_life_s)
            self._bound()
        self._tallies.move_to_end(key)
        return self._tallies[key]

    def _bound(self) -> None:
        def size() -> int:
            return sum(counts.tiles(tally.rows) * counts.tiles(tally.columns) for tally in self._tallies.values())

        while len(self._tallies) > self._limits.tallies_max or (
            len(self._tallies) > 1 and size() > self._limits.tiles_max
        ):
            self._tallies.popitem(last=False)


def _weighed(one: _Looked, logits: F32 | None, before: Overlay | None) -> Overlay | None:
    """The overlay of a map as it is now, or None where its levels are those of the one before; for a thread."""
    old = before.levels if before is not None else None
    levels = one.watch.levels(one.watch.judge(one.sight, logits), old)
    unchanged = np.zeros_like(levels) if old is None else old
    if (levels == unchanged).all():
        return None
    multiplier = one.watch.cost(levels)
    changed = one.watch.changed(levels, unchanged)
    for array in (levels, multiplier, changed):
        array.setflags(write=False)
    rung: Rung = "counts" if logits is None else "network"
    return Overlay(*one.key, 0, rung, one.taken.at_s, levels, multiplier, changed)
