"""What a namespace says of itself. Pure."""

from collections.abc import Mapping

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import Object, labels_of


def is_ours_alone(namespace: Object | None) -> bool:
    """Whether a namespace was made for its workspace, and goes with it."""
    labels: Mapping[str, str] = labels_of(namespace) if namespace else {}
    return labels.get("app.kubernetes.io/managed-by") == names.PREFIX


def is_ending(namespace: Object) -> bool:
    """Whether a namespace is being removed."""
    return (namespace.get("status") or {}).get("phase") == "Terminating"
