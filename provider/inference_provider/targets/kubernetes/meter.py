"""What is measured of a workspace in a cluster, and where it is asked: all through its API server.

Requests by the pods of the router, processor and memory by `metrics.k8s.io`. No API of a cluster
tells how busy a GPU is, or how full the disk of a node, to who has a right to one namespace alone.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.metrics.growth import Processes
from inference_provider.observed import Kind, Record
from inference_provider.router.counters import COUNTERS, HISTOGRAMS, Counted, counted
from inference_provider.spec.amounts import quantity
from inference_provider.spec.resources import ResourceAmounts
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.instance_manifests import SERVER
from inference_provider.targets.kubernetes.objects import (
    POD,
    POD_METRICS,
    Object,
    labels_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.pods import is_ending, is_ready, is_running, restarts_of
from inference_provider.targets.kubernetes.refusals import Forbidden, NotThere
from inference_provider.targets.kubernetes.rights import OF_AMOUNTS
from inference_provider.targets.kubernetes.router_questions import RouterQuestions
from inference_provider.targets.meter import WorkspaceMeter
from inference_provider.targets.samples import GpuUse, Used
from inference_provider.workspace.measured import Running
from inference_provider.workspace.state import State

_UNKNOWN = "processor and memory of instances are not known"
_UNCOUNTED = "what it has answered is not counted"


def meter_of(
    client: Client,
    workspace: str,
    namespace: str,
    running: Callable[[], Collection[Running]],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> WorkspaceMeter:
    """Return what measures a workspace.

    Args:
        client: Its cluster.
        workspace: Its name.
        namespace: Where it is.
        running: Returns the generations that deployments admit.
        clock: Seconds of a clock that never decreases.
    """
    chosen = selector(names.selecting(workspace, names.INSTANCE))

    def pods() -> tuple[Running, ...]:
        generations = running()
        return pods_of(generations, client.items(POD, namespace, chosen)) if generations else ()

    return WorkspaceMeter(ClusterPlace(client, workspace, namespace), pods, clock)


def admitted_pods(state: State, pods: Iterable[Object]) -> tuple[Running, ...]:
    """Return the pods that deployments admit, by their records alone; see `pods_of`.

    Who may list no more than pods and records asks for no generations.
    """
    records = {one.id.name: one for one in state.of_kind(Kind.DEPLOYMENT, "online")}
    there = [pod for pod in pods if _is_admitted(pod, records)]
    generations = {_generation(pod): names.deployment_of(labels_of(pod)) for pod in there}
    return pods_of(
        (Running(of, name, ResourceAmounts()) for name, of in generations.items()), there
    )


def _is_admitted(pod: Object, records: Mapping[str, Record]) -> bool:
    labels = labels_of(pod)
    record = records.get(names.deployment_of(labels)) if names.OBJECT in labels else None
    return record is not None and record.admits(_generation(pod), labels.get(names.GENERATION, ""))


def _generation(pod: Object) -> str:
    return labels_of(pod).get(names.OBJECT, "")


def pods_of(generations: Iterable[Running], pods: Iterable[Object]) -> tuple[Running, ...]:
    """Return the pods of some generations, and what each asks for: a LimitRange may say that."""
    deployments = {one.name: one.deployment for one in generations}
    return tuple(
        Running(deployments[generation], name_of(pod), _requests(pod))
        for pod in pods
        if (generation := labels_of(pod).get(names.OBJECT, "")) in deployments
        and not is_ending(pod)
    )


def _requests(pod: Object) -> ResourceAmounts:
    asked: Mapping[str, str] = {}
    for container in pod["spec"].get("containers") or ():
        if container["name"] == SERVER:
            asked = (container.get("resources") or {}).get("requests") or {}
    cpu, memory = (quantity(asked.get(name) or "0") for name in ("cpu", "memory"))
    return ResourceAmounts(
        cpu=f"{1000 * cpu:.3f}m" if cpu else None, memory=f"{memory:.0f}" if memory else None
    )


class ClusterPlace:
    """One workspace of a cluster."""

    def __init__(self, client: Client, workspace: str, namespace: str) -> None:
        self._client = client
        self._workspace = workspace
        self._namespace = namespace
        self._questions = RouterQuestions(client, namespace)
        self._notes: list[str] = []

    # -- requests ------------------------------------------------------------------------------

    def counts(self) -> Processes:
        """Return what each pod of the router has counted; one whose container restarts is new."""
        chosen = selector(names.selecting(self._workspace, names.ROUTER))
        pods = {name_of(pod): pod for pod in self._client.items(POD, self._namespace, chosen)}
        runs = [name for name, pod in pods.items() if is_ready(pod) or is_running(pod)]
        told = self._questions.side_by_side(runs, self._asked)
        self._notes += _untold(told, {name for name in runs if is_ready(pods[name])})
        return {
            f"{name}/{restarts_of(pod, names.ROUTER)}": _counted(
                told.get(name), takes_requests=is_ready(pod)
            )
            for name, pod in pods.items()
        }

    def _asked(self, pod: str) -> Counted | TargetError:
        try:
            statistics = self._questions.ask(pod, "statistics", pattern=COUNTERS)
            return counted(statistics, self._questions.ask(pod, "histograms", pattern=HISTOGRAMS))
        except Forbidden:
            raise
        except TargetError as fault:  # of an older release too, which knows no such question
            return fault

    # -- instances -----------------------------------------------------------------------------

    def used(self, instances: Collection[str]) -> Mapping[str, Used] | None:
        """Return what instances use; None where the cluster does not tell."""
        chosen = selector(names.selecting(self._workspace, names.INSTANCE))
        try:
            found = self._client.items(POD_METRICS, self._namespace, chosen)
        except NotThere:
            self._notes.append(f"the cluster does not serve {OF_AMOUNTS}: {_UNKNOWN}")
        except TargetUnreachable as fault:
            self._notes.append(f"{OF_AMOUNTS} does not answer: {_UNKNOWN}: {fault.reason}")
        except TargetError as fault:
            self._notes.append(f"{_UNKNOWN}: {fault.reason}; {fault.remedy}")
        else:
            return dict(_used(one for one in found if name_of(one) in instances))
        return None

    @staticmethod
    def gpus(_instances: Collection[str]) -> Mapping[str, Collection[GpuUse]]:
        return {}

    @staticmethod
    def disks() -> tuple[tuple[str, float], ...]:
        return ()

    @staticmethod
    def whole() -> None:
        """Return None: who may use a namespace need not be allowed to see nodes."""

    def notes(self) -> tuple[str, ...]:
        """Return what was not told since it was asked for this."""
        noted, self._notes = self._notes, []
        return tuple(noted)


def _counted(told: Any, *, takes_requests: bool) -> Counted | None:
    """Return what a pod has counted; instances that it sees send nothing if it gets nothing."""
    if not isinstance(told, Counted):
        return None
    return told if takes_requests else replace(told, instances={})


def _untold(told: Mapping[str, Any], ready: Collection[str]) -> Iterator[str]:
    """Yield which pods that take requests have not said what they have counted."""
    for pod, fault in told.items():
        if isinstance(fault, TargetUnreachable) and pod in ready:
            yield f"router pod {pod} does not answer: {_UNCOUNTED}"
        elif isinstance(fault, TargetError) and not isinstance(fault, TargetUnreachable):
            yield f"router pod {pod}: {_UNCOUNTED}: {fault.reason}; {fault.remedy}"


def _used(told: Iterable[Object]) -> Iterator[tuple[str, Used]]:
    """Yield what the server of each pod uses, by the pod's name; others add containers to it."""
    for one in told:
        for container in one.get("containers") or ():
            if container["name"] == SERVER:
                usage = container["usage"]
                yield name_of(one), Used(quantity(usage["cpu"]), int(quantity(usage["memory"])))
