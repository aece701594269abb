"""Is a cluster fit for workspaces, and may this user make one? One answer a question.

Goes in: a client and where a workspace would be. Comes out: what was found, and what to do about
it. Whether NetworkPolicies are enforced can only be tried: with two pods, which are removed.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from inference_provider.errors import Fault, TargetError
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    LEADER_WORKER_SET,
    NAMESPACE,
    POD,
    POD_METRICS,
    POLICY,
    STORAGE_CLASS,
    Object,
    annotations_of,
    name_of,
)
from inference_provider.targets.kubernetes.pods import (
    address_of,
    hardened_container,
    hardened_pod,
    is_ready,
    trouble_of,
)
from inference_provider.targets.kubernetes.rights import OF_AMOUNTS, OF_GROUPS, may

LEAST = (1, 30)
"""Oldest Kubernetes that has what pods here use: `preStop.sleep`."""
TRY_S = 30.0
"""Longest time that the trial of NetworkPolicies takes."""
_POLL_S = 0.3
_ALL = OF_GROUPS[:-1]
NEEDED: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "secrets"): (*_ALL, "watch", "deletecollection"),
    ("", "configmaps"): ("list", "create", "patch", "delete", "deletecollection"),
    ("", "namespaces"): ("get",),
    ("coordination.k8s.io", "leases"): _ALL,
    ("apps", "deployments"): (*_ALL, "watch"),
    ("leaderworkerset.x-k8s.io", "leaderworkersets"): OF_GROUPS,
    ("", "services"): (*_ALL, "watch"),
    ("", "serviceaccounts"): (*_ALL, "deletecollection"),
    ("", "persistentvolumeclaims"): (*_ALL, "deletecollection"),
    ("policy", "poddisruptionbudgets"): _ALL,
    ("autoscaling", "horizontalpodautoscalers"): _ALL,
    ("keda.sh", "scaledobjects"): _ALL,
    ("networking.k8s.io", "networkpolicies"): _ALL,
    ("networking.k8s.io", "ingresses"): _ALL,
    ("gateway.networking.k8s.io", "httproutes"): _ALL,
    ("resource.k8s.io", "resourceclaimtemplates"): _ALL,
    ("rbac.authorization.k8s.io", "roles"): _ALL,
    ("rbac.authorization.k8s.io", "rolebindings"): _ALL,
    ("discovery.k8s.io", "endpointslices"): ("list", "watch"),
    ("", "pods"): ("list", "watch"),
    ("", "pods/log"): ("get",),
    ("", "pods/proxy"): ("get", "create"),
    ("", "services/proxy"): ("get", "update", "delete"),
}
"""What `up` does in the namespace of a workspace, by API group and resource: the rules of
docs/deployer-role.yaml but the two that follow."""
HAPPENED = "", "events"
"""What `inferctl events` lists there, and a pod that sends logs; nothing else needs it."""
MEASURED = OF_AMOUNTS, "pods"
"""What `inferctl metrics` lists there; nothing else needs it, and who lacks it still deploys."""
_OPEN, _SHUT = 8081, 8080
_SERVER = f"""
import http.server, threading
serve = lambda port: http.server.HTTPServer(("", port), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=serve({_OPEN}).serve_forever, daemon=True).start()
serve({_SHUT}).serve_forever()
"""
_ASKER = f"""
import socket, sys, time
def reached(port):
    try:
        socket.create_connection((sys.argv[1], port), timeout=1).close()
        return True
    except OSError:
        return False
until = time.monotonic() + 10
while not reached({_OPEN}) and time.monotonic() < until:
    time.sleep(0.2)
until = time.monotonic() + 6
while reached({_SHUT}) and time.monotonic() < until:
    time.sleep(0.2)
print(reached({_OPEN}), reached({_SHUT}), flush=True)
"""


class Answer(NamedTuple):
    """What was found."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


class Pulls(NamedTuple):
    """The Secrets by which a workspace's pods pull images."""

    names: Sequence[str] = ()
    faults: Callable[[], Iterable[Fault]] = lambda: ()
    """Says which of them are of no use."""


_NO_PULLS = Pulls()


def answers(
    client: Client, namespace: str, image: str, *, may_make: bool, pulls: Pulls = _NO_PULLS
) -> Iterator[Answer]:
    """Yield the answers, until one says that the rest cannot be asked.

    Args:
        client: The cluster.
        namespace: Where a workspace would be.
        image: With python3, for the trial of NetworkPolicies; empty for none.
        may_make: Whether the namespace is the workspace's own, so that `up` makes it.
        pulls: Secrets that the trial's pods pull their image by. They lie in that namespace, so
            what is tried with them is tried there.
    """
    reached = _version(client)
    yield reached
    if not reached.ok:
        return
    yield _rights(client, namespace, may_make=may_make)
    yield _score(client, namespace)
    yield _metrics(client, namespace)
    yield _several_nodes(client)
    yield _storage(client)
    place = "" if may_make and not pulls.names else namespace
    yield _policies(client, place, image, pulls)


def _version(client: Client) -> Answer:
    try:
        said = str(client.raw("/version")["gitVersion"])
    except TargetError as fault:
        return Answer("cluster", False, fault.reason, fault.remedy)
    found = re.match(r"v?(\d+)\.(\d+)", said)
    new = found is not None and (int(found[1]), int(found[2])) >= LEAST
    least = ".".join(map(str, LEAST))
    return Answer("cluster", new, f"{client} runs Kubernetes {said}", f"use {least} or newer")


def _rights(client: Client, namespace: str, *, may_make: bool) -> Answer:
    asked = [
        (verb, group, resource, namespace)
        for (group, resource), verbs in NEEDED.items()
        for verb in verbs
    ]
    if may_make:
        asked.remove(("get", "", "namespaces", namespace))  # of all of them, below
        asked += [(verb, "", "namespaces", "") for verb in ("get", "list", "create", "delete")]
    try:
        missing = [
            f"{verb} {resource}{f'.{group}' if group else ''}"
            for verb, group, resource, place in asked
            if not may(client, verb, group, resource, place)
        ]
    except TargetError as fault:
        return Answer("rights", False, f"not known: {fault.reason}", fault.remedy)
    if missing:
        found = f"you may not {', '.join(missing)}"
        return Answer("rights", False, found, "ask for a role that allows it")
    return Answer("rights", True, f"you may do all that `up` does in namespace '{namespace}'")


def _score(client: Client, namespace: str) -> Answer:
    """Look whether routers are reached from outside; inside the cluster that needs no right."""
    try:
        reached = may(client, "create", "", "pods/portforward", namespace)
    except TargetError:
        reached = False
    if reached:
        return Answer("score", True, "`inferctl score` reaches routers")
    found = "`inferctl score` works in pods alone: you may not create pods/portforward"
    return Answer("score", True, found)


def _metrics(client: Client, namespace: str) -> Answer:
    """Look for the metrics API, and whether this user may list of it; either may be missing."""
    try:
        client.raw(f"/apis/{POD_METRICS.api}")
        allowed = may(client, "list", *MEASURED, namespace)
    except TargetError:
        return Answer("metrics", True, "the metrics API is not served: `kubectl top` has nothing")
    if not allowed:
        found = f"`inferctl metrics` measures no instance: you may not list {POD_METRICS.resource}"
        return Answer("metrics", True, found)
    return Answer("metrics", True, "the metrics API is served")


def _several_nodes(client: Client) -> Answer:
    """Look for what spreads an instance over nodes; it may be missing."""
    try:
        client.raw(f"/apis/{LEADER_WORKER_SET.api}")
    except TargetError:
        found = "LeaderWorkerSet is not served: an instance is on one node"
        return Answer("several nodes", True, found)
    return Answer("several nodes", True, "LeaderWorkerSet is served: `nodes_per_instance` works")


def _storage(client: Client) -> Answer:
    """Look for a default storage class; it may be missing."""
    try:
        there = client.items(STORAGE_CLASS)
    except TargetError as fault:
        return Answer("storage", True, f"not known: {fault.reason}")
    mark = "storageclass.kubernetes.io/is-default-class"
    found = [name_of(one) for one in there if annotations_of(one).get(mark) == "true"]
    if found:
        return Answer("storage", True, f"the default storage class is '{found[0]}'")
    others = ", ".join(f"'{name_of(one)}'" for one in there) or "none"
    return Answer("storage", True, f"no default storage class; there are: {others}")


# -- are NetworkPolicies enforced ------------------------------------------------------------------


def _policies(client: Client, namespace: str, image: str, pulls: Pulls) -> Answer:
    told = "network policies"
    if not image:
        return Answer(told, True, "not tried: the stack names no runtime_image")
    try:
        if fault := next(iter(pulls.faults()), None):
            return Answer(told, False, f"could not be tried: {fault.reason}", fault.remedy)
        with _trial(client, namespace) as (place, trial):
            said = _tried(client, place, trial, partial(_pod, image, pulls.names))
    except TargetError as fault:
        return Answer(told, False, f"could not be tried: {fault.reason}", fault.remedy)
    if said == "True False":
        return Answer(told, True, "enforced; a workspace may say `network_policies: enforced`")
    if said == "True True":
        remedy = "install a network plugin that enforces them, or do without closed egress"
        found = "not enforced: any pod reaches instances without a key"
        return Answer(told, False, found, remedy)
    return Answer(told, False, f"could not be tried: {said}", "look at the cluster's network")


@contextmanager
def _trial(client: Client, namespace: str) -> Iterator[tuple[str, str]]:
    """Yield a namespace and a name for what is tried there, which is removed afterwards."""
    trial = f"inference-doctor-{secrets.token_hex(3)}"
    try:
        if not namespace:
            about = {"name": trial, "labels": {"app": trial}}
            client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": about})
        yield namespace or trial, trial
    finally:
        with suppress(TargetError):
            if not namespace:
                client.delete(NAMESPACE, "", trial)
            else:
                for kind, end in ((POD, "-server"), (POD, "-asker"), (POLICY, "")):
                    client.delete(kind, namespace, trial + end)


def _tried(client: Client, place: str, trial: str, pod: Callable[..., Object]) -> str:
    """Return what a pod reached of another: the port that a policy leaves open, and the other.

    Args:
        client: The cluster.
        place: In which namespace.
        trial: Its name.
        pod: Returns one for a place, a name, a script and its words.
    """
    until_s = time.monotonic() + TRY_S
    ports = [{"port": _OPEN, "protocol": "TCP"}]
    chosen = {"podSelector": {"matchLabels": {"app": f"{trial}-server"}}}
    about = {"name": trial, "namespace": place}
    spec = {**chosen, "policyTypes": ["Ingress"], "ingress": [{"ports": ports}]}
    client.create(
        {"apiVersion": POLICY.api, "kind": "NetworkPolicy", "metadata": about, "spec": spec}
    )
    server = f"{trial}-server"
    client.create(pod(place, server, _SERVER))
    while True:
        there = client.get(POD, place, server)
        if there is not None and is_ready(there):
            break
        if (said := _overdue(there, until_s)) is not None:
            return said
        time.sleep(_POLL_S)
    client.create(pod(place, f"{trial}-asker", _ASKER, address_of(there)))
    while True:
        asker = client.get(POD, place, f"{trial}-asker")
        if asker is not None and asker["status"].get("phase") in ("Succeeded", "Failed"):
            return " ".join(client.logs(place, f"{trial}-asker", tailLines="1"))
        if (said := _overdue(asker, until_s)) is not None:
            return said
        time.sleep(_POLL_S)


def _overdue(pod: Object | None, until_s: float) -> str | None:
    """Say why a pod has not done its part in time; None while there is time."""
    if time.monotonic() < until_s:
        return None
    trouble = trouble_of(pod) if pod else None
    return trouble.reason if trouble else f"no pod of the trial was ready in {TRY_S:.0f} s"


def _pod(
    image: str, pulls: Sequence[str], place: str, name: str, script: str, *words: str
) -> Object:
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", script, *words],
        "workingDir": "/tmp",
        "securityContext": hardened_container(),
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": hardened_pod(),
        "containers": [container],
        **({"imagePullSecrets": [{"name": one} for one in pulls]} if pulls else {}),
    }
    about = {"name": name, "namespace": place, "labels": {"app": name}}
    return {"apiVersion": POD.api, "kind": POD.name, "metadata": about, "spec": spec}
