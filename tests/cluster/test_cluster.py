"""The cluster of the tests is what the tests of a target take it for."""

import time
from collections import Counter

import httpx
import pytest

from tests import docker_host
from tests.cluster.api import condition
from tests.cluster.fake_nodes import GPU, PRODUCT, gpu_node

pytestmark = pytest.mark.cluster

PRODUCTS = ("NVIDIA-A10G", "NVIDIA-H100-80GB-HBM3", "NVIDIA-L4")


def pod(namespace, name, *command, labels=None, **spec):
    container = {
        "name": "main",
        "image": docker_host.BASE_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def server(namespace, name, **spec):
    """Describe a pod that answers on port 8080, and prints each request."""
    return pod(namespace, name, "python3", "-u", "-m", "http.server", "8080", **spec)


def service(namespace, name):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def asking(namespace, name, url, **more):
    """Describe a pod that asks until it is answered, and fails after ten seconds of silence."""
    script = f"""
import time, urllib.request
until = time.monotonic() + 10
while True:
    try:
        print(urllib.request.urlopen({url!r}, timeout=1).status)
        break
    except OSError as fault:
        if time.monotonic() > until:
            raise SystemExit(repr(fault))
        time.sleep(0.1)
"""
    return pod(namespace, name, "python3", "-c", script, restartPolicy="Never", **more)


def ended(api, path):
    """Wait until a pod has ended; return how, and what it printed last."""
    ends = ("Succeeded", "Failed")
    phase = api.until(
        path, lambda seen: seen["status"]["phase"] in ends and seen["status"]["phase"]
    )
    return phase, api.text(f"{path}/log").strip().splitlines()[-1]


def test_a_pod_runs_and_answers_this_machine(api, namespace):
    api.apply(server(namespace, "web"))
    ready = api.until_ready(f"/api/v1/namespaces/{namespace}/pods/web")
    address = ready["status"]["podIP"]
    assert httpx.get(f"http://{address}:8080/", trust_env=False).status_code == 200


def test_a_services_address_answers_this_machine(api, namespace):
    api.apply(server(namespace, "web"), service(namespace, "web"))
    api.until_ready(f"/api/v1/namespaces/{namespace}/pods/web")
    address = api.get(f"/api/v1/namespaces/{namespace}/services/web")["spec"]["clusterIP"]
    transport = httpx.HTTPTransport(retries=5)  # until kube-proxy has written its rules
    with httpx.Client(transport=transport, trust_env=False) as client:
        assert client.get(f"http://{address}/").status_code == 200


def test_a_pods_log_is_read_through_the_api(api, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods/speaker"
    api.apply(pod(namespace, "speaker", "echo", "it speaks", restartPolicy="Never"))
    assert ended(api, path) == ("Succeeded", "it speaks")


def test_a_pod_is_asked_through_the_api(api, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods"
    api.apply(server(namespace, "web"))
    api.until_ready(f"{path}/web")
    assert "etc/" in api.text(f"{path}/web:8080/proxy/")


def test_the_name_of_a_service_leads_there_inside_a_pod(api, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods"
    api.apply(server(namespace, "web"), service(namespace, "web"))
    api.until_ready(f"{path}/web")
    api.apply(asking(namespace, "client", f"http://web.{namespace}.svc/"))
    assert ended(api, f"{path}/client") == ("Succeeded", "200")


def test_a_network_policy_denies_all_but_what_it_names(api, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods"
    api.apply(server(namespace, "web"), service(namespace, "web"))
    api.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}},
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}],
            },
        }
    )
    url = f"http://web.{namespace}.svc/"
    ready = api.until_ready(f"{path}/web")
    api.apply(asking(namespace, "friend", url))
    assert ended(api, f"{path}/friend") == ("Succeeded", "200")
    api.apply(asking(namespace, "stranger", url))
    phase, last = ended(api, f"{path}/stranger")
    assert phase == "Failed" and "refused" in last
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{ready['status']['podIP']}:8080/", trust_env=False)


def gpu_deployment(namespace, product, replicas):
    labels = {"app": product.lower()}
    meta = {"name": product.lower(), "namespace": namespace}
    template = pod(namespace, "none", "sleep", "inf", nodeSelector={PRODUCT: product})
    template["spec"]["containers"][0]["resources"] = {"limits": {GPU: "1"}}
    del template["spec"]["terminationGracePeriodSeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
    }


def test_a_thousand_pods_run_on_the_product_that_each_names(api, namespace, fakes):
    nodes = {f"fake-{i}": PRODUCTS[i % 3] for i in range(200)}
    with fakes([gpu_node(name, product) for name, product in nodes.items()]):
        start_s = time.monotonic()
        for product, replicas in zip(PRODUCTS, (334, 333, 333), strict=True):
            api.apply(gpu_deployment(namespace, product, replicas))
        for product, replicas in zip(PRODUCTS, (334, 333, 333), strict=True):
            api.until(
                f"/apis/apps/v1/namespaces/{namespace}/deployments/{product.lower()}",
                lambda seen, n=replicas: seen.get("status", {}).get("readyReplicas") == n,
            )
        print(f"1,000 pods ran after {time.monotonic() - start_s:.1f} s")
        pods = api.items(f"/api/v1/namespaces/{namespace}/pods")
        placed = [(one["spec"]["nodeSelector"][PRODUCT], one["spec"]["nodeName"]) for one in pods]
        assert len(placed) == 1000
        assert all(nodes[node] == product for product, node in placed)
        assert max(Counter(node for _, node in placed).values()) <= 8


def test_a_node_without_gpus_gets_no_pod_that_asks_for_one(api, namespace):
    wanting = gpu_deployment(namespace, PRODUCTS[0], 1)
    api.apply(wanting)
    path = f"/api/v1/namespaces/{namespace}/pods"
    name = api.until(path, lambda seen: seen["items"] and seen["items"][0]["metadata"]["name"])
    stated = api.until(
        f"{path}/{name}",
        lambda seen: [one for one in seen["status"].get("conditions", []) if one["message"]],
    )
    assert stated[0]["reason"] == "Unschedulable"
    assert not condition(api.get(f"{path}/{name}"), "PodScheduled")
