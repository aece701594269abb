"""A socket that listens, with limits of connections: those in a handshake of TLS count too.

Who may connect can hold connections, so one address has a part of them: the rest are for others.
"""

import ipaddress
import socket
from typing import Any

MOST_CONNECTIONS, MOST_OF_ONE = 500, 100
"""At once: of all, and of one address."""
_NETWORK_BITS = 64
"""Of an IPv6 address; the others are whatever its owner likes."""


class Listener(socket.socket):
    """A socket that closes what comes above a limit, unread: a loop sees nothing of it."""

    most, most_of_one = MOST_CONNECTIONS, MOST_OF_ONE
    _open: tuple[tuple[socket.socket, str], ...] = ()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a connection. Raises BlockingIOError where there is none, or one too many."""
        found, address = super().accept()
        who = owner_of(address[0])
        self._open = tuple(one for one in self._open if one[0].fileno() >= 0)
        of_one = sum(other == who for _, other in self._open)
        if len(self._open) >= self.most or of_one >= self.most_of_one:
            found.close()
            raise BlockingIOError("too many connections")
        self._open = (*self._open, (found, who))
        return found, address


def owner_of(address: str) -> str:
    """Return whose address it is, as far as that is known: two that one may take are the same."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    one = mapped or found
    if one.is_loopback:
        return "loopback"
    if isinstance(one, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((one, _NETWORK_BITS), strict=False))
    return str(one)
