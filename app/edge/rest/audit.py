"""The audit trail over HTTP: a tenant reads and verifies its own, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.control.audit_check import shown, verify
from app.control.auth import Authority
from app.core.chain import Chains
from app.core.errors import Invalid, Overloaded
from app.edge.limits import Limits
from app.edge.rest.http import AnyRequest, json, permit

PAGE_ENTRIES = 100
PAGE_ENTRIES_MAX = 1_000
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
            after_seq = _number(request, "after", 0, SEQ_MAX)
            limit = _number(request, "limit", PAGE_ENTRIES, PAGE_ENTRIES_MAX)
            found = await self.chains.page(identity.tenant, after_seq, entries_max=max(1, limit), until_seq=SEQ_MAX)
            return json({"entries": [shown(entry) for entry in found], "seq": found[-1].seq if found else after_seq})

        @get("/v1/audit/verify")
        async def verdict(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            if verifying.locked():
                raise Overloaded("an audit trail is being verified", hint="ask again", retry_after_s=1.0)
            async with verifying:
                return json(await verify(self.chains, identity.tenant))

        return [entries, verdict]


def _number(request: AnyRequest, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or int(text) > most:
        raise Invalid(f"{name} is {text!r}", hint=f"give a whole number up to {most}")
    return int(text)
