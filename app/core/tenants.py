"""What a tenant may set for itself: engines, limits, caps, texts and places, each within what the profile allows.

An empty tuple, an empty text and a zero mean that the profile's own value holds. It knows no store and no face.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Protocol

import msgspec

from app.core.errors import Invalid, TenantSuspended
from app.core.quotas import Caps
from app.core.section import Section

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""What a new tenant may be called: safe in a setting of PostgreSQL, a cache key, a file name and a URL."""

Names = Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...], msgspec.Meta(max_length=32)]
Units = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Rates(Section, frozen=True, kw_only=True):
    """Requests in each period of the profile's [limits]; 0 is the profile's own, and more than that is refused."""

    key_requests_max: Units = 0
    tenant_requests_max: Units = 0
    player_requests_max: Units = 0


class TenantSettings(Section, frozen=True, kw_only=True):
    """One tenant's own configuration, as `PUT /v1/settings` takes it."""

    engines: Names = ()
    """Engines that may write for it, by their name in the profile; empty is all."""
    regions: Names = ()
    """Regions that its words may be sent to; engines on this machine are always allowed. Empty is everywhere."""
    restricted_worlds: Names = ()
    """Worlds whose words never leave this machine, whatever `regions` says; `*` is all of them."""
    rates: Rates = Rates()
    caps: Caps = Caps()
    """What paid engines may cost; 0 is the profile's own, and more than that is refused."""
    security_level: Literal["standard", "strict"] = "standard"
    """`strict` lets no model write: NPCs speak the author's lines alone."""
    safety_text: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    """Added to every prompt of the tenant, with the trust of an author's text."""
    rating: Annotated[str, msgspec.Meta(max_length=16)] = ""
    """The age rating of what is said, no looser than the profile's own; empty is that."""
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=3_650)] = 0
    """How long what may be erased is kept; 0 is the profile's own."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a tenant; `version` grows with every change."""

    tenant: str
    version: int = 0
    suspended: bool = False
    settings: TenantSettings = TenantSettings()


class Rules(Protocol):
    """What each tenant has set, as this process knows it now; never waits."""

    def of(self, tenant: str) -> Held: ...


class Keeper(Protocol):
    """Where what tenants set is kept."""

    async def put(
        self, tenant: str, changed_ms: int, *, settings: TenantSettings | None = None, suspended: bool | None = None
    ) -> Held:
        """Keep a change, and know it in this process at once; raises NotFound, StoreDown."""
        ...


class NoRules:
    """The profile's own values hold for every tenant."""

    def of(self, tenant: str) -> Held:
        """Nothing was set."""
        return Held(tenant=tenant)


def require_tenant_id(id: str) -> str:
    """The id; raises Invalid for one that a new tenant may not have."""
    if not TENANT_ID.fullmatch(id):
        raise Invalid(
            f"tenant {id!r} is no id for a tenant",
            hint="use 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or a digit",
        )
    return id


def require_active(held: Held) -> None:
    """Raise TenantSuspended for a tenant that may do nothing for now."""
    if held.suspended:
        raise TenantSuspended(f"tenant {held.tenant!r} is suspended", hint="ask who runs this server")


def may_write(held: Held, engine: str, region: str | None, world: str = "") -> str:
    """Why an engine may not write for the tenant's world; empty where it may.

    `region` is None for an engine on this machine. One whose region nobody named is in none.
    """
    settings = held.settings
    if settings.security_level == "strict":
        return "the tenant's security level is strict"
    if settings.engines and engine not in settings.engines:
        return f"{engine} is not allowed to this tenant"
    if region is None:
        return ""
    if world in settings.restricted_worlds or "*" in settings.restricted_worlds:
        return f"{engine} is not on this machine, which the words of world {world!r} do not leave"
    if settings.regions and region not in settings.regions:
        return f"{engine} is in region {region or 'unknown'!r}, and this tenant's words stay in {settings.regions!r}"
    return ""
