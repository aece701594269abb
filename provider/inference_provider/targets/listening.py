"""Where the router of a workspace listens, chosen once, so that URLs stay."""

import errno
import socket
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.observed import Frozen
from inference_provider.router.table import (
    EndpointEntry,
    OutboundEntry,
    Proxy,
    RouterTable,
    Tls,
    Traces,
)
from inference_provider.workspace.statuses import RouterAddress

ROUTER_PORTS = range(18080, 19080)
METRICS_PORTS = range(19080, 20080)
EGRESS_PORTS = range(20080, 21080)
"""Of forward proxies, on the addresses of networks that have no other way out."""
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that stand for all of a host, and the one by which it reaches itself."""

_FIRST_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


class ListenAddress(Frozen):
    """Where a router listens, on its host."""

    host: str
    port: int
    metrics_port: int
    """Chosen again when another process has taken it: no scoring URL contains it."""

    def reached(self, by: str = "", *, secure: bool = False) -> RouterAddress:
        """Return its URLs.

        Args:
            by: Name of its host for those elsewhere; empty where callers are on it.
            secure: Whether it speaks TLS.
        """
        scheme = "https" if secure else "http"
        host = (by or EVERYWHERE[self.host]) if self.host in EVERYWHERE else self.host
        return RouterAddress(
            url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}",
            metrics_url=f"http://127.0.0.1:{self.metrics_port}",
        )

    def table(
        self,
        folder: str,
        endpoints: tuple[EndpointEntry, ...] = (),
        *,
        tls: Tls | None = None,
        sources: tuple[str, ...] = (),
        trusted_proxies: tuple[str, ...] = (),
        trusted_hops: int = 0,
        outbound: tuple[OutboundEntry, ...] = (),
        proxy: Proxy | None = None,
        traces: Traces | None = None,
        calls_days: int = 0,
    ) -> RouterTable:
        """Return what the router serves there.

        Args:
            folder: Where it has its files.
            endpoints: What it serves.
            tls: How it speaks TLS; None where it does not.
            sources: Ranges of addresses that may call; empty for all.
            trusted_proxies: Ranges of addresses from which proxies connect.
            trusted_hops: How many of them a request passes.
            outbound: Where instances may go that have no way out.
            proxy: Where they ask for that; None where nothing lets them out.
            traces: Where spans go; None where none are made.
            calls_days: Days after which a line of its access log is gone; 0 for its length alone.
        """
        return RouterTable(
            folder=folder,
            host=self.host,
            port=self.port,
            metrics_port=self.metrics_port,
            tls=tls,
            sources=sources,
            trusted_proxies=trusted_proxies,
            trusted_hops=trusted_hops,
            outbound=outbound,
            proxy=proxy,
            traces=traces,
            calls_days=calls_days,
            endpoints=endpoints,
        )


def absent(workspace: str) -> TargetError:
    """Return the error of using a workspace that is not there."""
    return TargetError("use", f"workspace '{workspace}'", "it is not there", "declare it first")


def port_taken(workspace: str, reason: str, remedy: str, place: str = "") -> OutOfCapacity:
    """Return the error of a router whose port another process has.

    Args:
        workspace: Whose router.
        reason: Which port.
        remedy: What to do.
        place: On which host, if not on this machine.
    """
    resource = f"the router of workspace '{workspace}'"
    return OutOfCapacity("start", resource, reason, remedy, place)


def in_order(ports: Sequence[int], name: str) -> list[int]:
    """Return ports, beginning where no other name is likely to begin."""
    first = zlib.crc32(name.encode()) % len(ports)
    return [*ports[first:], *ports[:first]]


def bind_fault(host: str, port: int) -> OSError | None:
    """Return the error of listening there; None when it works.

    Tests without SO_REUSEPORT, which Envoy's own bind uses.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as fault:
        return fault
    return None


def address_fault(host: str, port: int, machine: str = "this machine") -> str:
    """Say why no router can listen there; empty when it can, or could if the port were free.

    Args:
        host: Address.
        port: 0 for any.
        machine: What the one is called on which this runs.
    """
    fault = bind_fault(host, port)
    if fault is None or fault.errno == errno.EADDRINUSE:
        return ""
    if fault.errno == errno.EACCES:
        first = _FIRST_UNPRIVILEGED.read_text().strip()
        return f"router_port {port} needs a privileged user; choose {first} or higher"
    if fault.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        reason = f"is not an address of {machine}"
    else:
        reason = f"cannot be listened on ({fault.strerror})"
    return f"bind_address '{host}' {reason}; `ip -brief address` lists them"


def first_free(host: str, ports: Iterable[int]) -> int | None:
    """Return the first of some ports that nobody listens on; None when all are taken."""
    return next((port for port in ports if bind_fault(host, port) is None), None)
