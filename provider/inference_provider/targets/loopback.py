"""The one way in which we speak HTTP to this machine: to instances, the router, its admin socket.

Nothing of the environment is asked. A proxy cannot reach this machine's loopback, and a
certificate file that is not there must not stop a request that has no TLS.
"""

import socket

import httpx


def loopback_client(
    *, timeout_s: float, transport: httpx.BaseTransport | None = None, base_url: str = ""
) -> httpx.Client:
    """Return a client for plain HTTP on this machine; close it after use.

    Args:
        timeout_s: Longest wait for a connection, and between two pieces of an answer, seconds.
        transport: How the other side is reached; TCP when None.
        base_url: What stands before every path.
    """
    # verify=False: there is no TLS, and reading the CA bundle would cost 20 ms a client.
    return httpx.Client(
        timeout=timeout_s, transport=transport, base_url=base_url, trust_env=False, verify=False
    )


def unix_socket(path: str) -> httpx.HTTPTransport:
    """Return a transport to a Unix socket of this machine."""
    return _UnixSocket(path)


class _UnixSocket(httpx.HTTPTransport):
    """Connects once before it asks: httpx leaves its socket open where a connection is refused."""

    def __init__(self, path: str) -> None:
        super().__init__(uds=path, verify=False, trust_env=False)
        self._path = path

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            try:
                probe.connect(self._path)
            except OSError as fault:
                raise httpx.ConnectError(str(fault), request=request) from fault
        return super().handle_request(request)
