"""LeaderWorkerSet in the cluster, for tests of instances on several nodes: its controller.

What is applied are the files of its own release as its kustomization changes them, with a
certificate that is made here: what rotates its own would start the pod twice.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from tests.cluster import installs, supplies
from tests.cluster.api import Api, condition, path_of
from tests.cluster.places import Places, ours

_IMAGE = f"inference.test/lws:{supplies.version('lws')}"
_NAMESPACE, _PREFIX = "lws-system", "lws-"
_SERVED = "/apis/leaderworkerset.x-k8s.io/v1"
_CERTS, _CERTS_AT = "webhook-server-cert", "/tmp/k8s-webhook-server/serving-certs"
_CONFIG = "controller_manager_config.yaml"
_FILES = ("crd/bases", "manager", "rbac", "webhook")
_KEPT = ("CustomResourceDefinition", "Namespace")
"""Kinds whose names stay as they are written."""


@contextmanager
def installed(api: Api) -> Iterator[None]:
    """Have the cluster serve LeaderWorkerSets, and not any more; skip the test where it cannot."""
    if not installs.is_to_be_installed(api, "lws", _SERVED):
        yield
        return
    with _in_ours(ours(), api):
        yield


@contextmanager
def _in_ours(at: Places, api: Api) -> Iterator[None]:
    installs.load_missing(at, "lws", _IMAGE)
    objects = sorted(_objects(at), key=lambda one: one["kind"] != "Namespace")
    # a webhook that does not answer yet refuses what the controller notes about its own objects
    hooks = [one for one in objects if one["kind"].endswith("WebhookConfiguration")]
    others = [one for one in objects if one not in hooks]
    try:
        api.apply(*others)
        api.until(
            f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/{_PREFIX}controller-manager",
            lambda seen: condition(seen, "Available"),
            limit_s=120,
        )
        api.apply(*hooks)
        yield
    finally:
        api.delete(*map(path_of, hooks))
        kinds = [one for one in others if one["kind"] == "CustomResourceDefinition"]
        api.delete(*map(path_of, kinds))
        for one in kinds:
            api.until_gone(path_of(one))
        api.delete(*(path_of(one) for one in reversed(others)))


def _objects(at: Places) -> Iterator[dict[str, Any]]:
    host = f"{_PREFIX}webhook-service.{_NAMESPACE}.svc"
    certificate, key = installs.certificate("lws", host)
    for folder in _FILES:
        for file in sorted((at.source("lws") / "config" / folder).glob("*.yaml")):
            for one in yaml.safe_load_all(file.read_text()):
                if isinstance(one, dict) and "metadata" in one:  # no Kustomization, no patch
                    yield _changed(one, certificate)
    yield _of_ours("Secret", _CERTS, stringData={"tls.crt": certificate, "tls.key": key})
    settings = {
        "apiVersion": "config.lws.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
    }
    yield _of_ours("ConfigMap", "manager-config", data={_CONFIG: json.dumps(settings)})


def _of_ours(kind: str, name: str, **content: Any) -> dict[str, Any]:
    about = {"name": name, "namespace": _NAMESPACE}
    return {"apiVersion": "v1", "kind": kind, "metadata": about, **content}


def _changed(one: dict[str, Any], certificate: str) -> dict[str, Any]:
    """Return an object as kustomize would, with the certificate that its webhooks are known by."""
    if one["kind"] not in _KEPT:
        _prefix(one["metadata"])
    if one["kind"] == "Namespace":
        one["metadata"]["name"] = _NAMESPACE
    if one["kind"] in ("Role", "RoleBinding"):
        one["metadata"]["namespace"] = _NAMESPACE
    for about in (one["metadata"], *one.get("subjects", ())):
        if about.get("namespace") == "system":
            about["namespace"] = _NAMESPACE
    for named in (*one.get("subjects", ()), *filter(None, [one.get("roleRef")])):
        _prefix(named)
    for hook in one.get("webhooks", ()):
        _prefix(hook["clientConfig"]["service"])
        hook["clientConfig"]["service"]["namespace"] = _NAMESPACE
        hook["clientConfig"]["caBundle"] = base64.b64encode(certificate.encode()).decode()
        if hook["rules"][0]["resources"] == ["pods"]:  # else no pod could be made while it starts
            of_groups = {"key": "leaderworkerset.sigs.k8s.io/name", "operator": "Exists"}
            hook["objectSelector"] = {"matchExpressions": [of_groups]}
    if one["kind"] == "Deployment":
        _change_pod(one)
    return one


def _prefix(named: dict[str, Any]) -> None:
    named["name"] = f"{_PREFIX}{named['name']}"


def _change_pod(one: dict[str, Any]) -> None:
    one["spec"]["replicas"] = 1
    pod = one["spec"]["template"]["spec"]
    pod["serviceAccountName"] = f"{_PREFIX}{pod['serviceAccountName']}"
    pod["securityContext"]["runAsUser"] = 1000  # the image names none
    pod["volumes"] = [
        {"name": "cert", "secret": {"secretName": _CERTS}},
        {"name": "config", "configMap": {"name": "manager-config"}},
    ]
    [container] = pod["containers"]
    container |= {
        "image": _IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/lws"],
        "args": [f"--config=/config/{_CONFIG}", "--zap-log-level=2"],
        "resources": {},
        "ports": [{"name": "webhook-server", "containerPort": 9443, "protocol": "TCP"}],
        "volumeMounts": [
            {"name": "cert", "mountPath": _CERTS_AT, "readOnly": True},
            {"name": "config", "mountPath": "/config", "readOnly": True},
        ],
    }
    del container["livenessProbe"]
    container["readinessProbe"] = {
        "tcpSocket": {"port": 9443},
        "periodSeconds": 1,
        "failureThreshold": 120,
    }
