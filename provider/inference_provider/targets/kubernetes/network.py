"""The connections to an API server: through which proxy, how many, and known to be there."""

import socket
from ssl import SSLContext

import httpx

from inference_provider.targets.kubernetes.kubeconfig import Access
from inference_provider.targets.proxies import proxy_for

CONNECTIONS = 32
"""At once, and kept for the next requests, unless told otherwise."""
_SILENT_S, _BETWEEN_S, _TIMES = 30, 10, 3
"""After which silence a connection is asked, how often again, and when it counts as lost."""


def network(access: Access, tls: SSLContext, connections: int = CONNECTIONS) -> httpx.BaseTransport:
    """Return what requests to a cluster's API server go through.

    Args:
        access: Names the server and its proxy.
        tls: Credentials of now.
        connections: How many there may be at once.
    """
    return httpx.HTTPTransport(
        verify=tls,
        proxy=access.proxy or proxy_for(access.server),  # as kubectl takes it
        trust_env=False,
        # httpcore also closes one that a thread is about to use, when it closes idle ones
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=None,
        ),
        socket_options=_kept_alive(),
    )


def _kept_alive() -> list[tuple[int, int, int]]:
    """Return the options by which the system asks whether the other end is still there.

    A firewall or a load balancer forgets a connection that says nothing for minutes, and tells
    neither side; a request on it would wait for its time limit.
    """
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # macOS: latter
    asked = {idle: _SILENT_S, socket.TCP_KEEPINTVL: _BETWEEN_S, socket.TCP_KEEPCNT: _TIMES}
    options = [(socket.IPPROTO_TCP, name, value) for name, value in asked.items() if name]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *options]
