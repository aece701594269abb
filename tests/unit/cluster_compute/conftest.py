"""A cluster that is none, its controllers, and the Compute of a workspace in it."""

import pytest
from tests.cluster_api import ClusterApi
from tests.cluster_controllers import Controllers
from tests.unit.cluster_compute.units import compute_over

from inference_provider.targets.kubernetes import compute as under_test
from inference_provider.targets.kubernetes import pod_wait


@pytest.fixture
def api():
    return ClusterApi()


@pytest.fixture
def controllers(api, monkeypatch):
    monkeypatch.setattr(under_test, "_POLL_S", 0.01)
    monkeypatch.setattr(pod_wait, "POLL_S", 0.01)
    with Controllers(api) as made:
        yield made


@pytest.fixture
def compute(api, controllers):
    return compute_over(api)
