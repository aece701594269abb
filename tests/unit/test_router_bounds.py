"""What a router bounds of every request, as docs/operations.md says."""

import json

from inference_provider.router import EndpointEntry, RouterTable, render
from inference_provider.router.render import LDS, RDS

TABLE = RouterTable(
    folder="/srv/router",
    host="127.0.0.1",
    port=8080,
    metrics_port=8081,
    endpoints=(
        EndpointEntry(name="usual", keys=()),
        EndpointEntry(name="own", keys=(), max_body_mib=7),
    ),
)


def test_times_headers_and_connections_are_bounded():
    rendered = render(TABLE)
    [listener] = json.loads(rendered.files[LDS])["resources"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    bounds = {
        "headers": manager["request_headers_timeout"],
        "request": manager["request_timeout"],
        "stream": manager["stream_idle_timeout"],
        "connection": manager["common_http_protocol_options"]["idle_timeout"],
        "streams": manager["http2_protocol_options"]["max_concurrent_streams"],
    }
    assert bounds == {
        **{"headers": "10s", "request": "300s", "stream": "300s", "connection": "300s"},
        "streams": 100,
    }
    [monitor] = json.loads(rendered.bootstrap)["overload_manager"]["resource_monitors"]
    assert monitor["typed_config"]["max_active_downstream_connections"] == 50000


def test_only_an_endpoint_with_a_size_of_its_own_pays_for_it():
    routes = render(TABLE).files[RDS]
    assert routes.count('"max_request_bytes": 7340032') == 2
    assert "104857600" not in routes
    assert render(TABLE).files[LDS].count('"max_request_bytes": 104857600') == 2
