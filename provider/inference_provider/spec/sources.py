"""Addresses that something listens on, and ranges of those that may call an endpoint."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

_MAPPED = 96
"""Bits before the address of IPv4 in one of IPv6 that stands for it."""


def _an_ip_address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("expected an IP address; 0.0.0.0 and :: listen on all") from None
    return text


def _a_range(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                "expected a range of addresses: 10.0.0.0/8, 2001:db8::/32, or one: 10.0.0.7"
            ) from None
        raise ValueError(f"has bits beyond its length; write {meant}") from None
    return text


def meant_by(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the addresses of a range as a router sees them: IPv4 in IPv6's form is IPv4.

    Raises:
        ValueError: It is no range.
    """
    found = ipaddress.ip_network(text, strict=False)
    first = found.network_address
    if isinstance(first, ipaddress.IPv4Address):
        return found
    if first.ipv4_mapped is not None and found.prefixlen >= _MAPPED:
        return ipaddress.IPv4Network((first.ipv4_mapped, found.prefixlen - _MAPPED))
    return ipaddress.IPv6Network((int(first), found.prefixlen))  # without an interface


def interface_in(text: str) -> str:
    """Return the interface that an address names, `eth0` of `fe80::1%eth0`; else nothing."""
    first = ipaddress.ip_network(text, strict=False).network_address
    return (isinstance(first, ipaddress.IPv6Address) and first.scope_id) or ""


SourceRange = Annotated[str, AfterValidator(_a_range)]
"""Addresses in CIDR notation, or one address."""

ListenedAddress = Annotated[str, AfterValidator(_an_ip_address)]
"""An IP address of the machine."""
