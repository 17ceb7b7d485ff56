"""The ASGI application over a profile. Nothing happens at import time; the lifespan opens and closes the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from app.build import Innkeeper
from app.edge import openapi
from app.edge.console import pages
from app.edge.rest import health, messages
from app.edge.rest.http import error_handlers
from app.edge.rest.privacy import PrivacyRoutes
from app.edge.rest.resources import Resources
from app.edge.socket import Link

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def create_app(innkeeper: Innkeeper, *, opened: Callable[[], Awaitable[None]] | None = None) -> Litestar:
    """The application over an open server; `opened` runs when requests begin to be answered."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        innkeeper.start_warming()
        if opened is not None:
            await opened()
        yield
        await innkeeper.close()

    return Litestar(
        route_handlers=_handlers(innkeeper),
        exception_handlers=error_handlers(innkeeper.log),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )


def _handlers(innkeeper: Innkeeper) -> list[ControllerRouterHandler]:
    profile = innkeeper.profile
    link = Link(
        server=profile.server,
        security=profile.security,
        authority=innkeeper.authority,
        router=innkeeper.router,
        feed=innkeeper.feed,
        followers=innkeeper.followers,
        places=innkeeper.ownership,
        history=innkeeper.journal,
        sessions=innkeeper.sessions,
        worlds=innkeeper.worlds,
        clock=innkeeper.clock,
        log=innkeeper.log,
        metrics=innkeeper.metrics,
    )
    resources = Resources(
        authority=innkeeper.authority,
        router=innkeeper.router,
        places=innkeeper.ownership,
        elsewhere=innkeeper.elsewhere,
        modules=innkeeper.modules,
        worlds=innkeeper.worlds,
        feed=innkeeper.feed,
        clock=innkeeper.clock,
        server=profile.server,
    )
    document: list[bytes] = []

    def openapi_document() -> bytes:
        if not document:
            document.append(openapi.document(innkeeper.router))
        return document[0]

    handlers: list[Any] = [
        link.route(),
        *messages.routes(innkeeper.router, authority=innkeeper.authority, clock=innkeeper.clock, server=profile.server),
        *resources.routes(),
        *PrivacyRoutes(innkeeper.privacy, innkeeper.authority, innkeeper.router.limits).routes(),
        *health.routes(
            readiness=innkeeper.readiness,
            metrics=innkeeper.metrics,
            authority=innkeeper.authority,
            limits=innkeeper.router.limits,
            loopback=profile.server.host in LOOPBACK,
            document=openapi_document,
        ),
        *pages.routes(),
    ]
    return handlers
