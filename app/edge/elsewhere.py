"""Answers what is asked about a world that is not in this process: by its owner, or here once it has come.

It joins two things that do not know each other: where worlds are (a port) and how a request travels (the forwarder).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from litestar import Response

from app.control.auth import Identity
from app.core.errors import StoreDown, Unavailable
from app.core.messages import Reply, Request
from app.core.module import Call, Handler, Scope
from app.core.ports import Places
from app.edge.forward import Forwarder, Unreached

AGAIN_S = 0.1
"""Pause before a world whose owner did not answer is looked for again."""
LOOK_S = 0.5
"""While an owner has not answered, it is looked after this often."""


class Elsewhere:
    """Where the router and the resources take what is not `here`."""

    def __init__(self, places: Places, forwarder: Forwarder) -> None:
        self.here = places.here
        self._places = places
        self._forwarder = forwarder

    async def reply(self, handler: Handler, call: Call, request: Request, identity: Identity) -> Reply:
        """The reply of whoever owns the world; while nobody does, wait for who will. What was sent on goes no further.

        Raises the Error that the owner answered, Unreached when it broke off and may have done what was asked.
        """
        asked = msgspec.structs.replace(request, world=call.world)
        while True:
            address = await self._found(call)
            if not address:
                return await handler.run(call, request)
            if identity.vouched:
                raise _moving(call.world)
            call.notes["forwarded_to"] = address
            try:
                return await self._asked(address, handler, call, asked, identity)
            except Unreached as error:
                self._places.doubt(address)
                if not (error.unsent or _repeatable(handler, request)) or call.deadline.left_s() < 2 * AGAIN_S:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _found(self, call: Call) -> str:
        """Where the world is; an owner without an address may be one that is gone, so its lease is waited for."""
        while True:
            try:
                return await self._places.find(call.tenant, call.world)
            except StoreDown:
                raise
            except Unavailable as error:
                if error.retry_after_s is None or call.deadline.left_s() < 2 * AGAIN_S:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def resource(self, world: str, target: str, identity: Identity) -> Response[Any] | None:
        """The owner's answer to a GET; None where the world is here, or nowhere."""
        if self._places.here(identity.tenant, world):
            return None
        address = await self._places.find(identity.tenant, world)
        if not address:
            return None
        if identity.vouched:
            raise _moving(world)
        try:
            return await self._forwarder.get(address, target, identity)
        except Unreached:
            self._places.doubt(address)
            raise

    async def _asked(self, address: str, handler: Handler, call: Call, asked: Request, identity: Identity) -> Reply:
        """The reply from `address`, for as long as whoever is there lives; a process that hangs answers nobody."""
        asking = asyncio.create_task(
            self._forwarder.ask(address, handler, asked, identity, call.deadline, call.send), name=f"ask {address}"
        )
        try:
            while not (await asyncio.wait({asking}, timeout=LOOK_S))[0]:
                with suppress(StoreDown):  # while nobody can tell, the answer is waited for
                    if not await self._places.lives(address):
                        raise Unreached(address, "it was not heard of for too long", unsent=False)
            return asking.result()
        finally:
            asking.cancel()


def _repeatable(handler: Handler, request: Request) -> bool:
    """Whether the request may be sent again although it may have had its effect."""
    return handler.scope is Scope.READ or bool(getattr(request, "key", ""))


def _moving(world: str) -> Unavailable:
    return Unavailable(f"world {world!r} is on the move", hint="ask again", retry_after_s=AGAIN_S)
