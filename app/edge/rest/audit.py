"""The audit trail over HTTP: a tenant reads and verifies its own, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.control.audit_check import shown, verify
from app.control.auth import Authority
from app.core.chain import Chains
from app.core.errors import Overloaded
from app.edge.limits import Limits
from app.edge.rest import shapes
from app.edge.rest.http import AnyRequest, asked, json, permit

SEQ_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AuditResources:
    """What the routes below need."""

    chains: Chains
    authority: Authority
    limits: Limits

    def routes(self) -> list[HTTPRouteHandler]:
        """Both of them."""
        verifying = asyncio.Lock()

        @get("/v1/audit")
        async def entries(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            query = asked(request, shapes.AuditPage)
            found = await self.chains.page(identity.tenant, query.after, entries_max=query.limit, until_seq=SEQ_MAX)
            return json({"entries": [shown(entry) for entry in found], "seq": found[-1].seq if found else query.after})

        @get("/v1/audit/verify")
        async def verdict(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            if verifying.locked():
                raise Overloaded("an audit trail is being verified", hint="ask again", retry_after_s=1.0)
            async with verifying:
                return json(await verify(self.chains, identity.tenant))

        return [entries, verdict]
