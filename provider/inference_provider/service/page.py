"""The page of a workspace's metrics for Prometheus, on this machine's loopback alone."""

from collections.abc import Callable, Iterable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily

from inference_provider.metrics.catalogue import CATALOGUE
from inference_provider.metrics.series import Series

HOST = "127.0.0.1"


class Page:
    """Serves what is known now, until it is closed.

    Raises:
        OSError: The port cannot be listened on.
    """

    def __init__(self, port: int, known: Callable[[], Iterable[Series]]) -> None:
        self.port = port
        registry = CollectorRegistry()
        registry.register(_Known(known))
        self._server: WSGIServer
        self._server, self._thread = start_http_server(port, HOST, registry)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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
