"""A cluster's wiring over an API server in memory, whose pods get ready."""

import pytest
from tests.cluster_api import ClusterApi, client_of
from tests.cluster_controllers import Controllers
from tests.image_engine import ImageEngine
from tests.unit.cluster_target.stack import Pods

from inference_provider.spec.target import place_from
from inference_provider.targets.kubernetes import compute, pod_wait, role_pods
from inference_provider.targets.kubernetes import router as router_module
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine


@pytest.fixture
def api():
    made = ClusterApi()
    made.refuse = Pods()
    return made


@pytest.fixture
def controllers(api):
    with Controllers(api) as made:
        yield made


@pytest.fixture
def platform(api, controllers, docker, monkeypatch):
    for module, name in (
        (compute, "_POLL_S"),
        (pod_wait, "POLL_S"),
        (role_pods, "POLL_S"),
        (router_module, "_POLL_S"),
    ):
        monkeypatch.setattr(module, name, 0.01)
    place = place_from({"kind": "kubernetes", "namespace": "lab"})
    made = KubernetesPlatform(place, lambda: docker)
    made.__dict__["client"] = client_of(api)
    yield made


@pytest.fixture
def docker():
    return ImageEngine()


@pytest.fixture
def engine(platform):
    return Engine(platform)
