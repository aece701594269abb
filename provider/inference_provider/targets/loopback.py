"""HTTP to this machine: to instances, the router and its admin socket. The only place for it.

Proxy and certificate variables are ignored: a proxy cannot reach this machine's loopback, and a
missing certificate file must not stop a request without TLS. A router of a cluster may have a
public URL: its certificate is verified, by what this machine trusts and $SSL_CERT_FILE.
"""

import http.client
import socket
import ssl
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import httpx


class Identity(NamedTuple):
    """Files in PEM that say who this side of a connection is."""

    certificate: Path
    """The certificate, then those of who signed it; without `key`, its private key too."""
    key: Path | None = None


def loopback_client(
    *,
    timeout_s: float,
    transport: "httpx.BaseTransport | None" = None,
    socket_path: str = "",
    tls: bool = False,
    trusted: str = "",
    identity: "Identity | None" = None,
) -> "httpx.Client":
    """Return a client that can stream, for requests that a user sends; close it after use.

    Args:
        timeout_s: Longest wait for a connection, and between two pieces of an answer, seconds.
        transport: How to reach the server; TCP when None.
        socket_path: The Unix socket that leads there instead; empty for none.
        tls: Whether the server must show a certificate that this machine trusts.
        trusted: PEM of an authority that is trusted besides; empty for none.
        identity: What this side shows a server that asks who it is; only with `tls`.

    Raises:
        OSError: A file of `identity` cannot be read, or does not hold what it should.
    """
    import httpx  # noqa: PLC0415 - takes 40 ms

    # Without TLS, reading the CA bundle would cost 20 ms a client.
    verify = _checks(trusted, identity) if tls else False
    if socket_path:
        transport = httpx.HTTPTransport(uds=socket_path, trust_env=False, verify=verify)
    return httpx.Client(timeout=timeout_s, transport=transport, trust_env=False, verify=verify)


def _checks(trusted: str, identity: Identity | None) -> ssl.SSLContext:
    found = ssl.create_default_context()
    if trusted:
        found.load_verify_locations(cadata=trusted)
    if identity:
        # a key with a passphrase fails, where OpenSSL would ask the terminal for it
        found.load_cert_chain(identity.certificate, identity.key, password=lambda: "")
    return found


def connection_to(place: str | tuple[str, int], timeout_s: float) -> http.client.HTTPConnection:
    """Return a cheap connection (`http.client`) for internal queries; close it after use.

    Args:
        place: Path of a Unix socket, or host and port.
        timeout_s: Longest wait for a connection, and between two pieces of an answer, seconds.
    """
    if isinstance(place, str):
        return _UnixConnection(place, timeout_s)
    return http.client.HTTPConnection(*place, timeout=timeout_s)


def answers(place: str | tuple[str, int], path: str, timeout_s: float) -> bool:
    """Whether a readiness route answers 200 to 399, the rule of Kubernetes and of the router."""
    with closing(connection_to(place, timeout_s)) as connection:
        try:
            connection.request("GET", path)
            return 200 <= connection.getresponse().status < 400  # a redirect is not followed
        except (OSError, http.client.HTTPException):
            return False


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
