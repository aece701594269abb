"""The cluster of the tests is what the tests of a target take it for."""

import time
from collections import Counter

import httpx
import pytest

from tests import docker_host
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
    """Describe a pod that asks until it is answered, and fails after five seconds."""
    script = f"""
import time, urllib.request
until = time.monotonic() + 5
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
    api.apply(server(namespace, "web"), service(namespace, "web"), friends_only(namespace, "web"))
    address = api.until_ready(f"{path}/web")["status"]["podIP"]
    until_refused(f"http://{address}:8080/")
    url = f"http://web.{namespace}.svc/"
    api.apply(asking(namespace, "friend", url), asking(namespace, "stranger", url))
    assert ended(api, f"{path}/friend") == ("Succeeded", "200")
    assert ended(api, f"{path}/stranger")[0] == "Failed"


def friends_only(namespace, name):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app": name}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}],
        },
    }


def until_refused(url):
    """Wait until this machine is refused, to which a policy applies as to all others."""
    for _ in range(100):
        try:
            httpx.get(url, timeout=1, trust_env=False)
        except httpx.TransportError:
            return
        time.sleep(0.1)
    pytest.fail(f"{url} still answers")


def test_the_api_says_what_a_pod_uses(api, metrics, namespace):
    api.apply(pod(namespace, "busy", "python3", "-c", "while True: pass"))
    told = api.until(
        f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/busy",
        lambda seen: seen["containers"][0]["usage"],
    )
    assert int(told["cpu"].removesuffix("n")) > 100_000_000


def test_a_thousand_pods_run_on_the_product_that_each_names(api, fakes, namespace):
    products = {f"fake-{number}": PRODUCTS[number % 3] for number in range(200)}
    fakes.add(*(gpu_node(name, product) for name, product in products.items()))
    wanted = dict(zip(PRODUCTS, (334, 333, 333), strict=True))
    start_s = time.monotonic()
    api.apply(*(gpu_deployment(namespace, product, count) for product, count in wanted.items()))
    for product, count in wanted.items():
        api.until(
            f"/apis/apps/v1/namespaces/{namespace}/deployments/{product.lower()}",
            lambda seen, count=count: seen["status"].get("readyReplicas") == count,
            limit_s=180,
        )
    print(f"1,000 pods ran after {time.monotonic() - start_s:.1f} s")
    specs = [one["spec"] for one in api.items(f"/api/v1/namespaces/{namespace}/pods")]
    assert all(products[one["nodeName"]] == one["nodeSelector"][PRODUCT] for one in specs)
    placed = Counter(products[spec["nodeName"]] for spec in specs)
    assert placed == {"NVIDIA-A10G": 334, "NVIDIA-H100-80GB-HBM3": 333, "NVIDIA-L4": 333}
    assert max(Counter(spec["nodeName"] for spec in specs).values()) <= 8


def gpu_deployment(namespace, product, replicas):
    labels = {"app": product.lower()}
    spec = pod(namespace, "", "sleep", "inf", nodeSelector={PRODUCT: product})["spec"]
    spec["containers"][0]["resources"] = {"limits": {GPU: "1"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": product.lower(), "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def test_a_pod_that_asks_for_a_gpu_waits_where_there_is_none(api, namespace):
    api.apply(gpu_deployment(namespace, "NVIDIA-L4", 1))
    waiting = api.until(
        f"/api/v1/namespaces/{namespace}/pods",
        lambda seen: [
            stated
            for one in seen["items"]
            for stated in one["status"].get("conditions", [])
            if stated["type"] == "PodScheduled"
        ],
    )
    assert [(one["status"], one["reason"]) for one in waiting] == [("False", "Unschedulable")]
