"""What a pod that gives tokens reaches and may do, and who reaches it."""

import json
import os
import socket
from pathlib import Path

import pytest
import yaml

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import ROLE, name_of
from inference_provider.targets.kubernetes.pods import address_of, hardened_container, hardened_pod
from tests import cluster_host
from tests.cluster.api import Api
from tests.cluster.test_web import PORT
from tests.cluster.test_web_kept import Bare
from tests.conformance.labs import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]
LOOK = """
import json, os, socket, ssl, time, urllib.error, urllib.request
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
GIVEN = json.loads(os.environ["GIVEN"])
def reached(host, port):
    try:
        socket.create_connection((host, port), timeout=3).close()
        return "reached"
    except OSError:
        return "shut"
def asked(method, path, body):
    if path.startswith("http:"):
        data = None if body is None else json.dumps(body).encode()
        return status_of(urllib.request.Request(path, data, method=method))
    token = open(f"{FOLDER}/token").read()
    kind = "merge-patch+json" if method == "PATCH" else "json"
    headers = {"authorization": f"Bearer {token}", "content-type": f"application/{kind}"}
    data = None if body is None else json.dumps(body).encode()
    url = "https://kubernetes.default.svc" + path
    request = urllib.request.Request(url, data, headers, method=method)
    return status_of(request, context=ssl.create_default_context(cafile=f"{FOLDER}/ca.crt"))
def status_of(request, **more):
    try:
        return urllib.request.urlopen(request, timeout=10, **more).status
    except urllib.error.HTTPError as refused:
        return refused.code
places = {f"{host}:{port}": reached(host, port) for host, port in GIVEN["places"]}
rights = {f"{method} {path}": asked(method, path, body) for method, path, body in GIVEN["asked"]}
print("found", json.dumps([places, rights]), flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounds")
    lab = Bare(Bare.open(folder), folder, f"bounds{os.getpid()}")
    try:
        lab.up(egress="disabled", cluster={"network_policies": "enforced"})
        yield lab
    finally:
        lab.close()
        lab.platform.close()


def seen_by(api: Api, lab: Bare, namespace: str, *, places=(), asked=(), **more):
    """Run a pod; return which places it reached, and how the API, or a URL, answered it."""
    name, given = "looks", json.dumps({"places": places, "asked": asked})
    about = {"name": name, "namespace": namespace, "labels": more.pop("labels", {})}
    container = {
        "name": "looks",
        "image": lab.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", LOOK],
        "env": [{"name": "GIVEN", "value": given}],
        "readinessProbe": {"exec": {"command": ["false"]}},  # no Service sends it anybody
        "securityContext": hardened_container(),
    }
    about_all = {"securityContext": hardened_pod(), "terminationGracePeriodSeconds": 0}
    spec = {"containers": [container], **about_all, **more}
    api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec})
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    try:
        api.until(path, lambda seen: seen["status"]["phase"] == "Running")
        wait_until(lambda: "found " in api.text(f"{path}/log"), 60)
        found = json.loads(api.text(f"{path}/log").partition("found ")[2])
    finally:
        api.delete(path)
        api.until_gone(path)
    return found


def test_in_a_closed_workspace_it_reaches_what_it_needs_and_may_no_more_than_its_role(served, api):
    core = f"/api/v1/namespaces/{served.workspace}"
    pod = {
        "metadata": {"name": "x"},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": served.workspace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    api.apply(deny)
    record = api.get(f"{core}/secrets/inference.revision")["metadata"]["name"]
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{served.workspace}"
    places, found = seen_by(
        api,
        served,
        served.workspace,
        labels=names.labels(served.workspace, names.WEB),
        serviceAccountName=names.WEB_NAME,
        automountServiceAccountToken=True,
        places=[
            ("kubernetes.default.svc", 443),
            (names.ROUTER_NAME, 8080),
        ],
        asked=[
            ("GET", f"{core}/secrets", None),
            ("PATCH", f"{core}/secrets/{names.WEB_NAME}", {"metadata": {"labels": {"a": "b"}}}),
            ("PATCH", f"{core}/secrets/{record}", {"metadata": {"labels": {"a": "b"}}}),
            ("POST", f"{core}/secrets", {"metadata": {"name": "x"}}),
            ("DELETE", f"{core}/secrets/{names.WEB_NAME}", None),
            ("GET", "/api/v1/namespaces/kube-system/secrets", None),
            ("GET", "/api/v1/nodes", None),
            ("POST", f"{core}/pods", pod),
            ("GET", f"{core}/pods", None),
            ("POST", f"{core}/pods/x/exec?command=id", None),
            ("GET", f"{core}/services/http:inference-content:8080/proxy/", None),
            ("POST", f"{core}/serviceaccounts/{names.ROUTER_NAME}/token", {}),
            ("PATCH", f"{rights}/roles/{names.WEB_NAME}", {"rules": []}),
        ],
    )
    assert [*places.values()] == ["reached", "reached"]
    assert [*found.values()] == [200, 200, *[403] * 11]
    assert served.comes(served.of_workspace())  # whatever others deny: what policies allow adds up
    api.delete(f"/apis/networking.k8s.io/v1/namespaces/{served.workspace}/networkpolicies/deny")


def rules_of(api: Api, lab: Bare, kubeconfig: Path) -> set[tuple[str, str, str, str]]:
    """Return what the token of its account may do, as the API server says it."""
    path = f"/api/v1/namespaces/{lab.workspace}/serviceaccounts/{names.WEB_NAME}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.create(path, request)["status"]["token"]
    config = yaml.safe_load(Path(cluster_host.KUBECONFIG).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    kubeconfig.write_text(yaml.safe_dump(config))
    group, kind = "/apis/authorization.k8s.io/v1", "SelfSubjectRulesReview"
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind}
    asked = {**review, "spec": {"namespace": lab.workspace}}
    with Api(kubeconfig) as theirs:
        answer = theirs.create(f"{group}/selfsubjectrulesreviews", asked)
    return each(answer["status"]["resourceRules"])


def each(rules) -> set[tuple[str, str, str, str]]:
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("console", [False, True])
def test_the_token_of_its_account_may_what_its_role_says_and_ask_who_it_is(
    served, api, console, tmp_path
):
    served.apply(served.served(service={"port": PORT, "console": console}))
    role = served.platform.client.get(ROLE, served.workspace, names.WEB_NAME)
    asks = {
        ("authorization.k8s.io", "selfsubjectaccessreviews", "", "create"),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "", "create"),
        ("authentication.k8s.io", "selfsubjectreviews", "", "create"),
    }
    assert rules_of(api, served, tmp_path / "kubeconfig") == each(role["rules"]) | asks


def test_a_pod_of_another_namespace_reaches_its_one_port(served, api, namespace):
    [pod] = [one for one in served.all_pods if name_of(one) in served.pods][:1]
    places, _ = seen_by(
        api,
        served,
        namespace,
        places=[
            (f"{names.WEB_NAME}.{served.workspace}.svc", PORT),
            (address_of(pod), names.WEB_PORT),
            (address_of(pod), names.PROBES_PORT),
        ],
    )
    assert [*places.values()] == ["reached", "reached", "shut"]


ASK = b"POST /endpoints/iris/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
HOSTILE = {
    "no token": (ASK + b"\r\n", 401),
    "two tokens": (ASK + b"Authorization: Bearer a\r\n" * 2 + b"\r\n", 401),
    "a long token": (ASK + b"Authorization: Bearer " + b"a" * 30_000 + b"\r\n\r\n", 401),
    "long headers": (ASK + b"X: " + b"a" * 90_000 + b"\r\n\r\n", 431),
    "a long body": (ASK + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000, 413),
    "a length beside chunks": (
        ASK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "an encoded slash": (ASK.replace(b"iris/", b"iris%2F") + b"\r\n", 400),
    "a way up": (ASK.replace(b"/endpoints/", b"/endpoints/../endpoints/") + b"\r\n", 404),
    "another method": (ASK.replace(b"POST", b"PUT") + b"\r\n", 405),
    "no path": (ASK.replace(b"/endpoints/iris/token", b"*") + b"\r\n", 404),
    "no HTTP": (b"\x16\x03\x01\x00\x00\r\n\r\n", 400),
    "an old version": (b"POST /endpoints/iris/token HTTP/2.0\r\nHost: a\r\n\r\n", 505),
}


def test_hostile_requests_to_its_service_are_refused_and_others_answered(served):
    served.apply(served.served(service={"port": PORT}))
    wait_until(lambda: len(served.all_pods) == 1, 60)
    found = {what: answered(served, sent) for what, (sent, _) in HOSTILE.items()}
    assert found == {what: status for what, (_, status) in HOSTILE.items()}
    [pod] = served.all_pods
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    last = served.request(served.of_workspace())
    assert (last.status_code, last.text) == (200, last.text)


def answered(lab: Bare, sent: bytes) -> int:
    with socket.create_connection(lab.place, 10) as opened:
        opened.sendall(sent)
        said = opened.recv(4096).split(b" ", 2)
    return int(said[1]) if len(said) > 1 else 0
