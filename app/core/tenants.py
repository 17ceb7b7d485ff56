"""What a tenant may set for itself: engines, limits, caps, texts and places, each within what the profile allows.

An empty tuple, an empty text and a zero mean that the profile's own value holds. It knows no store and no face.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from app.core.errors import Forbidden, Invalid
from app.core.quotas import Caps
from app.core.section import Section

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""What a new tenant may be called: safe in a setting of PostgreSQL, a cache key, a file name and a URL."""
TEXT_CHARACTERS_MAX = 2_000
NAMES_MAX = 32
NAME_CHARACTERS_MAX = 64
KEEP_DAYS_MAX = 3_650

SecurityLevel = Literal["relaxed", "standard", "strict"]


class Rates(Section, frozen=True, kw_only=True):
    """Requests in each period of the profile's [limits]; 0 is the profile's own."""

    key_requests_max: int = 0
    tenant_requests_max: int = 0
    player_requests_max: int = 0


class TenantSettings(Section, frozen=True, kw_only=True):
    """One tenant's own configuration, as `PUT /v1/settings` takes it."""

    engines: tuple[str, ...] = ()
    """Engines that may write for it, by their name in the profile; empty is all."""
    regions: tuple[str, ...] = ()
    """Regions that its data may go to; engines on this machine are always allowed. Empty is everywhere."""
    rates: Rates = Rates()
    caps: Caps = Caps()
    """What paid engines may cost; 0 is the profile's cap."""
    security: SecurityLevel = "standard"
    """`strict` lets no model write at all: its NPCs speak the author's lines."""
    safety_text: str = ""
    """Added to every prompt of the tenant, with the trust of an author's text."""
    keep_days: int = 0
    """How long what it may erase is kept; 0 is the profile's own."""
    log_prompts: bool = False
    """Whether prompts may stand in the log, for debugging."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a tenant; `version` grows with every change."""

    tenant: str
    version: int = 0
    suspended: bool = False
    settings: TenantSettings = TenantSettings()


def require_tenant_id(id: str) -> str:
    """The id; raises Invalid for one that a new tenant may not have."""
    if not TENANT_ID.fullmatch(id):
        raise Invalid(
            f"tenant {id!r} is no id for a tenant",
            hint="use 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or a digit",
        )
    return id


def suspended(tenant: str) -> Forbidden:
    """What every face says to a tenant that may do nothing for now."""
    return TenantSuspended(f"tenant {tenant!r} is suspended", hint="ask who runs this server")


class TenantSuspended(Forbidden):
    """The credential holds, and its tenant may do nothing for now."""

    code = "tenant_suspended"
