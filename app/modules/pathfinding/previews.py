"""Pictures of maps as they stand: what is drawn over the map, and the ways that were asked for.

It knows what each layer of a picture shows; how it is drawn is the pictures' own.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, cast

import numpy as np

from app.core.errors import Invalid
from app.core.module import Call
from app.modules.pathfinding import messages
from app.modules.pathfinding.grounds import F32, FOUND, PARTIAL, Ground, Wish
from app.modules.pathfinding.handler import Maps
from app.modules.pathfinding.pictures import grid, mesh
from app.modules.pathfinding.pictures.options import Options, read_options, read_pairs
from app.modules.pathfinding.surfaces import Surface
from app.world.entities import StoredMap

if TYPE_CHECKING:
    from app.modules.pathfinding.formats import Format
    from app.modules.pathfinding.live import Live

DRAW = {"png": grid.draw_grid, "svg": grid.draw_grid_svg}
DRAW_MESH = {"png": mesh.draw_mesh, "svg": mesh.draw_mesh_svg}


class Previews:
    """One method for one message."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps

    async def preview(self, call: Call, request: messages.Preview) -> messages.Previewed:
        """Draw in a thread; raises Invalid for what cannot be shown."""
        options = read_options(
            show=request.show, scale_px=request.scale_px, crop=request.crop, edge_px_max=request.edge_px_max
        )
        stored = self._maps.stored(call, request.map)
        live = await self._maps.live(call, request.map)
        data = await self._maps.run(call, lambda: self._draw(call, live, stored, request, options))
        return messages.Previewed(map=live.name, version=live.version, picture=request.picture, data=data)

    def _draw(self, call: Call, live: Live, stored: StoredMap, request: messages.Preview, options: Options) -> bytes:
        from app.modules.pathfinding import formats

        ground = live.ground(request.agent_class)
        content = formats.read(zlib.decompress(stored.data), cast("Format", stored.format), self._maps.settings)
        paths = self._ways(call, live, ground, request.path) if request.path else []
        title = f"{live.name}, version {live.version}"
        if isinstance(content, Surface):
            danger = live.overlay(request.agent_class)
            layers = grid.Layers(
                labels=ground.regions,
                overlay=danger.multiplier if danger else None,
                costs=ground.costs if "costs" in options.show else None,
                obstacles=live.obstructed().astype(np.uint8),
                paths=tuple(paths),
            )
            return DRAW[request.picture](content, layers, options, title=title)
        drawn = mesh.MeshLayers(labels=ground.regions, paths=tuple(paths))
        return DRAW_MESH[request.picture](content, drawn, options, title=title)

    def _ways(self, call: Call, live: Live, ground: Ground, text: str) -> list[F32]:
        """The ways of a request, those that exist; raises Invalid for places that are no places of the map."""
        pairs = read_pairs(text)
        ends = [np.array([pair[end] for pair in pairs], np.float64) for end in (0, 1)]  # (pairs, 2) each
        starts, goals = (live.prepared.lifted(places) for places in ends)
        settings = self._maps.settings
        wish = Wish(math.inf, True, 1.0, False, settings.expansions_max, settings.chunk_pairs)
        paths = ground.find(starts, goals, wish, call.deadline)
        wrong = np.flatnonzero((paths.status != FOUND) & (paths.status != PARTIAL))
        if len(wrong):
            status = messages.STATUSES[int(paths.status[wrong[0]])]
            raise Invalid(f"the way {pairs[int(wrong[0])]!r} is {status}", hint="start where one can stand, on the map")
        return [
            paths.waypoints[begin:end].astype(np.float32)
            for begin, end in zip(paths.offsets[:-1], paths.offsets[1:], strict=True)
        ]
