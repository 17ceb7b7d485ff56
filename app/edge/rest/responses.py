"""GET and DELETE /v1/responses: what the response cache has done for the caller's tenant, and a purge by tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from litestar import Response, delete, get
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.core.ports import Audit
from app.core.responses import Counts
from app.edge.limits import Limits
from app.edge.rest import shapes
from app.edge.rest.http import AnyRequest, asked, json, permit


class Kept(Protocol):
    """The lines that are kept."""

    def counts(self, tenant: str) -> Counts: ...
    def purge(self, tenant: str, world: str, tag: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ResponsesResource:
    """What the two routes need; built once by the composition root."""

    kept: Kept
    authority: Authority
    limits: Limits
    audit: Audit

    def routes(self) -> list[HTTPRouteHandler]:
        """Both of them."""

        @get("/v1/responses")
        async def read(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            asked(request, shapes.Nothing)
            return json(self.kept.counts(identity.tenant))

        @delete("/v1/responses", status_code=200)
        async def purge(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            meant = asked(request, shapes.Tagged)
            self.kept.purge(identity.tenant, meant.world, meant.tag)
            kind, _, id = meant.tag.partition(":")
            told = kind if kind == "player" else f"{kind}:{id}"  # the trail outlives an erasure, so it names no person
            self.audit.note(identity.tenant, identity.actor, "responses.purged", meant.world, tag=told)
            return json(shapes.Done())

        return [read, purge]
