"""The page of a workspace's metrics for Prometheus, on this machine's loopback or in a pod."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily

from inference_provider.metrics.catalogue import CATALOGUE
from inference_provider.metrics.series import Series

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
AT_ONCE = 16
"""Connections that are served; each is a thread of a process that also keeps autoscale rules."""


class Page:
    """Serves what is known now, until it is closed.

    Args:
        port: Where it listens.
        known: Returns what is known.
        silent_s: How long a connection may say nothing.
        whole_s: How long it may take, whatever it says.
        host: Address that it listens on. On loopback it answers only who asks for this machine.

    Raises:
        OSError: The port cannot be listened on.
    """

    def __init__(
        self,
        port: int,
        known: Callable[[], Iterable[Series]],
        silent_s: float = 10,
        whole_s: float = 30,
        host: str = HOST,
    ) -> None:
        registry = CollectorRegistry()
        registry.register(_Known(known))
        self._server = _Server((host, port), silent_s, whole_s)
        served = make_wsgi_app(registry)
        self._server.set_app(_for_this_machine(served) if host == HOST else served)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    """Closes the connections that are too many at once: any user of the machine may connect."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, place: tuple[str, int], silent_s: float, whole_s: float) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._silent_s, self._whole_s = silent_s, whole_s
        self._ends_s: dict[Any, float] = {}
        """When each connection is ended."""
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        super().__init__(place, _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        request, client_address = super().get_request()
        request.settimeout(self._silent_s)
        return request, client_address

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            self._ends_s[request] = time.monotonic() + self._whole_s
            try:
                super().process_request(request, client_address)
            except BaseException:  # no thread could be started
                self._leave(request)
                raise
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def _leave(self, request: Any) -> None:
        self._ends_s.pop(request, None)
        self._free.release()

    def service_actions(self) -> None:
        """End connections that take too long; asked twice a second, between two of them."""
        now_s = time.monotonic()
        for request, end_s in self._ends_s.copy().items():
            if end_s < now_s:
                with suppress(OSError):  # it has ended meanwhile
                    request.shutdown(socket.SHUT_RDWR)  # its thread wakes, and closes it

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: who left or was silent is of no account."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each look."""


def _for_this_machine(served: "WSGIApplication") -> "WSGIApplication":
    """Refuse a name of somebody else's, which may lead here (DNS rebinding).

    A page of the web that a browser of this machine shows could read the metrics by it.
    """

    def asked(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if _is_of_this_machine(environ.get("HTTP_HOST", HOST)):
            return served(environ, start)
        start("421 Misdirected Request", [("Content-Type", "text/plain")])
        return [b"This page is at 127.0.0.1 and localhost only.\n"]

    return asked


def _is_of_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Known:
    """Asked by the library at each request."""

    def __init__(self, known: Callable[[], Iterable[Series]]) -> None:
        self._known = known

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = {
            metric.name: GaugeMetricFamily(metric.prometheus, metric.help, labels=metric.dimensions)
            for metric in CATALOGUE
        }
        for one in self._known():
            families[one.metric.name].add_metric(one.labels, one.value)
        yield from (family for family in families.values() if family.samples)
