"""What a namespace says of itself, and the end of one that was made for its workspace."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import is_ours
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    CLAIM,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    STATEFUL_SET,
    Kind,
    Object,
    kind_of,
    labels_of,
    name_of,
)
from inference_provider.targets.kubernetes.refusals import Forbidden, NotThere
from inference_provider.workspace.ports import Tell

_HOLDING = (DEPLOYMENT, STATEFUL_SET, CLAIM)
"""Kinds of what runs pods, and of what has data."""
_SHOWN = 3


def is_ours_alone(namespace: Object | None) -> bool:
    """Whether a namespace was made for its workspace, and goes with it."""
    labels: Mapping[str, str] = labels_of(namespace) if namespace else {}
    return labels.get("app.kubernetes.io/managed-by") == names.PREFIX


def is_ending(namespace: Object) -> bool:
    """Whether a namespace is being removed."""
    return (namespace.get("status") or {}).get("phase") == "Terminating"


def remove_made(client: Client, namespace: str, tell: Tell) -> None:
    """Delete the namespace of a workspace that is gone, unless somebody else has something in it.

    Args:
        client: The cluster's API.
        namespace: One that was made for the workspace.
        tell: Told what it stays for.
    """
    found = [
        *(one for kind in _HOLDING for one in _of_others(client, kind, namespace) if _is_free(one))
    ]
    # a pod of what has another kind, or a kind that this user may not list
    found = found or [*_of_others(client, POD, namespace)]
    if not found:
        client.delete(NAMESPACE, "", namespace)
        return
    # it is no workspace any more; that it was made for one stays said, so that the next can have it
    with suppress(Forbidden):  # only who may also patch namespaces
        client.merge(NAMESPACE, "", namespace, {"metadata": {"labels": {names.WORKSPACE: None}}})
    told = [f"{kind_of(one).name} {name_of(one)}" for one in found[:_SHOWN]]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    tell(
        f"its namespace '{namespace}' stays: others have {', '.join(told)}{more} in it;"
        f" once they are gone, `kubectl delete namespace {namespace}` removes it"
    )


def _of_others(client: Client, kind: Kind, namespace: str) -> Iterator[Object]:
    """Yield what somebody else has there of a kind; who may not list it is told nothing of it."""
    with suppress(Forbidden, NotThere):
        for one in client.items(kind, namespace):
            ends = one["metadata"].get("deletionTimestamp")
            if not (ends or is_ours(one) or names.WORKSPACE in labels_of(one)):
                yield one


def _is_free(one: Object) -> bool:
    """Whether an object belongs to no other, with which it comes and goes."""
    return not one["metadata"].get("ownerReferences")
