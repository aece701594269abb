"""The class of an Ingress that names none: a cluster gives its default only when one is made."""

import time
from collections.abc import Callable

from inference_provider.targets.kubernetes.applied import delete_ours, is_ours
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.connection import MANAGER
from inference_provider.targets.kubernetes.objects import Object, name_of

_GONE_S, _POLL_S = 30.0, 0.3
"""Longest wait for a controller that takes back what it made for an Ingress."""


def make_way_for_default(client: Client, asked: Object, tell: Callable[[str], None]) -> None:
    """Delete an Ingress that has a class which is not asked for, so that it is made again.

    Without that class an update would leave it with none, and no controller would serve it.
    """
    if asked["spec"].get("ingressClassName"):
        return
    there = client.get_like(asked)
    if there is None or not is_ours(there) or not (_is_set(there) or _goes(there)):
        return
    tell(f"Ingress {name_of(asked)}: made again, for the cluster's default class")
    delete_ours(client, asked)
    until_s = time.monotonic() + _GONE_S
    while client.get_like(asked) is not None and time.monotonic() < until_s:
        time.sleep(_POLL_S)


def _is_set(ingress: Object) -> bool:
    """Whether somebody has set its class; a default is nobody's."""
    entries = ingress["metadata"].get("managedFields") or ()
    return any(
        "f:ingressClassName" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in entries
        if entry["manager"] != MANAGER or entry.get("operation") == "Apply"
    )


def _goes(ingress: Object) -> bool:
    return bool(ingress["metadata"].get("deletionTimestamp"))
