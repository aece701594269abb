"""A machine outside a cluster reaches a router inside it."""

import os

import httpx
import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.target import KubernetesTarget
from tests.conformance.labs import ANN, KubernetesLab

pytestmark = pytest.mark.cluster


def test_a_request_from_outside_goes_through_the_api_server_to_a_router_pod(tmp_path):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"way{os.getpid()}")
    target = KubernetesTarget(KubernetesPlace(kind="kubernetes"))
    try:
        lab.up()
        url = f"{lab.router.address().url}/endpoints/iris/score"
        with target.way_to(lab.workspace, url) as way:
            transport = httpx.HTTPTransport(uds=way.socket)
            key = {"authorization": f"Bearer {lab.keys()[0]}"}
            with httpx.Client(transport=transport) as client:
                assert client.post(url, headers=key, content=b"x" * 2**22).status_code == 200
                assert client.post(url).status_code == 401
        lab.target.stop(lab.workspace, ANN)
        with pytest.raises(TargetUnreachable, match="reach the router"):
            target.way_to(lab.workspace, url).__enter__()
    finally:
        lab.close()
        lab.platform.close()
        target.kubernetes.close()
