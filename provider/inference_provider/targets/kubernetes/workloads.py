"""The object that holds the count of a generation and makes its pods. Pure.

Where its spec and its status say what, is known here and nowhere else. What scales it, waits for
it or looks at it asks here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    LEADER_WORKER_SET,
    Kind,
    Object,
    kind_of,
)

COUNT = "replicas"
"""Field of the spec with the count, which an autoscaler decides where we do not apply it."""


class Workload(NamedTuple):
    """One kind of it."""

    kind: Kind
    template: tuple[str, ...]
    """Where the template of the pods is that answer."""
    ready: str
    """Field of the status with the count of those that are ready."""


WORKLOADS = (
    Workload(DEPLOYMENT, ("spec", "template"), "availableReplicas"),
    Workload(
        LEADER_WORKER_SET, ("spec", "leaderWorkerTemplate", "leaderTemplate"), "readyReplicas"
    ),
)
KINDS = tuple(one.kind for one in WORKLOADS)
_BY_NAME = {one.kind.name: one for one in WORKLOADS}


def kind_for(nodes: int) -> Kind:
    """Return the kind that makes instances on so many nodes each."""
    return LEADER_WORKER_SET if nodes > 1 else DEPLOYMENT


def nodes_of(labels: Mapping[str, str]) -> int:
    """Return on how many nodes each instance of a generation is, by the labels of its objects."""
    found = labels.get(names.NODES, "")
    return int(found) if found.isdecimal() else 1


def is_workload(kind_name: str) -> bool:
    """Whether a kind is one of these, by its name."""
    return kind_name in _BY_NAME


def workload_in(there: Mapping[tuple[Kind, str], Object], name: str) -> Object | None:
    """Return the one of a generation; None where there is none."""
    return next((one for kind in KINDS if (one := there.get((kind, name)))), None)


def replicas(workload: Object | None) -> int:
    """Return how many instances it asks for; 0 of none."""
    return int(workload["spec"].get(COUNT, 1)) if workload is not None else 0


def template_of(workload: Object) -> Object:
    """Return the template of its pods that answer."""
    found = workload
    for part in _BY_NAME[workload["kind"]].template:
        found = found[part]
    return found


def counted(kind: Kind, namespace: str, name: str, count: int) -> Object:
    """Return what sets a count, and nothing else."""
    about = {"name": name, "namespace": namespace}
    return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, "spec": {COUNT: count}}


def scale_target(kind: Kind, name: str) -> Object:
    """Return how an autoscaler names it."""
    return {"apiVersion": kind.api, "kind": kind.name, "name": name}


def is_rolled(workload: Object, wanted: int) -> bool:
    """Whether Kubernetes has seen its newest version, and no older instance is left.

    There may be more than are wanted: what is too many may never be made, and need not.
    """
    status = workload.get("status") or {}
    kind, version = _BY_NAME[kind_of(workload).name], workload["metadata"].get("generation", 1)
    # a LeaderWorkerSet older than 0.9 does not say what it has seen
    unsaid = version if kind.kind == LEADER_WORKER_SET else 0
    seen = status.get("observedGeneration", unsaid) >= version
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas")]
    # of pods that are told by another watch an old one may still look ready
    ready = status.get(kind.ready, 0) >= wanted
    return bool(seen and ready and counts[0] == counts[1] >= wanted)


def refused(workload: Object | None) -> str:
    """Return why Kubernetes makes no pod for it: a quota, a rule; empty when it does."""
    conditions = ((workload or {}).get("status") or {}).get("conditions") or ()
    said = (c.get("message") for c in conditions if c["type"] == "ReplicaFailure")
    return str(next(said, "") or "")
