"""Tokens by which pods ask the API server: those of an account that was deleted are of no use.

A token is of the account that was there when its pod started, and another one of the same name does
not count; the kubelet gives a pod another token after the better part of an hour.
"""

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    SERVICE_ACCOUNT,
    Object,
    kind_of,
)

_ACCOUNT = f"{names.PREFIX}/account"
"""Annotation of pods: the account that was made after their Deployment."""


def with_account(client: Client, one: Object) -> Object:
    """Return a Deployment, whose pods are replaced if their account was made again since.

    Any other object comes back as it is.
    """
    if kind_of(one) != DEPLOYMENT:
        return one
    template = one["spec"]["template"]
    namespace, account = one["metadata"]["namespace"], template["spec"]["serviceAccountName"]
    there, found = client.get_like(one), client.get(SERVICE_ACCOUNT, namespace, account)
    if not there or not found or _made(found) <= _made(there):
        return one
    about = {**template["metadata"], "annotations": {_ACCOUNT: found["metadata"]["uid"]}}
    return {**one, "spec": {**one["spec"], "template": {**template, "metadata": about}}}


def _made(one: Object) -> str:
    """Return when an object was made, in UTC."""
    return str(one["metadata"].get("creationTimestamp") or "")
