"""When learned costs are looked at: per world, in the background, for the maps that somebody asks about.

It knows worlds, their log and the threads; what is learned from events stands in overlays/. Its methods run on
the event loop and are quick; whoever asks gets the newest overlay that is ready and never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.errors import Error
from app.core.messages import Event
from app.core.ports import History, Log, Network
from app.modules.pathfinding.overlays.ground import Ground, survey
from app.modules.pathfinding.overlays.settings import OverlaySettings
from app.modules.pathfinding.overlays.world import Overlays
from app.modules.pathfinding.planner import Planner
from app.modules.pathfinding.settings import Settings
from app.world.state import World, belongs

if TYPE_CHECKING:
    from app.modules.pathfinding.live import Live


class Known:
    """One world: what is learned, the maps that are weighed, and the look that is going on."""

    def __init__(self, world: World, overlays: Overlays) -> None:
        self.world = world
        self.overlays = overlays
        self.replayed_seq: int | None = None
        """Events up to this one come from the log, later ones as they happen; None before the log was asked."""
        self.lives: dict[str, Live] = {}
        self.laid: dict[str, Live] = {}
        """The maps as they were when their ground was surveyed."""
        self.looking: asyncio.Task[None] | None = None


class Dangers:
    """The learned costs of every world where somebody asked for them."""

    def __init__(
        self, settings: Settings, *, planner: Planner, history: History, network: Network | None, clock: Clock, log: Log
    ) -> None:
        self._settings = settings
        self._planner = planner
        self._history = history
        self._network = network
        self._clock = clock
        self._log = log
        self._worlds: dict[tuple[str, str], Known] = {}

    def observe(self, world: World, events: Sequence[Event]) -> None:
        """Learn from committed events."""
        known = self._worlds.get((world.tenant, world.id))
        if known is None:
            return
        if known.world is not world:  # it was another process's meanwhile
            del self._worlds[world.tenant, world.id]
            return
        for event in events:
            if known.replayed_seq is not None and event.seq > known.replayed_seq:
                known.overlays.observe(event)

    def walked(self, world: World, map: str, agent_class: str, ways: Sequence[NDArray[np.int16]]) -> None:
        """Count the visits of newly found ways."""
        known = self._worlds.get((world.tenant, world.id))
        if known is None or map not in known.lives:
            return
        for way in ways:
            known.overlays.walked(map, agent_class, way, world.state.game_s)

    def ask(self, world: World, live: Live) -> None:
        """Somebody wants a map's dangers: see to it that they are looked at again, where it is time. Grids only."""
        if live.prepared.kind != "cells":
            return
        key = (world.tenant, world.id)
        known = self._worlds.get(key)
        if known is None or known.world is not world:
            limits: OverlaySettings = self._settings.dangers
            known = self._worlds[key] = Known(world, Overlays(limits, self._network, self._clock))
        known.lives[live.name] = live
        if known.looking is None or known.looking.done():
            known.looking = asyncio.create_task(self._look(known), name="path.dangers")

    async def _look(self, known: Known) -> None:
        try:
            await self._lay(known)
            if known.replayed_seq is None:
                await self._replay(known)
            await known.overlays.refresh(known.world.state.game_s)
            for name, live in list(known.lives.items()):
                for agent_class in live.prepared.classes:
                    newest, had = known.overlays.overlay(name, agent_class), live.overlay(agent_class)
                    if newest is not None and (had is None or had.version != newest.version):
                        await self._planner.prepare(partial(live.weigh, newest))
        except Error as error:
            self._log.warning("dangers.not_weighed", world=known.world.id, reason=error.message)

    async def _lay(self, known: Known) -> None:
        """Survey the maps that are asked for and new, or new versions."""
        for name, live in list(known.lives.items()):
            if known.laid.get(name) is not live:
                ground = await self._planner.prepare(partial(_surveyed, live))
                known.overlays.lay(name, ground, {key: agent.caution for key, agent in live.prepared.classes.items()})
                known.laid[name] = live

    async def _replay(self, known: Known) -> None:
        """Learn from what the log has."""
        world = known.world
        known.replayed_seq = until = world.state.seq
        most = self._settings.history_events_max
        events = await self._history.events_after(world.tenant, world.id, 0, until, events_max=most)
        for at in range(0, len(events), 256):
            for event in events[at : at + 256]:
                if belongs(world.state, event.seq):
                    known.overlays.observe(event)
            await asyncio.sleep(0)

    async def close(self) -> None:
        """End the looks that are going on."""
        tasks = [known.looking for known in self._worlds.values() if known.looking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _surveyed(live: Live) -> Ground:
    return survey(live.prepared.walkable())
