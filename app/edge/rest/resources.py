"""The resources that are not messages: worlds, maps, NPCs as the console sees them, pushes by poll and as a stream."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from litestar import Response, get, put
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from app.control.auth import Authority, Identity
from app.core.clock import Clock, Deadline
from app.core.errors import Invalid, NotFound, Unauthenticated, nearest
from app.core.ids import new_id
from app.core.messages import Reply
from app.core.module import Module, Scope
from app.core.ports import Places
from app.core.profile import Server
from app.edge.elsewhere import Elsewhere
from app.edge.feed import Feed
from app.edge.permissions import BINARY, EVENTS
from app.edge.rest import shapes
from app.edge.rest.http import (
    NO_STORE,
    AnyRequest,
    asked,
    content_type,
    credential,
    header_deadline_ms,
    json,
    permit,
    read_body,
)
from app.edge.rest.messages import event
from app.edge.router import Router, decode
from app.edge.visits import Visits
from app.world.state import World, Worlds
from app.world.usage import Table, joined, summary

LIVE_INTERVAL_S = 0.2
"""Time between two position frames of the live stream."""
HEARTBEAT_S = 10.0
PICTURE_CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A picture of a map in SVG carries its ground as a picture of its own, and no script."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the routes below need; built once by the composition root."""

    authority: Authority
    router: Router
    places: Places
    elsewhere: Elsewhere
    modules: Sequence[Module]
    worlds: Worlds
    feed: Feed
    visits: Visits
    door_usage: Callable[[str], Awaitable[Mapping[str, Table]]]
    """World (empty for none) -> what the doors have spent for it of a tenant's, beside its log."""
    clock: Clock
    server: Server

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self._worlds(),
            self._world(),
            self._usage(),
            self._npcs(),
            self._npc(),
            self._locations(),
            self._put_map(),
            self._get_map(),
            self._preview("png", "image/png"),
            self._preview("svg", "image/svg+xml"),
            self._poll(),
            self._live(),
        ]

    async def _read(self, request: AnyRequest, world: str) -> World:
        """The caller's world; raises Unauthenticated, Forbidden or NotFound."""
        identity = await permit(request, self.authority, self.router.limits)
        return self.worlds.get(identity.tenant, world)

    async def _elsewhere(self, request: AnyRequest) -> Response[Any] | None:
        """The answer of the replica that owns the world; None where that is this one, or the caller is unknown."""
        try:
            identity = self.authority.identify(credential(request))
        except Unauthenticated:
            return None  # the handler says so, and counts it
        world = str(request.path_params["world"])
        if self.places.here(identity.tenant, world):
            return None
        await self.router.limits.take(identity)
        query = request.scope["query_string"].decode("latin-1")
        target = f"{quote(request.scope['path'])}{'?' if query else ''}{query}"
        return await self.elsewhere.resource(world, target, identity)

    def _worlds(self) -> HTTPRouteHandler:
        @get("/v1/worlds")
        async def worlds(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.router.limits)
            known = await self.places.all(identity.tenant)
            listed = [self._listed(identity.tenant, world, address) for world, address in known]
            return json(shapes.WorldList(worlds=tuple(listed)))

        return worlds

    def _listed(self, tenant: str, world: str, address: str) -> shapes.WorldListed:
        """A summary of a world that is here; of another, where it is."""
        if self.worlds.has(tenant, world):
            return shapes.WorldListed(**msgspec.structs.asdict(_summary(self.worlds.get(tenant, world))))
        return shapes.WorldListed(id=world, at=address)

    def _used(self, tenant: str, world: str, address: str, at_doors: Table) -> shapes.UsedIn:
        """What models took in a world that is here, in its log and beside it; of another, where it is."""
        if self.worlds.has(tenant, world):
            return shapes.UsedIn(**summary(joined(self.worlds.get(tenant, world).state.usage, at_doors)))
        return shapes.UsedIn(at=address)

    def _world(self) -> HTTPRouteHandler:
        @get("/v1/worlds/{world:str}", before_request=self._elsewhere)
        async def one(request: AnyRequest, world: str) -> Response[bytes]:
            return json(_summary(await self._read(request, world)))

        return one

    def _usage(self) -> HTTPRouteHandler:
        @get("/v1/usage")
        async def usage(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.router.limits)
            chosen = asked(request, shapes.InWorld).world
            if chosen:
                found = await self.elsewhere.resource(chosen, f"/v1/usage?world={quote(chosen)}", identity)
                if found is not None:
                    return found
                self.worlds.get(identity.tenant, chosen)
                at_doors = await self.door_usage(identity.tenant)
                used = self._used(identity.tenant, chosen, "", at_doors.get(chosen, {}))
                return json(shapes.UsageTable(worlds={chosen: used}))
            known = await self.places.all(identity.tenant)
            at_doors = await self.door_usage(identity.tenant)
            worlds = {world: self._used(identity.tenant, world, at, at_doors.get(world, {})) for world, at in known}
            outside = shapes.UsedIn(**summary(at_doors.get("", {})))
            return json(shapes.UsageTable(worlds=worlds, outside=outside))

        return usage

    def _npcs(self) -> HTTPRouteHandler:
        @get("/v1/worlds/{world:str}/npcs", before_request=self._elsewhere)
        async def npcs(request: AnyRequest, world: str) -> Response[bytes]:
            return json(shapes.Roster(npcs=_roster(await self._read(request, world))))

        return npcs

    def _npc(self) -> HTTPRouteHandler:
        @get("/v1/worlds/{world:str}/npcs/{npc:str}", before_request=self._elsewhere)
        async def one(request: AnyRequest, world: str, npc: str) -> Response[bytes]:
            owned = await self._read(request, world)
            entity = owned.npc(npc)
            known = {
                module.name: module.describe(owned.tenant, owned.id, npc)
                for module in self.modules
                if module.describe is not None
            }
            return json({"npc": entity, "facts": tuple(owned.facts_about(npc)), **known})

        return one

    def _locations(self) -> HTTPRouteHandler:
        @get("/v1/worlds/{world:str}/locations", before_request=self._elsewhere)
        async def locations(request: AnyRequest, world: str) -> Response[bytes]:
            known = (await self._read(request, world)).state.locations
            return json(shapes.Places(locations=tuple(known.values())))

        return locations

    def _put_map(self) -> HTTPRouteHandler:
        @put("/v1/worlds/{world:str}/maps/{map_name:str}", status_code=200, request_max_body_size=None)
        async def put_map(request: AnyRequest, world: str, map_name: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.router.limits)
            query = asked(request, shapes.MapFormat)
            content_type(request, BINARY, "text/plain")
            body = await read_body(request, bytes_max=self.server.map_bytes_max)
            named = {"world": world, "map": map_name, "format": query.format, "data": body}
            agent_classes = _json(query.agent_classes)
            reply = await self._ask(request, identity, "path.upload", {**named, "agent_classes": agent_classes})
            return json(reply)

        return put_map

    async def _ask(self, request: AnyRequest, identity: Identity, op: str, data: dict[str, Any]) -> Reply:
        """The reply to a message that a resource is the twin of."""
        route = self.router.route(op)
        with self.visits.visit(identity, route.handler.scope):
            return await self.router.dispatch(
                route,
                decode(route, msgspec.msgpack.encode(data), packed=True),
                identity=identity,
                id=new_id(self.clock.wall_ms()),
                deadline_ms=header_deadline_ms(request),
                send=_no_chunks,
            )

    def _get_map(self) -> HTTPRouteHandler:
        @get("/v1/worlds/{world:str}/maps/{map_name:str}", before_request=self._elsewhere)
        async def get_map(request: AnyRequest, world: str, map_name: str) -> Response[bytes]:
            maps = (await self._read(request, world)).state.maps
            if map_name not in maps:
                raise NotFound(f"no map {map_name!r} in world {world!r}", hint=nearest(map_name, maps))
            stored = maps[map_name]
            body = await asyncio.to_thread(zlib.decompress, stored.data)
            return Response(
                body,
                media_type="application/octet-stream",
                headers={**NO_STORE, "Innkeeper-Map-Version": str(stored.version), "ETag": f'"{stored.sha256}"'},
            )

        return get_map

    def _preview(self, picture: str, media: str) -> HTTPRouteHandler:
        @get(f"/v1/worlds/{{world:str}}/maps/{{map_name:str}}/preview.{picture}")
        async def preview(request: AnyRequest, world: str, map_name: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.router.limits)
            wanted = msgspec.to_builtins(asked(request, shapes.MapPicture))
            named = {"world": world, "map": map_name, "picture": picture}
            drawn: Any = await self._ask(request, identity, "path.preview", {**named, **wanted})
            return Response(drawn.data, media_type=media, headers={**NO_STORE, "Content-Security-Policy": PICTURE_CSP})

        return preview

    def _poll(self) -> HTTPRouteHandler:
        @get("/v1/worlds/{world:str}/poll", before_request=self._elsewhere)
        async def poll(request: AnyRequest, world: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.router.limits)
            owned = self.worlds.get(identity.tenant, world)
            query = asked(request, shapes.Polling)
            wait_ms = min(query.wait, self.server.poll_ms_max)
            after = owned.state.seq if query.after is msgspec.UNSET else query.after
            deadline = Deadline.after_ms(wait_ms, self.clock)
            with self.visits.visit(identity, Scope.READ):
                found = await self.feed.wait(owned.tenant, owned.id, after, deadline)
            self.router.limits.require_active(owned.tenant)
            pushes = [{"op": push.op, "seq": seq, "data": push} for seq, push in found]
            return json({"pushes": pushes, "seq": found[-1][0] if found else after})

        return poll

    def _live(self) -> HTTPRouteHandler:
        @get("/v1/worlds/{world:str}/live", before_request=self._elsewhere)
        async def live(request: AnyRequest, world: str) -> Response[Any]:
            identity = await permit(request, self.authority, self.router.limits)
            owned = self.worlds.get(identity.tenant, world)
            return Stream(self._frames(owned, identity), media_type=EVENTS, headers=NO_STORE)

        return live

    async def _frames(self, world: World, identity: Identity) -> AsyncIterator[bytes]:
        """`roster` when NPCs come, go or die, `tick` while they move, `push` as they come, `beat` when quiet."""
        seq = world.state.seq
        told_version = -1
        told_npcs = (-1, -1)
        quiet_s = 0.0
        active = self.router.limits.active
        while not self.feed.closed and self.visits.holds(identity, Scope.READ) and active(world.tenant):
            quiet_s += LIVE_INTERVAL_S
            npcs = world.state.npcs
            living = len(npcs), sum(npc.alive for npc in npcs.values())
            if living != told_npcs:
                told_npcs = living
                yield event("roster", {"npcs": _roster(world), "maps": list(world.state.maps)})
            if world.crowd.version != told_version:
                told_version = world.crowd.version
                quiet_s = 0.0
                yield event("tick", _positions(world))
            for at, push in self.feed.after(world.tenant, world.id, seq):
                seq = at
                yield event("push", {"op": push.op, "seq": at, "data": push})
            if quiet_s >= HEARTBEAT_S:
                quiet_s = 0.0
                yield event("beat", {})
            await asyncio.sleep(LIVE_INTERVAL_S)


def _summary(world: World) -> shapes.WorldHere:
    state = world.state
    counts = {kind: len(getattr(state, kind)) for kind in ("npcs", "players", "locations", "quests")}
    maps = {name: stored.version for name, stored in state.maps.items()}
    return shapes.WorldHere(id=world.id, seq=state.seq, game_s=state.game_s, counts=counts, maps=maps)


def _roster(world: World) -> tuple[shapes.Listed, ...]:
    handles = world.state.handles
    return tuple(
        shapes.Listed(id=npc.id, name=npc.name, archetype=npc.archetype, alive=npc.alive, handle=handles[npc.id])
        for npc in world.state.npcs.values()
    )


def _positions(world: World) -> dict[str, Any]:
    """[handle, x, y] of every NPC with a known place, in map cells to one decimal."""
    known = np.flatnonzero(~np.isnan(world.crowd.positions[:, 0]))
    seen = float(world.crowd.seen_s.max(initial=0.0))
    rows = np.column_stack((known, np.round(world.crowd.positions[known].astype(np.float64), 1)))  # (npcs, 3)
    return {"game_s": seen, "npcs": rows.tolist()}


def _json(text: str) -> Any:
    """What the `agent_classes` of a query say, of any shape; raises Invalid where it is no JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        hint = 'send an object, such as {"ogre": {"size": 2}}, percent-encoded'
        raise Invalid(f"agent_classes cannot be read: {error}", hint=hint) from error


async def _no_chunks(_chunk: object) -> None:
    """An upload streams nothing."""
