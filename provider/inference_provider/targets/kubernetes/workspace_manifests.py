"""A workspace -> the objects that it is before anything is deployed in it. Pure."""

from collections.abc import Mapping
from typing import Any

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import NAMESPACE, POLICY, Kind, Object

_POD_SECURITY = "pod-security.kubernetes.io"


def namespace(workspace: str, name: str) -> Object:
    """Return the namespace of a workspace; pods of it may do nothing as root."""
    labels = {
        **names.labels(workspace, "workspace"),
        **{f"{_POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "audit", "warn")},
    }
    about = {"name": name, "labels": labels}
    return {"apiVersion": NAMESPACE.api, "kind": NAMESPACE.name, "metadata": about}


def policies(workspace: str, place: str) -> tuple[Object, ...]:
    """Return who may reach the instances: the routers alone, so that nobody goes round the keys."""
    instances = names.selecting(workspace, names.INSTANCE)
    routers = names.selecting(workspace, names.ROUTER)
    spec = {
        "podSelector": {"matchLabels": instances},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": routers}}]}],
    }
    return (_object(POLICY, "inference-instances", place, workspace, spec),)


def _object(kind: Kind, name: str, place: str, workspace: str, spec: Mapping[str, Any]) -> Object:
    about = {
        "name": name,
        "namespace": place,
        "labels": names.labels(workspace, "workspace"),
    }
    return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, "spec": dict(spec)}
