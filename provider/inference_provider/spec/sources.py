"""Ranges of addresses that may call an endpoint."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator


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


SourceRange = Annotated[str, AfterValidator(_a_range)]
"""Addresses in CIDR notation, or one address."""
