"""Which instances get requests; what a router that died leaves."""

import pathlib
import time

import pytest

from inference_provider.targets.envoy.delivery import Delivery
from tests.local.server.model import Model, until
from tests.local.server.routing import Served, asked, code_of, deployment, endpoint, serving

pytestmark = pytest.mark.envoy


def test_an_instance_that_is_not_ready_gets_no_request_until_it_is(models: dict[str, Model]):
    both = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"], models["green"]))
    with serving(both) as served:
        until(lambda: served.status().healthy == {"chat/blue": 2})
        assert answering(served) == {"blue", "green"}
        models["green"].ready = 503
        until(lambda: served.status().healthy == {"chat/blue": 1})
        assert answering(served) == {"blue"}
        models["green"].ready = 200
        until(lambda: served.status().healthy == {"chat/blue": 2})
        assert answering(served) == {"blue", "green"}


@pytest.mark.parametrize(
    ("status", "healthy"), [(204, 1), (302, 1), (399, 1), (400, 0), (404, 0), (503, 0)]
)
def test_an_instance_whose_readiness_route_answers_200_to_399_gets_requests(
    models: dict[str, Model], status: int, healthy: int
):
    models["blue"].ready = status
    with serving(endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))) as served:
        checked = models["blue"].checks + 2
        until(lambda: models["blue"].checks >= checked)
        found = served.status().healthy
    models["blue"].ready = 200
    assert found == {"chat/blue": healthy}


def test_without_a_ready_instance_nobody_is_asked_and_the_caller_gets_503(
    models: dict[str, Model],
):
    one = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    with serving(one) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        models["blue"].ready = 500
        until(lambda: served.status().healthy == {"chat/blue": 0})
        hits = models["blue"].hits
        found = code_of(served.ask("chat/score"))
        models["blue"].ready = 200
        assert found == (503, "ServiceUnavailable")
        assert models["blue"].hits == hits
        until(lambda: served.ask("chat/score").status_code == 200)


def test_an_instance_that_is_gone_fails_no_request_where_there_is_another(
    models: dict[str, Model],
):
    leaving = Model("leaving")
    both = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"], leaving))
    with serving(both) as served:
        until(lambda: served.status().healthy == {"chat/blue": 2})
        leaving.close()
        assert set(asked(served, 40)) == {"blue"}


def answering(served: Served) -> set[str]:
    return {served.ask("chat/score").json()["model"] for _ in range(40)}


def test_an_idle_connection_is_ended_before_the_server_may_end_it(served: Served):
    """A request sent while its server hangs up fails; gunicorn hangs up after two idle seconds."""

    def connection() -> int:
        return served.ask("chat/x").json()["connection"]

    first = connection()
    assert connection() == first
    time.sleep(1.3)
    assert connection() != first


def test_a_router_that_does_not_run_is_unknown_and_not_empty(tmp_path: pathlib.Path):
    router = Delivery(tmp_path)
    assert router.is_ready() is False
    assert router.status() is None


def test_a_killed_router_comes_back_with_the_split_it_had(models: dict[str, Model]):
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    with serving(endpoint("chat", {"blue": 100, "green": 0}, *two)) as served:
        served.router.publish(served.table(endpoint("chat", {"blue": 0, "green": 100}, *two)))
        served.restart()
        until(lambda: served.ask("chat/score").status_code == 200)
        assert set(asked(served, 40)) == {"green"}
