"""What pods use, told by the API: metrics-server, for tests that scale by it."""

from pathlib import Path
from typing import Any

import pytest

from tests.cluster import images, supplies
from tests.cluster.api import Api, condition
from tests.cluster.places import Places, ours
from tests.cluster_host import KUBECONFIG

IMAGE = f"inference.test/metrics-server:{supplies.version('metrics-server')}"
_NAME, _NAMESPACE = "metrics-server", "kube-system"
_META = {"name": _NAME, "namespace": _NAMESPACE}
_LABELS = {"k8s-app": _NAME}
_RIGHTS = "rbac.authorization.k8s.io"
_GROUP = "v1beta1.metrics.k8s.io"


def provide(api: Api) -> None:
    """Have the API say what pods use; skip the test where nobody does in a cluster of others."""
    if Path(KUBECONFIG) == ours().kubeconfig:
        install(ours(), api)
    elif not api.answers("/apis/metrics.k8s.io/v1beta1"):
        pytest.skip("the cluster has no metrics-server")


def install(at: Places, api: Api) -> None:
    """Install it, unless it is there, and wait until the API asks it."""
    if IMAGE not in images.names(at):
        images.load_program(at, IMAGE, at.programs / _NAME)
    api.apply(*_rights(), _deployment(), _service(), _registration())
    api.until(
        f"/apis/apiregistration.k8s.io/v1/apiservices/{_GROUP}",
        lambda seen: condition(seen, "Available"),
    )


def _rights() -> list[dict[str, Any]]:
    reads = [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]
    role = {"apiVersion": f"{_RIGHTS}/v1", "kind": "ClusterRole", "rules": reads}
    binding = {"apiVersion": f"{_RIGHTS}/v1", "subjects": [{"kind": "ServiceAccount", **_META}]}

    def may(kind: str, name: str) -> dict[str, Any]:
        return {"roleRef": {"apiGroup": _RIGHTS, "kind": kind, "name": name}}

    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _META},
        {**role, "metadata": {"name": _NAME}},
        {
            **binding,
            **may("ClusterRole", _NAME),
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _NAME},
        },
        {
            **binding,
            **may("ClusterRole", "system:auth-delegator"),
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{_NAME}-delegator"},
        },
        {
            **binding,
            **may("Role", "extension-apiserver-authentication-reader"),
            "kind": "RoleBinding",
            "metadata": _META,
        },
    ]


def _deployment() -> dict[str, Any]:
    container = {
        "name": _NAME,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "args": [
            f"/{_NAME}",
            "--cert-dir=/tmp",
            "--secure-port=10250",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-insecure-tls",
            "--kubelet-request-timeout=5s",
            "--metric-resolution=10s",
        ],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": 10250, "scheme": "HTTPS"},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
    }
    pod = {
        "serviceAccountName": _NAME,
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _META,
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _META,
        "spec": {"selector": _LABELS, "ports": [{"port": 443, "targetPort": 10250}]},
    }


def _registration() -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _GROUP},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "service": _META,
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
