"""The cluster, and a namespace of it for each test; nothing of either stays."""

import itertools
import os
from pathlib import Path

import pytest

from inference_provider.targets.kubernetes.target import KubernetesPlatform
from tests import cluster_host
from tests.cluster import keda as of_keda
from tests.cluster import lws as of_lws
from tests.cluster.api import Api
from tests.cluster.bare_instances import bare_compute
from tests.cluster.devices import Devices
from tests.cluster.fake_nodes import fake_nodes
from tests.cluster.metrics import provide
from tests.cluster.places import ours


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run those last that disturb all others."""
    items.sort(key=lambda item: bool(getattr(getattr(item, "module", None), "RUNS_LAST", False)))


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def api():
    with Api(Path(cluster_host.KUBECONFIG)) as api:
        yield api


@pytest.fixture
def fakes(api):
    """Run kwok, and give the fake nodes that a test adds; named before `namespace`, outlives it."""
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("only the cluster of `make test-cluster` gets nodes that are none")
    with fake_nodes(ours(), api) as nodes:
        yield nodes


@pytest.fixture
def devices(api, fakes):
    """Give the devices of a class that a test adds, with their nodes."""
    made = Devices(api, fakes)
    made.add_class()
    yield made
    api.delete(*made.paths)


@pytest.fixture(scope="session")
def metrics(api):
    """Have the API say what pods use."""
    provide(api)


@pytest.fixture(scope="session")
def keda(api):
    """Have the API serve KEDA until the tests end."""
    with of_keda.installed(api):
        yield


@pytest.fixture(scope="session")
def lws(api):
    """Have the API serve LeaderWorkerSets until the tests end."""
    with of_lws.installed(api):
        yield


@pytest.fixture
def namespace(api):
    """Make a namespace in which pods are admitted, and return its name."""
    name = f"test{os.getpid()}x{next(_numbers)}"
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}"
    api.until(f"{path}/serviceaccounts/default", lambda seen: seen)
    yield name
    api.delete(path)


@pytest.fixture
def platform():
    """A cluster's platform, whose capabilities say what it could do."""
    made = KubernetesPlatform("kubernetes")
    yield made
    made.close()


@pytest.fixture
def compute(platform, namespace):
    """The Compute of a namespace without a router: its instances may be fakes."""
    with bare_compute(platform, namespace) as made:
        yield made
