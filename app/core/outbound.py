"""Where this server may connect to: the hosts that a profile names, and of their addresses those that are no trap.

Addresses of this machine and of private networks are reached only where the profile names them; the link-local ones,
where clouds keep their metadata and credentials, never are. It decides and connects to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from app.core.errors import Invalid
from app.core.section import Section

Address = IPv4Address | IPv6Address
NEVER = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "224.0.0.0/4", "255.255.255.255/32",
        "::/128", "fe80::/10", "fd00:ec2::254/128", "ff00::/8",
    )
)  # fmt: skip
"""Link-local, metadata of clouds (AWS, Azure, Google, Alibaba), multicast, and no address at all."""
EMBEDDED = ip_network("64:ff9b::/96")
"""IPv4 behind a translator (RFC 6052)."""


class Outbound(Section, frozen=True, kw_only=True):
    """What every connection to the outside keeps to."""

    private: tuple[str, ...] = ()
    """Networks that are not public and may be connected to by name, such as 10.0.0.0/8."""
    proxy: str = ""
    """An HTTP proxy for providers; those of the environment are not used."""
    connect_ms: int = 5_000
    answer_bytes_max: int = 8_388_608
    """The longest answer of a provider, all of it together."""


@dataclass(frozen=True, slots=True)
class Way:
    """The hosts of one client, and the private networks that it may reach."""

    hosts: frozenset[str] | None
    """None where hosts come from elsewhere, as the addresses of replicas do."""
    private: tuple[str, ...] = ()
    literal: frozenset[str] = frozenset()
    """Hosts that the profile itself gave as an address or as localhost: it names what they are."""

    @classmethod
    def to(cls, url: str, outbound: Outbound) -> Way:
        """The way to the one host in `url`; raises Invalid for a network that is none."""
        host = (urlsplit(url).hostname or "").lower()
        for network in outbound.private:
            _network(network)
        literal = frozenset((host,)) if host == "localhost" or _address(host) is not None else frozenset[str]()
        return cls(frozenset((host,)), outbound.private, literal)

    def fault(self, host: str) -> str:
        """Why the host must not be connected to; empty where it may."""
        if self.hosts is not None and host.lower().strip("[]") not in self.hosts:
            return f"the host {host!r} is not one that the profile names"
        return ""

    def address_fault(self, host: str, text: str) -> str:
        """Why this address of the host must not be connected to; empty where it may."""
        address = _address(text)
        if address is None or any(address in network for network in NEVER):
            return f"{host!r} is at {text}, where nothing of ours is"
        if address.is_global or self.hosts is None or host.lower().strip("[]") in self.literal:
            return ""
        if any(address in _network(network) for network in self.private):
            return ""
        return f"{host!r} is at {text}, which is no public address: name its network in outbound.private"


ANYWHERE = Way(None)
"""To whatever replicas say they are; also there nothing is reached that never is."""


def fault_of(way: Way, host: str, addresses: Sequence[str]) -> str:
    """Why the host at these addresses must not be connected to; empty where it may.

    One address that may not condemns the others: whoever answers with both is trying something.
    """
    if not addresses:
        return f"{host!r} has no address"
    return next((fault for fault in (way.address_fault(host, one) for one in addresses) if fault), "")


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in EMBEDDED:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _network(name: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(name, strict=False)
    except ValueError as error:
        raise Invalid(f"outbound.private names {name!r}", hint="write a network, such as 10.0.0.0/8") from error
