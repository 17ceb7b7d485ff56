"""GET and PUT /v1/settings: what the caller's own tenant has set. It knows no other tenant."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, get, put
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.control.tenants import Offer, Tenants, read_settings
from app.core.clock import Clock
from app.core.ports import Audit
from app.core.tenants import Held, Keeper
from app.edge.limits import Limits
from app.edge.rest import shapes
from app.edge.rest.http import AnyRequest, asked, content_type, json, permit, read_body

BYTES_MAX = 16_384


@dataclass(frozen=True, slots=True)
class SettingsResource:
    """What the two routes need; built once by the composition root."""

    authority: Authority
    limits: Limits
    tenants: Tenants
    keeper: Keeper
    offer: Offer
    audit: Audit
    clock: Clock

    def routes(self) -> list[HTTPRouteHandler]:
        """Both of them."""

        @get("/v1/settings")
        async def read(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(_shown(self.tenants.of(identity.tenant)))

        @put("/v1/settings", status_code=200)
        async def write(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            asked(request, shapes.Nothing)
            content_type(request, "application/json")
            settings = read_settings(await read_body(request, bytes_max=BYTES_MAX), self.offer)
            held = await self.keeper.put(identity.tenant, self.clock.wall_ms(), settings=settings)
            self.audit.note(identity.tenant, identity.actor, "settings.changed", identity.tenant, version=held.version)
            return json(_shown(held))

        return [read, write]


def _shown(held: Held) -> shapes.OwnSettings:
    return shapes.OwnSettings(version=held.version, settings=held.settings)
