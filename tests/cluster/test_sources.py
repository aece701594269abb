"""Who may call the router of a workspace in a cluster, by the address that its pods see."""

import http.client
import json
import os
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from inference_provider.errors import CapabilityMissing
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.names import INSTANCE, ROUTER_NAME, selecting
from inference_provider.targets.kubernetes.objects import POD, SERVICE, selector
from inference_provider.targets.kubernetes.pods import address_of
from inference_provider.targets.kubernetes.target import KubernetesTarget
from inference_provider.workspace.logged import LogQuery
from tests.cluster.places import LINK_HERE, NODE_ADDRESS
from tests.conformance.labs import SERVER, KubernetesLab, wait_until

pytestmark = pytest.mark.cluster
CALLS = """
import http.client, os, threading, time
def calls():
    opened, count = None, 0
    while True:
        try:
            if opened is None:
                opened = http.client.HTTPConnection("ROUTER", 8080, timeout=5)
                opened.connect()
                opened.auto_open, count = 0, count + 1
            opened.request("GET", "/")
            answer = opened.getresponse()
            answer.read()
            print("called", count, answer.status, flush=True)
        except (OSError, http.client.HTTPException):
            opened = None
        time.sleep(0.2)
threading.Thread(target=calls, daemon=True).start()
"""
"""Prints which connection of a pod to the router gets what, where no endpoint is: 404, or 403."""


def called(lab) -> tuple[int, int]:
    lines = [
        f"{one.instance}: {one.text}"
        for one in lab.ports.compute.logs(lab.of("Deployment").id, LogQuery(lines=1))
    ]
    count, _, status = lines[-1].partition(": called ")[2].partition(" ")
    return int(count or 0), int(status or 0)


def service(lab) -> dict:
    return lab.platform.client.get(SERVICE, lab.workspace, ROUTER_NAME)["spec"]


def address_of_pod(lab) -> str:
    chosen = selector(selecting(lab.workspace, INSTANCE))
    [pod] = lab.platform.client.items(POD, lab.workspace, chosen)
    return address_of(pod)


def score(lab, url: str) -> int:
    headers = {"authorization": f"Bearer {lab.keys()[0]}"}
    with httpx.Client(transport=httpx.HTTPTransport(retries=9), trust_env=False) as client:
        return client.post(f"{url}/endpoints/iris/score", headers=headers).status_code


def test_a_router_inside_a_cluster_answers_those_in_the_ranges_on_open_connections(
    tmp_path, monkeypatch
):
    workspace = f"from{os.getpid()}"
    server = tmp_path / "calls.py"
    calls = CALLS.replace("ROUTER", f"{ROUTER_NAME}.{workspace}.svc")
    server.write_text(calls + SERVER.read_text())
    monkeypatch.setattr(KubernetesLab, "server", server)
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, workspace)
    outside = KubernetesTarget(KubernetesPlace(kind="kubernetes"))
    try:
        lab.up()
        wait_until(lambda: called(lab)[1] == 404)
        first = called(lab)[0]
        assert lab.ask() == 200

        where = urlsplit(lab.router_url)
        with closing(http.client.HTTPConnection(where.hostname, where.port, timeout=10)) as kept:
            kept.connect()
            kept.auto_open = 0

            def on_kept() -> int:
                kept.request("GET", "/")
                answer = kept.getresponse()
                answer.read()
                return answer.status

            assert on_kept() == 404
            # kube-proxy keeps the address of a pod, and gives others that of the node
            lab.apply(lab.space(allowed_source_ranges=[address_of_pod(lab)]))
            assert on_kept() == 403
            assert lab.ask() == 403
            assert called(lab) == (first, 404)
            lab.apply(lab.space(allowed_source_ranges=[f"{NODE_ADDRESS}/32"]))
            assert on_kept() == 404
            assert lab.ask() == 200
            wait_until(lambda: called(lab) == (first, 403))

        url = f"{lab.router.address().url}/endpoints/iris/score"
        key = {"authorization": f"Bearer {lab.keys()[0]}"}
        with (
            outside.way_to(workspace, url) as way,
            httpx.Client(transport=httpx.HTTPTransport(uds=way.socket)) as client,
        ):
            assert client.post(url, headers=key).status_code == 403
            lab.apply(lab.space(allowed_source_ranges=["127.0.0.1"]))
            assert client.post(url, headers=key).status_code == 200

        lab.apply(lab.space())
        closed: dict[str, Any] = {
            "public_network_access": "disabled",
            "allowed_source_ranges": ["10.0.0.1"],
        }
        lab.apply(lab.endpoint(**closed))
        assert lab.ask() == 403
        wait_until(lambda: called(lab) == (first, 404))
        with pytest.raises(CapabilityMissing, match="endpoint 'iris' has allowed_source_ranges"):
            ingress = {"ingress": {"host": "score.example.org"}}
            lab.apply(lab.space(cluster={"router": ingress}))
    finally:
        lab.close()
        lab.platform.close()
        outside.kubernetes.close()


def test_a_router_sees_who_calls_from_outside_where_its_workspace_has_ranges(tmp_path, api):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"out{os.getpid()}")
    try:
        lab.up()

        def space(service: str, *ranges: str) -> None:
            router = {"router": {"service": service}}
            fields = {"allow_plain_http": True, "allowed_source_ranges": ranges}
            lab.apply(lab.space(cluster=router, **fields))

        def by_node() -> int:
            return score(lab, f"http://{NODE_ADDRESS}:{service(lab)['ports'][0]['nodePort']}")

        space("NodePort", LINK_HERE)
        assert service(lab)["externalTrafficPolicy"] == "Local"
        wait_until(lambda: by_node() == 200)
        space("NodePort", "10.0.0.1")
        assert by_node() == 403

        space("LoadBalancer", LINK_HERE, "::1")
        made = service(lab)
        assert made["externalTrafficPolicy"] == "Local"
        assert made["loadBalancerSourceRanges"] == [f"{LINK_HERE}/32", "::1/128"]
        answer = api.http.patch(
            SERVICE.path(lab.workspace, ROUTER_NAME),
            params={"fieldManager": "kubectl-edit"},
            headers={"content-type": "application/merge-patch+json"},
            content=json.dumps({"spec": {"externalTrafficPolicy": "Cluster"}}),
        )
        assert answer.is_success, answer.text
        told = "Service inference-router: spec.externalTrafficPolicy set by kubectl-edit at "
        assert lab.router.status().fault.startswith(told)
        space("LoadBalancer", LINK_HERE)
        assert service(lab)["externalTrafficPolicy"] == "Local"
        space("LoadBalancer")
        made = service(lab)
        assert made["externalTrafficPolicy"] == "Cluster"
        assert "loadBalancerSourceRanges" not in made
        assert lab.ask() == 200
        space("ClusterIP")
        assert "externalTrafficPolicy" not in service(lab)
        assert lab.router.status().fault == ""
    finally:
        lab.close()
        lab.platform.close()


def test_a_router_behind_an_ingress_takes_the_word_of_its_controller_and_of_no_pod(
    tmp_path, monkeypatch
):
    workspace = f"hops{os.getpid()}"
    server = tmp_path / "calls.py"
    calls = CALLS.replace("ROUTER", f"{ROUTER_NAME}.{workspace}.svc")
    calls = calls.replace('"GET", "/"', '"GET", "/", headers={"x-forwarded-for": "198.51.100.7"}')
    server.write_text(calls + SERVER.read_text())
    monkeypatch.setattr(KubernetesLab, "server", server)
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, workspace)
    try:
        lab.up()
        wait_until(lambda: called(lab)[1] == 404)
        # this process is the Ingress's controller: what is outside comes from the node's address
        behind = {"ingress": {"host": "score.example.org"}}
        hops = {"trusted_hops": 1, "trusted_proxies": [f"{NODE_ADDRESS}/32"]}
        ranges = {"allowed_source_ranges": ["198.51.100.0/24"]}
        lab.apply(lab.space(cluster={"router": behind}, **hops, **ranges))
        key = {"authorization": f"Bearer {lab.keys()[0]}"}

        def score(claimed: str) -> int:
            found = key | {"x-forwarded-for": claimed}
            url = f"{lab.router_url}/endpoints/iris/score"
            return httpx.post(url, headers=found, trust_env=False).status_code

        wait_until(lambda: score("198.51.100.7") == 200)
        assert score("198.51.100.7, 203.0.113.9") == 403
        wait_until(lambda: called(lab)[1] == 403)
    finally:
        lab.close()
        lab.platform.close()
