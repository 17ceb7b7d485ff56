"""Tenants and what they set for themselves: checked against the profile, kept in RAM, known to whoever must obey.

It decides what may be set and tells of changes. It knows no database: how changes of other replicas arrive is in
app/stores/tenants.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from app.control.guardrails import rating_of
from app.core.errors import Invalid, nearest
from app.core.profile import Profile
from app.core.quotas import Caps, Limits
from app.core.tenants import Held, Rates, TenantSettings
from app.engines.orchestration.sovereignty import places_of
from app.world.moderation import looser


@dataclass(frozen=True, slots=True)
class Offer:
    """What the profile lets a tenant choose from."""

    regions: Mapping[str, str | None]
    """Engine that writes -> where it is; None for one on this machine."""
    limits: Limits
    caps: Caps
    rating: str


def offer_of(profile: Profile) -> Offer:
    """What the profile lets a tenant choose from."""
    return Offer(places_of(profile), profile.limits, profile.budgets.tenant, rating_of(profile))


class Tenants:
    """Implements app.core.tenants.Rules; `learn` brings what was set, here or on another replica."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self.changed: list[Callable[[Held], None]] = []
        """Told of every change, at once."""

    def of(self, tenant: str) -> Held:
        return self._held.get(tenant) or Held(tenant=tenant)

    def learn(self, known: Iterable[Held]) -> None:
        """Take what is in force now for every tenant that has set anything; what is older than known is left out."""
        for held in known:
            if held.version > self.of(held.tenant).version:
                self._held[held.tenant] = held
                for tell in self.changed:
                    tell(held)

    def keep_only(self, tenants: Iterable[str]) -> None:
        """Forget the tenants that are gone."""
        for tenant in self._held.keys() - set(tenants):
            gone = Held(tenant=tenant, version=self._held[tenant].version + 1)
            del self._held[tenant]
            for tell in self.changed:
                tell(gone)


def read_settings(body: bytes, offer: Offer) -> TenantSettings:
    """The settings in JSON; raises Invalid for an unknown field, a wrong value, or more than the profile allows."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the settings cannot be read: {error}", hint="send one JSON object") from error
    return convert_settings(tree, offer)


def convert_settings(tree: Any, offer: Offer) -> TenantSettings:
    """As `read_settings`, of what was decoded already."""
    _require_known(tree, TenantSettings, "")
    try:
        settings = msgspec.convert(tree, TenantSettings)
    except msgspec.ValidationError as error:
        raise Invalid(f"settings: {error}", hint="see GET /v1/settings") from error
    _require_offered(settings, offer)
    return settings


def _require_known(tree: Any, kind: type[msgspec.Struct], path: str) -> None:
    if not isinstance(tree, dict):
        return
    nested: dict[str, type[msgspec.Struct]] = {"rates": Rates, "caps": Caps}
    for name, value in tree.items():
        if name not in kind.__struct_fields__:
            raise Invalid(f"settings: {path}{name} is unknown", hint=nearest(str(name), kind.__struct_fields__))
        if name in nested and not path:
            _require_known(value, nested[name], f"{name}.")


def _require_offered(settings: TenantSettings, offer: Offer) -> None:
    """Raise Invalid for an engine or a region that is not there, and for more than the profile's own."""
    for engine in settings.engines:
        if engine not in offer.regions:
            raise Invalid(f"settings: no engine {engine!r} writes here", hint=nearest(engine, offer.regions))
    known = {region for region in offer.regions.values() if region}
    for region in settings.regions:
        if region not in known:
            raise Invalid(f"settings: no engine is in region {region!r}", hint=nearest(region, known))
    if settings.rating and looser(settings.rating, offer.rating):
        raise Invalid(f"settings: rating {settings.rating!r} is looser than {offer.rating!r}", hint="choose a stricter")
    for part, most in (("rates", offer.limits), ("caps", offer.caps)):
        chosen = getattr(settings, part)
        for name in chosen.__struct_fields__:
            value, cap = getattr(chosen, name), getattr(most, name)
            if value < 0 or (cap and value > cap):
                raise Invalid(f"settings: {part}.{name} is {value}", hint=f"give 0 to {cap or 'any number'}")
