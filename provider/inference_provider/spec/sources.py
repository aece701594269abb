"""Ranges of addresses that may call an endpoint."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

_MAPPED = 96
"""Bits before the address of IPv4 in one of IPv6 that stands for it."""


def _a_range(text: str) -> str:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                "expected a range of addresses: 10.0.0.0/8, 2001:db8::/32, or one: 10.0.0.7"
            ) from None
        raise ValueError(f"has bits beyond its length; write {meant}") from None
    if isinstance(found, ipaddress.IPv6Network):
        _is_of_a_caller(found)
    return text


def _is_of_a_caller(found: ipaddress.IPv6Network) -> None:
    """Refuse what no router ever sees as an address, so that nobody would be let in."""
    first = found.network_address
    if first.scope_id is not None:
        raise ValueError(f"an address has no interface here; write it without %{first.scope_id}")
    if first.ipv4_mapped is not None and found.prefixlen >= _MAPPED:
        meant = ipaddress.ip_network((first.ipv4_mapped, found.prefixlen - _MAPPED))
        raise ValueError(f"a caller by IPv4 has an address of IPv4; write {meant}")


SourceRange = Annotated[str, AfterValidator(_a_range)]
"""Addresses in CIDR notation, or one address."""
