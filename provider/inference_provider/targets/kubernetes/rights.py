"""What this user may do in a cluster, asked of its API."""

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import ACCESS_REVIEW, Object

OF_GROUPS = ("get", "list", "create", "update", "patch", "delete", "watch")
"""Verbs on leaderworkersets that an instance on several nodes needs."""
OF_AMOUNTS = "metrics.k8s.io"
"""Group of the API that tells what pods use."""
BY_NAME = {"services/proxy": f"http:{names.CONTENT_NAME}:{names.CONTENT_PORT}"}
"""The only one of a resource that is needed."""


def may(client: Client, verb: str, group: str, resource: str, namespace: str) -> bool:
    """Say whether this user may; a resource may have a part: `pods/log`."""
    plural, _, part = resource.partition("/")
    about = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
    about |= {"subresource": part} if part else {}
    about |= {"name": BY_NAME[resource]} if resource in BY_NAME else {}
    review: Object = {"apiVersion": ACCESS_REVIEW.api, "kind": ACCESS_REVIEW.name}
    answer = client.review({**review, "spec": {"resourceAttributes": about}})
    return bool(answer["status"].get("allowed"))
