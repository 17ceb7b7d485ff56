"""The ASGI application over a profile. Nothing happens at import time; the lifespan opens and closes the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler

from app.build import Innkeeper
from app.control.safety import is_server
from app.control.tenants import offer_of
from app.core.profile import Profile
from app.edge import openapi
from app.edge.address import Proxies
from app.edge.console import pages
from app.edge.rest import health, messages
from app.edge.rest.audit import AuditResources
from app.edge.rest.auth import Auth
from app.edge.rest.control import ControlRoutes
from app.edge.rest.http import error_handlers, refuse_options
from app.edge.rest.me import MeRoutes
from app.edge.rest.privacy import PrivacyRoutes
from app.edge.rest.prompts import PromptRoutes
from app.edge.rest.reports import ReportRoutes
from app.edge.rest.resources import Resources
from app.edge.rest.responses import ResponsesResource
from app.edge.rest.settings import SettingsResource
from app.edge.rest.sign_in import SignInRoutes
from app.edge.shell import Shell
from app.edge.socket import Link


def create_app(innkeeper: Innkeeper, *, opened: Callable[[], Awaitable[None]] | None = None) -> Shell:
    """The application over an open server; `opened` runs when requests begin to be answered."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        innkeeper.start_warming()
        if opened is not None:
            await opened()
        yield
        await innkeeper.close()

    profile = innkeeper.profile
    app = Litestar(
        route_handlers=_handlers(innkeeper),
        before_request=refuse_options,
        exception_handlers=error_handlers(innkeeper.log),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    return Shell(
        innkeeper.doors.over(app),
        proxies=Proxies(profile.security.proxies),
        hosts=_hosts(profile),
        encrypted=bool(profile.server.tls_certificate),
    )


def _hosts(profile: Profile) -> tuple[str, ...]:
    """The hosts that are served, and with them the one by which other replicas ask; empty for any."""
    own = urlsplit(profile.ownership.address).netloc
    return (*profile.security.hosts, own) if profile.security.hosts and own else profile.security.hosts


def create_admin_app(innkeeper: Innkeeper) -> Litestar:
    """Health and metrics alone, for a port of their own that asks for no key."""
    return Litestar(
        route_handlers=list(
            health.routes(
                readiness=innkeeper.readiness,
                metrics=innkeeper.metrics,
                authority=innkeeper.authority,
                limits=innkeeper.router.limits,
                open_metrics=True,
            )
        ),
        exception_handlers=error_handlers(innkeeper.log),
        openapi_config=None,
        logging_config=None,
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
        visits=innkeeper.visits,
        door_usage=innkeeper.door_usage.of,
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
        *messages.routes(
            innkeeper.router,
            authority=innkeeper.authority,
            visits=innkeeper.visits,
            clock=innkeeper.clock,
            server=profile.server,
        ),
        *Auth(innkeeper.authority, innkeeper.access.grants, innkeeper.router.limits, innkeeper.clock).routes(),
        *_people(innkeeper),
        *resources.routes(),
        *AuditResources(innkeeper.audit.chains, innkeeper.authority, innkeeper.router.limits).routes(),
        *SettingsResource(
            authority=innkeeper.authority,
            limits=innkeeper.router.limits,
            tenants=innkeeper.tenants,
            keeper=innkeeper.settings,
            offer=offer_of(profile),
            audit=innkeeper.audit,
            clock=innkeeper.clock,
        ).routes(),
        *ResponsesResource(innkeeper.kept, innkeeper.authority, innkeeper.router.limits, innkeeper.audit).routes(),
        *PromptRoutes(innkeeper.prompts, innkeeper.authority, innkeeper.router.limits).routes(),
        *ReportRoutes(
            innkeeper.reports, innkeeper.guardrails, innkeeper.tenants, innkeeper.authority, innkeeper.router.limits
        ).routes(),
        *PrivacyRoutes(innkeeper.privacy, innkeeper.authority, innkeeper.router.limits).routes(),
        *health.routes(
            readiness=innkeeper.readiness,
            metrics=innkeeper.metrics,
            authority=innkeeper.authority,
            limits=innkeeper.router.limits,
            open_metrics=not is_server(profile) and not profile.server.admin_port,
        ),
        health.document(openapi_document),
        *pages.routes(),
    ]
    return handlers


def _people(innkeeper: Innkeeper) -> list[HTTPRouteHandler]:
    """The routes by which people sign in and run their tenant."""
    people, settings, clock = innkeeper.people, innkeeper.profile.sign_in, innkeeper.clock
    authority, limits = innkeeper.authority, innkeeper.router.limits
    return [
        *SignInRoutes(people.sign_ins, people.factors, limits, settings, clock).routes(),
        *MeRoutes(authority, people.operators, people.factors, limits, settings, clock).routes(),
        *ControlRoutes(authority, people.operators, innkeeper.access.api_keys, limits, clock).routes(),
    ]
