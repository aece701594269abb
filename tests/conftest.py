"""Fixtures every test may use."""

import gc
import os
import time
from collections.abc import Iterator

import pytest

from inference_provider.targets.kubernetes.connection import Connection
from tests import cluster_host, docker_host

_UNTIL_S = float(os.environ.get("INFERENCE_TEST_UNTIL", "inf"))
"""Seconds since 1970 after which no test begins: a run that has a limit ends before it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what is rendered over the golden files"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and all of what the machine has one of."""
    for item in items:
        shared = [one for one in ("docker", "cluster") if item.get_closest_marker(one)]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else item.path.stem))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() + _more_than_others_s(item) > _UNTIL_S:
        pytest.skip("the time that INFERENCE_TEST_UNTIL gives is over; run it without")
    if item.get_closest_marker("docker") and docker_host.missing():
        pytest.skip(docker_host.missing())
    if item.get_closest_marker("cluster"):
        if cluster_host.missing():
            pytest.skip(cluster_host.missing())
        os.environ["KUBECONFIG"] = cluster_host.KUBECONFIG  # never one that serves


def _more_than_others_s(item: pytest.Item) -> float:
    """Return by how much a test may take longer than most: it has to begin as much earlier."""
    own, usual = item.get_closest_marker("timeout"), float(item.config.getini("timeout"))
    return max(0.0, float(own.args[0]) - usual) if own and own.args else 0.0


@pytest.fixture(scope="session", autouse=True)
def _closed_connections() -> Iterator[None]:
    """Close what tests have opened to a cluster and left: a second client has no end."""
    yield
    for one in gc.get_objects():
        if issubclass(type(one), Connection):  # isinstance asks a weak proxy for its object
            one.close()
