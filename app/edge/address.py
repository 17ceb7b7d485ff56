"""Which address a request counts against: the peer's own, or what a proxy of ours saw in front of it.

`X-Forwarded-For` is read from the right, and only as far as the hops are proxies that the profile names; what lies
further left was written by the client and is worth nothing. No rule may depend on an address alone: it bounds, it
never admits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from app.core.errors import Invalid

ADDRESS = "innkeeper.address"
"""The key of the ASGI scope under which the address stands once it is known."""
FORWARDED_FOR = b"x-forwarded-for"
CUSTOMER_BITS = 64
HOPS_MAX = 32
"""Entries of `X-Forwarded-For` that are looked at; no honest way is longer."""


def client_address(scope: Mapping[str, Any]) -> str:
    """The address that a request or socket counts against, or an empty text where there is none (a local socket).

    Of an IPv6 address it is the network that one customer gets (/64, RFC 6177), for whoever has one address there has
    them all.
    """
    known: str | None = scope.get(ADDRESS)
    address = known if known is not None else _plain(_peer(scope))
    if ":" not in address or not _is_address(address):
        return address
    return str(ip_network(f"{address.partition('%')[0]}/{CUSTOMER_BITS}", strict=False))


class Proxies:
    """The proxies that the profile trusts, by address or network."""

    def __init__(self, named: Sequence[str]) -> None:
        """Raises Invalid for a name that is neither, naming it."""
        self._networks = [_network(name) for name in named]

    def address(self, scope: Mapping[str, Any]) -> str:
        """The last address, seen from here, that is no proxy of ours."""
        peer = _plain(_peer(scope))
        if not self._networks or not self._ours(peer):
            return peer
        for hop in _hops(scope["headers"]):
            address = _plain(hop)
            if not _is_address(address):
                return peer  # what a proxy of ours did not write cannot be told from an attack
            peer = address
            if not self._ours(peer):
                return peer
        return peer

    def _ours(self, address: str) -> bool:
        if not _is_address(address):
            return False
        found = ip_address(address)
        return any(found in network for network in self._networks if network.version == found.version)


def _peer(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The entries of every such header, nearest first."""
    whole = b",".join(value for name, value in headers if name == FORWARDED_FOR)
    return [part.strip().decode("latin-1") for part in whole.split(b",")[: -HOPS_MAX - 1 : -1] if part.strip()]


def _plain(text: str) -> str:
    """An address without port and brackets, an IPv4 one not dressed as IPv6; what is none comes back as it is."""
    bare = text[1 : text.rfind("]")] if text.startswith("[") and "]" in text else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return text
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _network(name: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(name, strict=False)
    except ValueError as error:
        raise Invalid(
            f"security.proxies names {name!r}", hint="write an address or a network, such as 10.0.0.0/8"
        ) from error
