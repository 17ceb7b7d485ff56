"""What players reported over HTTP, and the statement about live-generated content; a tenant's own and nobody else's."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.control.guardrails import Guardrails, under
from app.control.reports import ReportDesk
from app.core.tenants import Rules
from app.edge.limits import Limits
from app.edge.rest import shapes_reports as shapes
from app.edge.rest.http import AnyRequest, asked, body_of, json, permit
from app.world.moderation import Moderation

REPORT = "/v1/reports/{report:str}"


@dataclass(frozen=True, slots=True)
class ReportRoutes:
    """What the routes below need."""

    desk: ReportDesk
    guardrails: Guardrails
    rules: Rules
    authority: Authority
    limits: Limits

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [self._page(), self._one(), self._settle(), self._guardrails()]

    def _page(self) -> HTTPRouteHandler:
        @get("/v1/reports")
        async def page(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            query = asked(request, shapes.ReportPage)
            state = None if query.state is msgspec.UNSET else query.state
            found = await self.desk.page(identity.tenant, state=state, after=query.after, most=query.limit)
            return json(shapes.ReportList(reports=tuple(found), after=found[-1].id if found else query.after))

        return page

    def _one(self) -> HTTPRouteHandler:
        @get(REPORT)
        async def one(request: AnyRequest, report: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(await self.desk.get(identity.tenant, identity.actor, report))

        return one

    def _settle(self) -> HTTPRouteHandler:
        @post(f"{REPORT}/settle", status_code=200)
        async def settle(request: AnyRequest, report: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            body = await body_of(request, shapes.Settling)
            return json(await self.desk.settle(identity.tenant, identity.actor, report, body.note))

        return settle

    def _guardrails(self) -> HTTPRouteHandler:
        @get("/v1/guardrails")
        async def guardrails(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            own = self.rules.of(identity.tenant).settings.rating
            return json(under(self.guardrails, Moderation.load(own).pack) if own else self.guardrails)

        return guardrails
