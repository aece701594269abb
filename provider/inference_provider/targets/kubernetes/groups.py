"""Groups of pods, one an instance, as a LeaderWorkerSet makes them. Pure.

Each has a leader, which alone gets requests, and workers, which are made once it is there and end
once it is gone. One that loses a pod, or a container of one, is made again as a whole: the rest of
a model without that part answers nothing.

Source: github.com/kubernetes-sigs/lws, v0.9.0
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime

from inference_provider.targets.kubernetes.objects import Object, labels_of
from inference_provider.workspace.endings import Endings

_PREFIX = "leaderworkerset.sigs.k8s.io"
GROUP, WORKER = f"{_PREFIX}/group-index", f"{_PREFIX}/worker-index"
"""Labels of a pod: which group it is of, and which one of that; the leader is 0."""
SET, REVISION, KEY = (
    f"{_PREFIX}/{name}" for name in ("name", "template-revision-hash", "group-key")
)
LEADER = {WORKER: "0"}
"""Labels of leaders."""
_OF_A_LEADER = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle")


def group_spec(nodes: int, template: Object, rolling: Mapping[str, int]) -> Object:
    """Return the spec of a LeaderWorkerSet but for its count, with its defaults.

    Args:
        nodes: How many pods a group has.
        template: That of a leader.
        rolling: How groups are replaced within a generation.
    """
    return {
        "leaderWorkerTemplate": {
            "size": nodes,
            "restartPolicy": "RecreateGroupOnPodRestart",
            "leaderTemplate": template,
            "workerTemplate": _worker(template),
        },
        "rolloutStrategy": {
            "type": "RollingUpdate",
            "rollingUpdateConfiguration": {"partition": 0, **rolling},
        },
        "startupPolicy": "LeaderCreated",
        # else the Service that names the pods would be called as that of the generation
        "networkConfig": {"subdomainPolicy": "UniquePerReplica"},
    }


def group_policy_spec(chosen: Mapping[str, str]) -> Object:
    """Return the spec of a NetworkPolicy that lets pods of one generation reach each other."""
    own = {"podSelector": {"matchLabels": dict(chosen)}}
    return {**own, "policyTypes": ["Ingress"], "ingress": [{"from": [own]}]}


def is_leader(pod: Object) -> bool:
    """Whether a pod gets requests: the leader of a group, or an instance by itself."""
    return labels_of(pod).get(WORKER, "0") == "0"


def workers_of(leader: Object, pods: Iterable[Object]) -> list[Object]:
    """Return those of a leader among the pods of its generation."""
    group = labels_of(leader).get(GROUP)
    return [pod for pod in pods if not is_leader(pod) and labels_of(pod).get(GROUP) == group]


RECREATED = "RecreateGroup"
"""Reason of the event that tells that a group is made again, since a part of it ended."""
_KEPT_MINUTES = 60
"""How long an API server keeps events, if nobody has told it otherwise."""


def endings_in(events: Iterable[Object], leader: Object, since: str) -> Endings:
    """Return how often a group was made again since it was started, as events tell.

    Its pods are new each time, and count nothing themselves.

    Args:
        events: Those of that reason.
        leader: Its leader, which has its name again each time.
        since: Time before which another group had that name, in ISO 8601; empty for none.
    """
    minutes: dict[int, int] = {}
    begun = datetime.fromisoformat(since) if since else None
    for event in events:
        at = _time_of(event)
        if (event.get("related") or {}).get("name") != leader["metadata"]["name"] or not at:
            continue
        if begun is None or at >= begun:
            minute = int(at.timestamp() // 60)
            minutes[minute] = minutes.get(minute, 0) + 1
    return Endings(total=sum(minutes.values()), minutes=minutes, kept_minutes=_KEPT_MINUTES)


def _time_of(event: Object) -> datetime | None:
    told = event.get("eventTime") or event.get("lastTimestamp")
    told = told or (event.get("metadata") or {}).get("creationTimestamp")
    return datetime.fromisoformat(told) if told else None


def _worker(template: Object) -> Object:
    """Return the template of a worker: nobody asks it anything, and it ends after its leader."""
    found = deepcopy(template)
    for container in found["spec"]["containers"]:
        for name in _OF_A_LEADER:
            container.pop(name, None)
    return found
