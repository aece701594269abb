"""Ends a router after its last request, once another one listens on the same port.

A target in whose containers routers run passes this file's text to the Python of the old one
(`python3 -I -S -c`), which may be of an older release. So it imports only the standard library.
"""

import http.client
import json
import socket
import sys
import time

_ASK_S = 10.0
_POLL_S = 0.05
_STOP_S = 2.0
_BUSY = "^http.ingress.downstream_(cx|rq)_active$"
_STOPPED = "^listener_manager.(listener_stopped|total_listeners_active)$"


class _Admin(http.client.HTTPConnection):
    """Envoy's admin socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ASK_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def drain(admin: str, limit_s: float) -> None:
    """Take no new connection, close each after its next answer, and end after the last one.

    Args:
        admin: Path of its admin socket.
        limit_s: Time of its longest request, seconds. Then a connection without a request is
            closed, and after as long again one with a request, such as a websocket, too.

    Raises:
        OSError: It does not answer.
    """
    # at once: a graceful drain would go on taking half of all new connections
    _asked(admin, "POST", "/drain_listeners")
    began_s = time.monotonic()
    while not _has_stopped(admin) and time.monotonic() < began_s + _STOP_S:
        time.sleep(_POLL_S)  # or a client that is sent away would come back to it
    _asked(admin, "POST", "/healthcheck/fail")  # every answer says `connection: close` from now on
    began_s = time.monotonic()
    while not _may_end(admin, time.monotonic() - began_s, limit_s):
        time.sleep(_POLL_S)
    _asked(admin, "POST", "/quitquitquit")


def _has_stopped(admin: str) -> bool:
    found = _stats(admin, _STOPPED)
    return found.get("listener_stopped", 0) >= found.get("total_listeners_active", 0)


def _may_end(admin: str, waited_s: float, limit_s: float) -> bool:
    busy = _stats(admin, _BUSY)
    if not busy.get("downstream_cx_active"):
        return True
    idle = not busy.get("downstream_rq_active")
    return waited_s > (limit_s if idle else 2 * limit_s)


def _stats(admin: str, names: str) -> dict[str, int]:
    found = json.loads(_asked(admin, "GET", f"/stats?format=json&filter={names}"))["stats"]
    return {one["name"].rpartition(".")[2]: one["value"] for one in found if "name" in one}


def _asked(admin: str, method: str, page: str) -> str:
    connection = _Admin(admin)
    try:
        connection.request(method, page)
        return connection.getresponse().read().decode()
    except http.client.HTTPException as fault:
        raise OSError(f"its admin socket does not answer: {fault!r}") from fault
    finally:
        connection.close()


if __name__ == "__main__":
    drain(sys.argv[1], float(sys.argv[2]))
