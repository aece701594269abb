"""What is listed of a workspace -> its generations, their instances and how those are. Pure."""

from collections.abc import Collection, Mapping, Sequence

from inference_provider.router.table import Backend
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.groups import endings_in, is_leader, workers_of
from inference_provider.targets.kubernetes.instance_manifests import RESTARTED, SERVER
from inference_provider.targets.kubernetes.lost_nodes import node_of
from inference_provider.targets.kubernetes.objects import (
    POD,
    SERVICE,
    Object,
    annotations_of,
    labels_of,
    name_of,
)
from inference_provider.targets.kubernetes.observed_objects import There
from inference_provider.targets.kubernetes.pods import (
    address_of,
    endings_of,
    is_ending,
    is_ready,
    runs,
)
from inference_provider.targets.kubernetes.workloads import (
    KINDS,
    replicas,
    template_of,
    workload_in,
)
from inference_provider.workspace.statuses import Instance, InstanceStatus


def generations(there: There) -> dict[str, Mapping[str, str]]:
    """Return the labels of each generation: it is there as long as its Service is.

    What has none is not ours: somebody has copied labels, or removed one.
    """
    kinds = (*KINDS, SERVICE)
    found = [(name, labels_of(one)) for (kind, name), one in there.items() if kind in kinds]
    return {name: has for name, has in found if names.GENERATION in has}


def instances_in(there: There) -> dict[str, tuple[Instance, ...]]:
    found: dict[str, tuple[Instance, ...]] = {}
    pods = pods_of(there)
    for name, labels in generations(there).items():
        live = (pod for pod in pods.get(name, ()) if is_leader(pod) and not is_ending(pod))
        addresses = map(address_of, live)
        workload = workload_in(there, name)
        port = _port_of(workload)
        backends = tuple(Backend(host=a, port=port) for a in sorted(filter(None, addresses)))
        kept = backends if port else ()
        instance = Instance(name, labels[names.GENERATION], kept, replicas(workload))
        deployment = names.deployment_of(labels)
        found[deployment] = (*found.get(deployment, ()), instance)
    return found


def pods_of(there: There) -> dict[str, list[Object]]:
    """Return the pods of each generation."""
    pods: dict[str, list[Object]] = {}
    for (kind, _), one in there.items():
        if kind == POD and names.GENERATION in labels_of(one):
            pods.setdefault(labels_of(one).get(names.OBJECT, ""), []).append(one)
    return pods


def statuses_of(
    pods: Collection[Object],
    nodes: int,
    lost: Mapping[str, str],
    recreated: Sequence[Object] = (),
) -> tuple[InstanceStatus, ...]:
    """Return how the instances of a generation are.

    Args:
        pods: All pods of it.
        nodes: How many an instance is.
        lost: What is wrong with nodes of the cluster, by their name.
        recreated: Events that tell of groups that were made again.
    """
    live = [pod for pod in pods if not is_ending(pod)]
    alone = ((pod, status_of(pod, lost)) for pod in live if is_leader(pod))
    if nodes == 1:
        return tuple(status for _, status in alone)
    found = []
    for pod, status in alone:
        workers = [status_of(one, lost) for one in workers_of(pod, live)]
        since = annotations_of(pod).get(RESTARTED, "")
        ended = {"endings": endings_in(recreated, pod, since)}
        found.append(_with_workers(status, workers, nodes).model_copy(update=ended))
    return tuple(found)


def _with_workers(
    leader: InstanceStatus, workers: Sequence[InstanceStatus], nodes: int
) -> InstanceStatus:
    """Return how a group is, of which nothing answers without one of its pods."""
    ready = sum(one.answers for one in workers)
    short = f"{nodes - 1 - ready} of its {nodes - 1} workers not ready" if ready < nodes - 1 else ""
    fault = leader.fault or next((one.fault for one in workers if one.fault), short)
    return leader.model_copy(update={"fault": fault})


def status_of(pod: Object, lost: Mapping[str, str]) -> InstanceStatus:
    """Return how a pod is; `lost` says what is wrong with nodes."""
    return InstanceStatus(
        name=name_of(pod),
        generation=labels_of(pod)[names.GENERATION],
        runs=runs(pod),
        answers=is_ready(pod),
        endings=endings_of(pod),
        fault=lost.get(node_of(pod), ""),
    )


def _port_of(workload: Object | None) -> int:
    """Return the port of its server; 0 where a person has deleted it."""
    if workload is None:
        return 0
    containers = template_of(workload)["spec"]["containers"]
    ports = next((one.get("ports") for one in containers if one["name"] == SERVER), None)
    return int(ports[0]["containerPort"]) if ports else 0
