"""Whether who connects to the service is in ranges of addresses, as the router would decide it."""

import ipaddress
from collections.abc import Iterable, MutableMapping
from typing import Any

from inference_provider.spec.sources import meant_by
from inference_provider.workspace.state import State


class Sources:
    """The addresses that may ask, read each second: so no request is held up by a disk."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._found: tuple[str, ...] | None = None
        self.look()

    def look(self) -> None:
        """Read them. Raises TargetError where nobody knows them."""
        found = None
        try:
            found = self._state.recorded_sources()
        finally:
            self._found = found

    def get(self) -> tuple[str, ...] | None:
        """Return ranges, empty for all; None where nobody knows, so that nobody may ask."""
        return self._found


def address_of(scope: MutableMapping[str, Any]) -> str:
    """Return the address of the connection that a request came by, whatever a proxy says."""
    return str(scope["client"][0]) if scope.get("client") else "0.0.0.0"


def is_in(scope: MutableMapping[str, Any], ranges: Iterable[str]) -> bool:
    """Return whether a request comes from one of the ranges; where there are none, all are in."""
    if not (within := tuple(ranges)):
        return True
    address = ipaddress.ip_address(address_of(scope).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in meant_by(one) for one in within)
