"""The name server of a cluster: CoreDNS, as a Deployment behind the Service that all pods ask."""

from typing import Any

from tests.cluster import supplies
from tests.cluster.api import Api
from tests.cluster.places import DNS_ADDRESS, DOMAIN

IMAGE = f"inference.test/coredns:{supplies.version('coredns')}"
_NAMESPACE, _LABELS = "kube-system", {"k8s-app": "kube-dns"}
_SERVICE = f"/api/v1/namespaces/{_NAMESPACE}/services/kube-dns"
_CONFIGURATION = f"""\
.:53 {{
    errors
    ready
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    forward . /etc/resolv.conf
    cache 5
}}
"""
_READS = [
    {
        "apiGroups": [""],
        "resources": ["endpoints", "services", "pods", "namespaces"],
        "verbs": ["list", "watch"],
    },
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    },
]


def install(api: Api) -> None:
    """Install it, and wait until pods can ask it."""
    api.apply(*_objects())
    api.until(
        f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/coredns",
        lambda seen: seen.get("status", {}).get("readyReplicas"),
    )


def _objects() -> list[dict[str, Any]]:
    meta = {"name": "coredns", "namespace": _NAMESPACE}
    rights = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": f"{rights}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "coredns"},
            "rules": _READS,
        },
        {
            "apiVersion": f"{rights}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "coredns"},
            "roleRef": {"apiGroup": rights, "kind": "ClusterRole", "name": "coredns"},
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"Corefile": _CONFIGURATION},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": _NAMESPACE, "labels": _LABELS},
            "spec": {
                "clusterIP": DNS_ADDRESS,
                "selector": _LABELS,
                "ports": [
                    {"name": name, "port": 53, "protocol": protocol}
                    for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
                ],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**meta, "labels": _LABELS},
            "spec": {
                "selector": {"matchLabels": _LABELS},
                "template": {"metadata": {"labels": _LABELS}, "spec": _pod()},
            },
        },
    ]


def _pod() -> dict[str, Any]:
    return {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
        "containers": [
            {
                "name": "coredns",
                "image": IMAGE,
                "imagePullPolicy": "Never",
                "args": ["/coredns", "-conf", "/configuration/Corefile"],
                "volumeMounts": [{"name": "configuration", "mountPath": "/configuration"}],
                "readinessProbe": {
                    "httpGet": {"path": "/ready", "port": 8181},
                    "periodSeconds": 1,
                },
            }
        ],
    }
