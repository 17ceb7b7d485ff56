"""Where an engine is: on this machine, in a region that the profile names, or nobody knows where.

It reads addresses as they are written. It resolves no name: what a name means can change after it was looked at.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from app.core.engines import Anthropic, Azure, Llama, OpenAI
from app.core.profile import Profile

HERE = "here"
"""The region of an engine that the operator holds to be part of this machine."""


def places_of(profile: Profile) -> dict[str, str | None]:
    """Every engine of the profile that writes -> its region; None for one on this machine."""
    places: dict[str, str | None] = {}
    for name, spec in profile.engines.items():
        if isinstance(spec, Llama):
            places[name] = None
        elif isinstance(spec, OpenAI | Azure | Anthropic):
            url = "" if isinstance(spec, Azure) else spec.base_url
            places[name] = region_of(base_url=url, region=spec.kept_in, proxy=profile.outbound.proxy)
    return places


def region_of(*, base_url: str, region: str, proxy: str) -> str | None:
    """None for a server that speaks a provider's protocol on this machine, or else its region.

    A loopback address or localhost shows that, with no region named beside it and no proxy on the way: a gateway on
    this machine may well send words on, and a region says so. The region `here` is the operator's own word for it, for
    a container or a box beside this one.
    """
    if region == HERE:
        return None
    if region or proxy or not base_url:
        return region
    host = (urlsplit(base_url).hostname or "").lower()
    return None if host == "localhost" or _is_loopback(host) else region


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
