"""Nodes that are gone or silent while the API still says that pods run there.

Kubernetes finds out after 40 s that a node is silent, ends its pods after five minutes, and those
of a node that was deleted after about 40 s. Until then a pod is what its node said last.
"""

from collections.abc import Iterable, Mapping

from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.fresh import Fresh
from inference_provider.targets.kubernetes.objects import NODE, Object
from inference_provider.targets.kubernetes.pods import condition, is_ending, is_ready, trouble_of
from inference_provider.targets.kubernetes.refusals import Forbidden, Refused

FRESH_S = 10.0
"""How long names of nodes that were read count as all there are, seconds."""
_ASKED = 5
"""Nodes that are asked about at most, of pods that are not ready."""


class LostNodes:
    """The nodes of one cluster; of none anything is known where this user may not see them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known = Fresh(self._names)
        self._may_see = True

    def of(self, pods: Iterable[Object]) -> Mapping[str, str]:
        """Return what is wrong with nodes of pods, by their name; of most nodes nothing is."""
        there = [(node_of(pod), pod) for pod in pods if node_of(pod) and not is_ending(pod)]
        known = self._known.within(FRESH_S) if there else None
        if known is None:
            return {}
        gone = {node: f"its node {node} is gone" for node, _ in there if node not in known}
        waiting = sorted({node for node, pod in there if node in known and not is_ready(pod)})
        return gone | {node: said for node in waiting[:_ASKED] if (said := self._silence(node))}

    def _names(self) -> frozenset[str] | None:
        try:
            return self._client.names(NODE) if self._may_see else None
        except (Forbidden, Refused):
            self._may_see = False
            return None

    def _silence(self, name: str) -> str:
        """Say that a node does not answer, or is not ready; empty for neither."""
        node = self._client.get(NODE, "", name)
        if node is None:
            return f"its node {name} is gone"
        said = condition(node, "Ready")
        if said.get("status", "True") == "True":
            return ""
        since = f" since {said['lastTransitionTime']}" if said.get("lastTransitionTime") else ""
        if said["status"] == "Unknown":
            return f"its node {name} does not answer{since}"
        return f"its node {name} is not ready{since}: {said.get('message') or said.get('reason')}"


def node_of(pod: Object) -> str:
    """Return the name of the node that a pod is on; empty where it has none yet."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def why_not_ready(pod: Object, lost: Mapping[str, str]) -> str:
    """Say why a pod is not ready, on a node that may be lost; empty where it just starts."""
    trouble = trouble_of(pod)
    return lost.get(node_of(pod)) or (trouble.reason if trouble else "")
