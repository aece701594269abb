"""A workspace -> the objects that it is before anything is deployed in it. Pure."""

from collections.abc import Mapping
from typing import Any

from inference_provider.spec.cluster import ClusterLimits, ClusterServiceAccount, ClusterSettings
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import (
    LIMITS,
    NAMESPACE,
    POLICY,
    QUOTA,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)

_AZURE = "azure.workload.identity/"
ACCOUNT, IDENTITY = "account", "identity"
"""Roles of service accounts: of those that a workspace declares, and of identities."""
_POD_SECURITY = "pod-security.kubernetes.io"


def namespace(workspace: str, name: str) -> Object:
    """Return the namespace of a workspace; pods of it may do nothing as root."""
    labels = {
        **names.labels(workspace, "workspace"),
        **{f"{_POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "audit", "warn")},
    }
    about = {"name": name, "labels": labels}
    return {"apiVersion": NAMESPACE.api, "kind": NAMESPACE.name, "metadata": about}


def policies(workspace: str, place: str, *, lists: bool = False) -> tuple[Object, ...]:
    """Return who may reach the instances, and whom those may reach that have no way out.

    The routers alone reach them, so that nobody goes round the keys. The others reach what keeps
    content, and no name server: a name that is asked for can carry data out.

    Args:
        workspace: Its name.
        place: Its namespace.
        lists: Whether it lists where they may go, by the routers as their forward proxy.
    """
    instances = names.selecting(workspace, names.INSTANCE)
    routers = names.selecting(workspace, names.ROUTER)
    spec = {
        "podSelector": {"matchLabels": instances},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": routers}}]}],
    }
    content = names.selecting(workspace, names.CONTENT)
    ports = [{"port": names.CONTENT_PORT, "protocol": "TCP"}]
    proxy = {
        "to": [{"podSelector": {"matchLabels": routers}}],
        "ports": [{"port": names.EGRESS_PORT, "protocol": "TCP"}],
    }
    closed = {
        "podSelector": {"matchLabels": {**instances, names.EGRESS: names.CLOSED}},
        "policyTypes": ["Egress"],
        "egress": [
            {"to": [{"podSelector": {"matchLabels": content}}], "ports": ports},
            *([proxy] if lists else []),
        ],
    }
    return (
        _object(POLICY, "inference-instances", place, workspace, spec),
        _object(POLICY, "inference-closed", place, workspace, closed),
    )


def bounds(workspace: str, place: str, asked: ClusterSettings) -> tuple[Object, ...]:
    """Return the quota of a namespace and the limits of its containers, as far as asked for."""
    found = []
    if asked.quota:
        spec = {"hard": dict(asked.quota)}
        found.append(_object(QUOTA, "inference-quota", place, workspace, spec))
    if asked.limits != ClusterLimits():
        given = {
            "default": asked.limits.default,
            "defaultRequest": asked.limits.default_request,
            "min": asked.limits.min,
            "max": asked.limits.max,
        }
        of_each = {"type": "Container", **{name: dict(a) for name, a in given.items() if a}}
        found.append(_object(LIMITS, "inference-limits", place, workspace, {"limits": [of_each]}))
    return tuple(found)


def service_accounts(
    workspace: str, place: str, accounts: Mapping[str, ClusterServiceAccount]
) -> tuple[Object, ...]:
    """Return those that deployments name; pods get no token of the cluster's own API of theirs."""
    labels = names.labels(workspace, ACCOUNT)
    return tuple(
        _account(name, place, labels, account.annotations) for name, account in accounts.items()
    )


def identity_account(
    workspace: str, place: str, identity: str, annotations: Mapping[str, str]
) -> Object:
    """Return the service account that an identity is."""
    labels = names.labels(workspace, IDENTITY)
    return _account(names.identity(identity), place, labels, annotations)


def _account(
    name: str, place: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> Object:
    return {
        "apiVersion": SERVICE_ACCOUNT.api,
        "kind": SERVICE_ACCOUNT.name,
        "metadata": {
            "name": name,
            "namespace": place,
            "labels": dict(labels),
            **({"annotations": dict(annotations)} if annotations else {}),
        },
        "automountServiceAccountToken": False,
    }


def identity(account: ClusterServiceAccount | None) -> dict[str, str]:
    """Return the labels of pods that are a cloud's identity by the annotations of their account."""
    is_azures = account and any(name.startswith(_AZURE) for name in account.annotations)
    return {f"{_AZURE}use": "true"} if is_azures else {}


def _object(kind: Kind, name: str, place: str, workspace: str, spec: Mapping[str, Any]) -> Object:
    about = {
        "name": name,
        "namespace": place,
        "labels": names.labels(workspace, "workspace"),
    }
    return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, "spec": dict(spec)}
