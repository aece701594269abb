"""Which instances get requests; what a router that died leaves."""

import pathlib
import subprocess

import pytest

from inference_provider.targets.local.router import EnvoyRouter
from tests.local.server.model import Model, until
from tests.local.server.routing import asked, deployment, endpoint, serving

pytestmark = pytest.mark.envoy


def test_a_router_that_does_not_run_is_unknown_and_not_empty(tmp_path: pathlib.Path):
    router = EnvoyRouter(tmp_path)
    assert router.is_ready() is False
    assert router.live_weights() is None
    assert router.live_mirrors() is None
    assert router.healthy_backends() is None


def test_a_killed_router_comes_back_with_the_split_it_had(models: dict[str, Model]):
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    with serving(endpoint("chat", {"blue": 100, "green": 0}, *two)) as served:
        served.router.converge(served.table(endpoint("chat", {"blue": 0, "green": 100}, *two)))
        served.process.kill()
        served.process.wait(10)
        assert served.router.is_ready() is False
        served.process = subprocess.Popen(
            served.router.command(), stdout=served.log, stderr=subprocess.STDOUT
        )
        until(served.router.is_ready)
        until(lambda: served.ask("chat/score").status_code == 200)
        assert set(asked(served, 40)) == {"green"}
