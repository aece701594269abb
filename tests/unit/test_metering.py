"""Where metrics go: a page for Prometheus, and an OpenTelemetry collector, both real."""

import socket
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families
from tests.ports import own_port

from inference_provider.errors import TargetError
from inference_provider.metrics.catalogue import CATALOGUE
from inference_provider.metrics.series import InstanceUse, Reading, series
from inference_provider.metrics.window import Window
from inference_provider.router.counters import counted
from inference_provider.service.metering import Metering
from inference_provider.service.otlp import Export
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.page import Page

REQUESTS = "azml.requests.endpoint.iris.deployment.blue.code.200"


def reading(at_s, count, *instances):
    return Reading(at_s, {"": counted({REQUESTS: count}, ())}, instances)


class Service:
    """What a workspace declares and measures, as a test sets it."""

    def __init__(self) -> None:
        self.settings: MetricsSettings | None = None
        self.use = InstanceUse("iris/blue", "iris.blue.g.0", cpu=25.0)
        self.fault = None
        self.at_s = 0.0
        self.metering = Metering(self.meter, lambda: self.settings, "lab")

    def meter(self):
        if self.fault:
            raise self.fault
        self.at_s += 5
        return reading(self.at_s, int(self.at_s), self.use)

    def look(self, **settings):
        self.settings = MetricsSettings(**settings) if settings else None
        self.metering.look()


@pytest.fixture
def service():
    found = Service()
    yield found
    found.look()


def page(port):
    """Return what a Prometheus reads: the name and labels of each series, and its value."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_prometheus_reads_each_series_under_its_name(service):
    port = own_port()
    service.look(port=port)
    service.look(port=port)
    assert page(port) == {
        ("inference_CpuUtilizationPercentage", "blue", "iris", "iris.blue.g.0"): 25.0,
        ("inference_RequestsPerMinute", "blue", "iris", "", "200", "2xx"): 60.0,
    }


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb 1", "a}b{", "#\r", "é\u2028"])
def test_no_name_breaks_the_page(service, name):
    port = own_port()
    service.use = InstanceUse("iris/blue", name, cpu=25.0)
    service.look(port=port)
    assert page(port) == {("inference_CpuUtilizationPercentage", "blue", "iris", name): 25.0}


def test_who_connects_and_says_nothing_takes_no_more_than_16_threads():
    port = own_port()
    known = series(Reading(0), Reading(15, {}, (InstanceUse("a/b", "a.b.g.0", cpu=1.0),)))
    served = Page(port, lambda: known, silent_s=600)
    with ExitStack() as silent:
        for _ in range(40):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
        until(lambda: answering() == 16, "16 threads")
        with pytest.raises(httpx.TransportError):
            page(port)
        assert answering() == 16
    until(lambda: answering() == 0, "the end of those who left")
    assert page(port)
    served.close()


def test_a_connection_that_says_nothing_is_closed():
    port = own_port()
    served = Page(port, tuple, silent_s=0.1)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
        assert silent.recv(1) == b""
    served.close()


@pytest.mark.parametrize("said", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\na: b"])
def test_connections_that_never_end_their_request_keep_nobody_out_for_long(said):
    port = own_port()
    served = Page(port, tuple, silent_s=600, whole_s=0.5)
    with ExitStack() as slow:
        asking = [slow.enter_context(_connected(port)) for _ in range(16)]
        for one in asking:
            one.sendall(said)
        until(lambda: all(_has_ended(one) for one in asking), "the end of those who trickle")
        until(lambda: answering() == 0, "their threads")
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 200
    served.close()


def _connected(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def _has_ended(one):
    try:
        one.sendall(b"x")
    except OSError:
        return True
    return False


def answering():
    """Return how many threads answer a connection."""
    return sum("process_request_thread" in one.name for one in threading.enumerate())


def until(holds, what):
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9464", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example:9464", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.168.0.7", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_a_page_is_told_to_who_asks_for_this_machine_alone(service, host, status):
    port = own_port()
    service.look(port=port)
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"host": host})
    assert answer.status_code == status
    assert ("iris" in answer.text) == (status == 200)


def test_a_page_comes_moves_and_goes_with_what_is_declared(service):
    first, second = own_port(), own_port()
    service.look(port=first)
    assert page(first)
    service.look(port=second)
    assert page(second)
    service.look()
    for port in (first, second):
        with pytest.raises(httpx.ConnectError):
            page(port)


def test_a_port_that_is_taken_is_told_once_and_served_when_it_is_free(service, capfd):
    port = own_port()
    with socket.create_server(("127.0.0.1", port)):
        service.look(port=port)
        service.look(port=port)
    said = f"metrics do not go to {port}: [Errno 98] Address already in use\n"
    assert capfd.readouterr().err == said
    service.look(port=port)
    assert page(port)


@pytest.mark.parametrize("fault", [TargetError("read", "it", "no"), KeyError("odd")])
def test_what_cannot_be_read_any_more_leaves_the_page(service, capfd, fault):
    port = own_port()
    service.look(port=port)
    service.fault = fault
    service.look(port=port)
    assert page(port) == {}
    assert capfd.readouterr().err != ""
    service.fault = None
    service.look(port=port)
    assert ("inference_CpuUtilizationPercentage", "blue", "iris", "iris.blue.g.0") in page(port)


class Collector(ThreadingHTTPServer):
    """A collector that keeps what it gets."""

    def __init__(self) -> None:
        self.paths, self.got, self.came = [], [], threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.paths.append(handler.path)
                self.got.append(ExportMetricsServiceRequest.FromString(body))
                self.came.set()
                handler.send_response(200)
                handler.end_headers()

            def log_message(self, *_args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def collector():
    found = Collector()
    yield found
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize(
    ("path", "asked"), [("", "/v1/metrics"), ("/", "/v1/metrics"), ("/team/in", "/team/in")]
)
def test_a_collector_gets_each_series_under_azures_name(collector, monkeypatch, path, asked):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody's; not for this machine
    window = Window()
    window.add(reading(0, 0))
    window.add(reading(10, 50))
    export = Export(collector.url + path, "lab", lambda: window.series, every_s=0.1)
    assert collector.came.wait(20)
    export.close()
    assert collector.paths[0] == asked
    (of_workspace,) = collector.got[0].resource_metrics
    names = {one.key: one.value.string_value for one in of_workspace.resource.attributes}
    assert names["service.instance.id"] == "lab"
    found = {
        metric.name: [
            ({a.key: a.value.string_value for a in point.attributes}, point.as_double)
            for point in metric.gauge.data_points
        ]
        for metric in of_workspace.scope_metrics[0].metrics
    }
    labels = {
        "endpoint": "iris", "deployment": "blue",
        "statusCode": "200", "statusCodeClass": "2xx", "modelStatusCode": "",
    }  # fmt: skip
    assert found == {"RequestsPerMinute": [(labels, 300.0)]}


def test_rates_are_of_the_last_15_seconds():
    window = Window()
    for at_s, count in ((0, 0), (5, 500), (10, 510), (15, 520), (20, 530)):
        window.add(reading(at_s, count))
    assert [one.value for one in window.series] == [120.0]


def test_no_rate_spans_a_time_in_which_the_router_did_not_answer():
    window = Window()
    window.add(reading(0, 10))
    window.add(Reading(5, {"": None}))
    assert window.series == ()
    window.add(reading(10, 20))
    assert window.series == ()
    window.add(reading(15, 40))
    assert [one.value for one in window.series] == [240.0]


def test_each_metric_says_what_it_is():
    assert all(one.help.endswith(".") for one in CATALOGUE)
