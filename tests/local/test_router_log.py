"""The access log and the counters."""

import httpx
import pytest

from tests.local.server.routing import Served

pytestmark = pytest.mark.envoy


def test_the_metrics_port_opens_nothing_else_of_admin(served: Served):
    found = {
        path: httpx.get(f"http://127.0.0.1:{served.ports[1]}{path}").status_code
        for path in ("/metrics", "/ready", "/config_dump", "/quitquitquit", "/stats")
    }
    assert found == {
        "/metrics": 200, "/ready": 200, "/config_dump": 404, "/quitquitquit": 404, "/stats": 404,
    }  # fmt: skip


def test_requests_are_counted_by_endpoint_deployment_and_code(served: Served):
    served.client.get("/endpoints/chat/score")
    served.ask("chat/score")
    text = served.metrics()
    assert 'envoy_azml_requests{endpoint="chat",deployment="blue",code="401"}' in text
    assert 'envoy_azml_requests{endpoint="chat",deployment="blue",code="200"}' in text
