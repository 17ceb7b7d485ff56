"""The profile's sections on how much may be asked and spent: rate limits and budgets. They name no server."""

from __future__ import annotations

from app.core.section import Section


class Limits(Section, frozen=True, kw_only=True):
    """How many requests are taken, on the socket and over HTTP together, for each `period_ms`; a message is one."""

    period_ms: int
    key_requests_max: int
    """Of one API key, for each period."""
    key_burst_requests_max: int
    """Of one API key at once, after a rest."""
    tenant_requests_max: int
    tenant_burst_requests_max: int
    player_requests_max: int
    """Of one player of a world: what is said, and what is asked of quests for them."""
    player_burst_requests_max: int
    address_requests_max: int
    """Over HTTP and hellos from one network address, signed in or not; each process counts for itself."""
    address_burst_requests_max: int
    lease_ms: int
    """With a shared server, requests are granted to this process in batches for so long ahead."""
    failures_max: int
    """Failed authentications of one address, for each minute; over it they are told to wait."""


class Caps(Section, frozen=True, kw_only=True):
    """What paid engines may cost in a UTC day and month; tokens are in and out together, 0 is no cap."""

    day_nano_usd_max: int = 0
    day_tokens_max: int = 0
    month_nano_usd_max: int = 0
    month_tokens_max: int = 0


class Budgets(Section, frozen=True, kw_only=True):
    """Hard caps for each tenant, world, player and NPC."""

    hold_ms: int
    """A reservation whose process died counts as spent for so long."""
    tenant: Caps
    world: Caps
    player: Caps
    npc: Caps

    @property
    def capped(self) -> bool:
        """Whether there is any cap at all."""
        scopes = (self.tenant, self.world, self.player, self.npc)
        return any(caps != Caps() for caps in scopes)
