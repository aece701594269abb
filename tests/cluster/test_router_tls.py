"""TLS of the routers of a workspace in a cluster, through a Service and through the API server."""

import os
import ssl
from contextlib import closing

import httpx
import pytest

from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.names import ROUTER_NAME
from inference_provider.targets.kubernetes.objects import SERVICE
from inference_provider.targets.kubernetes.target import KubernetesTarget
from inference_provider.targets.loopback import loopback_client
from tests.conformance.labs import KubernetesLab, wait_until

pytestmark = pytest.mark.cluster


def test_router_pods_show_a_certificate_of_the_workspace_and_another_one_without_a_restart(
    tmp_path,
):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"tls{os.getpid()}")
    target = KubernetesTarget(KubernetesPlace(kind="kubernetes"))
    service = f"{ROUTER_NAME}.{lab.workspace}.svc"

    def trusted() -> str:
        space = ResourceId(kind=Kind.WORKSPACE, workspace=lab.workspace, name=lab.workspace)
        return lab.target.observe_one(space).outputs["ca_certificate"]

    def status(ca: str) -> int:
        there = lab.platform.client.get(SERVICE, lab.workspace, ROUTER_NAME)["spec"]
        url = f"https://{there['clusterIP']}:{there['ports'][0]['port']}/endpoints/iris/score"
        headers = {"authorization": f"Bearer {lab.keys()[0]}", "host": service}
        with httpx.Client(
            verify=ssl.create_default_context(cadata=ca),
            transport=httpx.HTTPTransport(verify=ssl.create_default_context(cadata=ca), retries=9),
            trust_env=False,
            timeout=20,
        ) as client:
            asked = client.build_request("POST", url, headers=headers)
            asked.extensions["sni_hostname"] = service
            return client.send(asked).status_code

    try:
        lab.desired = (lab.space(tls={"generate": True}), *lab.desired[1:])
        lab.up()
        assert lab.router.address().url == f"https://{service}:8080"
        first = trusted()
        assert status(first) == 200
        lab.apply(lab.space(tls={"generate": True, "names": ["models.example.org"]}))
        assert trusted() == first
        wait_until(lambda: status(first) == 200)
        url = f"{lab.router.address().url}/endpoints/iris/score"
        with (
            target.way_to(lab.workspace, url) as way,
            closing(
                loopback_client(timeout_s=20, socket_path=way.socket, tls=True, trusted=first)
            ) as client,
        ):
            key = {"authorization": f"Bearer {lab.keys()[0]}"}
            assert client.post(url, headers=key).status_code == 200
    finally:
        lab.close()
        lab.platform.close()
        target.kubernetes.close()
