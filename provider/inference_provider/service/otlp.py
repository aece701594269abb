"""Sends a workspace's metrics to an OpenTelemetry collector, by OTLP over HTTP.

Its packages are an extra, so import this where they are needed.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource

from inference_provider.metrics.catalogue import CATALOGUE, Metric
from inference_provider.metrics.series import Series
from inference_provider.service.collector_post import session
from inference_provider.service.collector_url import with_path

EVERY_S = 15.0
_PATH = "/v1/metrics"
_TIMEOUT_S = 10.0


class Export:
    """Sends what is known now every 15 s, until it is closed; what fails is not sent again."""

    def __init__(
        self,
        url: str,
        workspace: str,
        known: Callable[[], Iterable[Series]],
        every_s: float = EVERY_S,
    ) -> None:
        self.url = url
        exporter = OTLPMetricExporter(with_path(url, _PATH), timeout=_TIMEOUT_S, session=session())
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1000 * every_s)
        resource = Resource({"service.name": "inference", "service.instance.id": workspace})
        # the library writes the name of an instrument in small letters, and that of a view as it is
        views = [View(instrument_name=one.name.lower(), name=one.name) for one in CATALOGUE]
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False, views=views)
        meter = self._provider.get_meter("inference_provider")
        for metric in CATALOGUE:
            observed = [partial(_observed, metric, known)]
            meter.create_observable_gauge(metric.name, observed, metric.unit, metric.help)

    def close(self) -> None:
        self._provider.shutdown(timeout_millis=1000)


def _observed(
    metric: Metric, known: Callable[[], Iterable[Series]], _options: CallbackOptions
) -> Iterator[Observation]:
    for one in known():
        if one.metric.name == metric.name:
            yield Observation(one.value, dict(zip(metric.dimensions, one.labels, strict=True)))
