"""Directives of a world as an array by handle, so that a tick reads them with one gather.

Rebuilt when the world's log has moved on; it sets no directive itself.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.schema import F32, Schema
from app.world.state import World


class Directives:
    """Which intent each NPC has been told to follow, for the last `worlds_max` worlds."""

    def __init__(self, schema: Schema, *, worlds_max: int) -> None:
        self._schema, self._worlds_max = schema, worlds_max
        self._told: OrderedDict[tuple[str, str], tuple[int, NDArray[np.int8]]] = OrderedDict()

    def lay_over(self, world: World, handles: NDArray[np.uint32], obs: F32) -> F32:
        """`obs` with the directives in force written into its told_ columns; copied only when one applies."""
        if not world.state.intents:
            return obs
        told = self._of(world)
        known = handles < len(told)
        intents = np.where(known, told[np.where(known, handles, 0)], -1)
        rows = np.flatnonzero(intents >= 0)
        if not len(rows):
            return obs
        block = self._schema.block("told")
        laid = obs.copy()
        laid[rows, block] = 0.0
        laid[rows, block.start + intents[rows]] = 1.0
        return laid

    def of(self, world: World, npc: str) -> str:
        """The directive of one NPC that holds now, or ""."""
        found = world.state.intents.get(npc)
        holds = found is not None and (found.until_s is None or world.state.game_s < found.until_s)
        return found.intent if found is not None and holds else ""

    def _of(self, world: World) -> NDArray[np.int8]:
        key, seq = (world.tenant, world.id), world.state.seq
        cached = self._told.get(key)
        if cached is not None and cached[0] == seq:
            return cached[1]
        told = np.full(max(1, len(world.state.handles)), -1, np.int8)
        for npc in world.state.intents:
            intent = self._schema.intent_index.get(self.of(world, npc))
            if intent is not None:
                told[world.state.handles[npc]] = intent
        self._told[key] = (seq, told)
        self._told.move_to_end(key)
        while len(self._told) > self._worlds_max:
            self._told.popitem(last=False)
        return told
