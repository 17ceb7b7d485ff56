"""The rights of a person over what is held of them, as resources under /v1/privacy."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority, Identity
from app.control.privacy import Privacy
from app.core.persons import Erasure
from app.edge.limits import Limits
from app.edge.rest import shapes
from app.edge.rest.http import AnyRequest, json, permit

SUBJECT = "/v1/privacy/subjects/{subject:str}"


@dataclass(frozen=True, slots=True)
class PrivacyRoutes:
    """What the routes below need."""

    privacy: Privacy
    authority: Authority
    limits: Limits

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self._report(),
            self._export(),
            self._erase(),
            self._anonymize(),
            self._restrict(),
            self._unrestrict(),
            self._erasure(),
        ]

    def _report(self) -> HTTPRouteHandler:
        @get(f"{SUBJECT}/report")
        async def report(request: AnyRequest, subject: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(await self.privacy.report(identity.tenant, subject))

        return report

    def _export(self) -> HTTPRouteHandler:
        @get(f"{SUBJECT}/export")
        async def export(request: AnyRequest, subject: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(await self.privacy.export(identity.tenant, subject))

        return export

    def _erase(self) -> HTTPRouteHandler:
        @post(f"{SUBJECT}/erase", status_code=202)
        async def erase(request: AnyRequest, subject: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            erasure = await self.privacy.erase(identity.tenant, subject, actor=_actor(identity))
            return json(_told(erasure), status=202)

        return erase

    def _anonymize(self) -> HTTPRouteHandler:
        @post(f"{SUBJECT}/anonymize", status_code=202)
        async def anonymize(request: AnyRequest, subject: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            erasure = await self.privacy.erase(identity.tenant, subject, actor=_actor(identity), left="numbers")
            return json(_told(erasure), status=202)

        return anonymize

    def _restrict(self) -> HTTPRouteHandler:
        @post(f"{SUBJECT}/restrict", status_code=200)
        async def restrict(request: AnyRequest, subject: str) -> Response[bytes]:
            return await self._set(request, subject, restricted=True)

        return restrict

    def _unrestrict(self) -> HTTPRouteHandler:
        @post(f"{SUBJECT}/unrestrict", status_code=200)
        async def unrestrict(request: AnyRequest, subject: str) -> Response[bytes]:
            return await self._set(request, subject, restricted=False)

        return unrestrict

    async def _set(self, request: AnyRequest, subject: str, *, restricted: bool) -> Response[bytes]:
        identity = await permit(request, self.authority, self.limits)
        worlds = await self.privacy.restrict(identity.tenant, subject, actor=_actor(identity), restricted=restricted)
        return json(shapes.Restricted(subject=subject, restricted=restricted, worlds=worlds))

    def _erasure(self) -> HTTPRouteHandler:
        @get("/v1/privacy/erasures/{alias:str}")
        async def erasure(request: AnyRequest, alias: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(_told(await self.privacy.erasure(identity.tenant, alias)))

        return erasure


def _actor(identity: Identity) -> str:
    return identity.actor


def _told(erasure: Erasure) -> shapes.Erasing:
    return shapes.Erasing(
        erasure=erasure.alias,
        left=erasure.left,
        requested_ms=erasure.requested_ms,
        finished_ms=erasure.finished_ms,
    )
