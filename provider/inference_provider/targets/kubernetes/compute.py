"""Instances as pods: the Compute of a workspace in a cluster.

Each generation of a deployment is one Deployment of Kubernetes, with a headless Service, a budget
and a Secret of the same name. Kubernetes replaces pods by itself, so what a record admits is a
generation, and `Instance` is all of its pods together.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Protocol

from inference_provider.errors import NotReady, TargetError
from inference_provider.observed import ResourceId
from inference_provider.quoting import without_secrets
from inference_provider.router.table import Backend
from inference_provider.serving.command import Surroundings, instance_command
from inference_provider.serving.image import SCRIPT
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import apply_ours, foreign
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.instance_manifests import (
    OBJECTS,
    RESTARTED,
    SERVER,
    Generation,
    Given,
)
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    POD,
    Object,
    labels_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.pods import (
    Trouble,
    address_of,
    endings_of,
    is_ending,
    is_ready,
    runs,
    trouble_of,
)
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.starting import LOG_LINES
from inference_provider.targets.stopping import refuse_when_stopped
from inference_provider.workspace.ports import (
    ComputeStatus,
    Instance,
    InstanceStatus,
    Progress,
    Unit,
    silent,
)

_POLL_S = 0.25
_IMAGE_GRACE_S = 20.0
"""Time that a pod may wait for an image that could not be pulled: a registry is busy at times."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINE_CHARS = 300


class Gives(Protocol):
    """What content brings to pods."""

    def given(self, unit: Unit) -> Given:
        """Return it; all that it names is kept. Raises TargetError when something is gone."""


class KubernetesCompute:
    """Instances of one workspace."""

    replaces_instances = True

    def __init__(self, client: Client, records: ClusterRecords, content: Gives) -> None:
        self._client = client
        self._records = records
        self._namespace = records.namespace
        self._content = content

    # -- what there is -------------------------------------------------------------------------

    def _selecting(self, deployment: str = "") -> str:
        more = {}
        if deployment:
            more["endpoint"], _, more["deployment"] = deployment.partition("/")
        return selector(names.selecting(self._records.workspace, names.INSTANCE, **more))

    def _listed(self, deployment: str = "") -> tuple[list[Object], dict[str, list[Object]]]:
        """Return the Deployments of all generations, and the pods of each by its name."""
        chosen = self._selecting(deployment)
        found = self._client.items(DEPLOYMENT, self._namespace, chosen)
        pods: dict[str, list[Object]] = {}
        for pod in self._client.items(POD, self._namespace, chosen):
            pods.setdefault(labels_of(pod).get(names.OBJECT, ""), []).append(pod)
        return found, pods

    def instances(self) -> Mapping[str, tuple[Instance, ...]]:
        found: dict[str, tuple[Instance, ...]] = {}
        generations, pods = self._listed()
        for one in generations:
            labels = labels_of(one)
            port = _port_of(one)
            addresses = [address_of(p) for p in pods.get(name_of(one), ()) if not is_ending(p)]
            backends = tuple(Backend(host=a, port=port) for a in sorted(filter(None, addresses)))
            instance = Instance(name_of(one), labels[names.GENERATION], backends)
            deployment = names.deployment_of(labels)
            found[deployment] = (*found.get(deployment, ()), instance)
        return found

    def status(self) -> ComputeStatus:
        found: dict[str, tuple[InstanceStatus, ...]] = {}
        generations, pods = self._listed()
        for one in generations:
            deployment = names.deployment_of(labels_of(one))
            there = [pod for pod in pods.get(name_of(one), ()) if not is_ending(pod)]
            fault = foreign(one)
            statuses = tuple(_status_of(pod, fault) for pod in there)
            if not statuses and one["spec"].get("replicas"):
                statuses = (_without_pods(one, fault),)
            found[deployment] = (*found.get(deployment, ()), *statuses)
        return ComputeStatus(instances={name: s for name, s in found.items() if s})

    # -- start ---------------------------------------------------------------------------------

    def ensure(self, unit: Unit, count: int, progress: Progress = silent) -> None:
        name = names.generation(unit.id.name, unit.generation)
        before = self._client.get(DEPLOYMENT, self._namespace, name)
        if not count and before is None:
            return
        generation = self._generation(unit, name, count, before)
        try:
            for one in generation.objects():
                apply_ours(self._client, one, lambda said: progress(unit.id, said))
            self._wait_ready(generation, progress)
        except BaseException:
            with suppress(TargetError):  # the first error is the one to report
                self._put_back(name, before)
            raise

    def _generation(self, unit: Unit, name: str, count: int, before: Object | None) -> Generation:
        given, server = self._content.given(unit), server_of(unit.spec, unit.environment)
        brought = server.kind == ServerKind.IMAGE
        port = server.routes.scoring_route.port if brought else names.INSTANCE_PORT
        command = instance_command(
            unit.spec,
            unit.environment,
            _surroundings(given),
            code_dir=given.code_dir,
            model_dir=given.model_dir,
            port=port,
        )
        endpoint, _, deployment = unit.id.name.partition("/")
        more = {"endpoint": endpoint, "deployment": deployment, "generation": unit.generation}
        return Generation(
            unit=unit,
            name=name,
            namespace=self._namespace,
            server=server,
            command=command,
            given=given,
            port=port,
            count=count,
            restarted=_now() if unit.afresh and before else _restarted(before),
            labels=names.labels(self._records.workspace, names.INSTANCE, **more),
        )

    def _put_back(self, name: str, before: Object | None) -> None:
        """Leave nothing of a generation that did not start, or as many pods as there were."""
        if before is None:
            self._delete(name)
        else:
            change = {"spec": {"replicas": before["spec"].get("replicas")}}
            self._client.merge(DEPLOYMENT, self._namespace, name, change)

    def _wait_ready(self, generation: Generation, progress: Progress) -> None:
        unit, told = generation.unit, ""
        until_s = time.monotonic() + unit.start_limit_s
        images_s = time.monotonic() + min(_IMAGE_GRACE_S, unit.start_limit_s)
        while True:
            refuse_when_stopped("start", str(unit.id))
            deployment, pods = self._now(generation)
            ready = sum(map(is_ready, pods))
            if ready >= generation.count and _is_rolled(deployment):
                if generation.count:
                    progress(unit.id, f"{ready} of {generation.count} instances ready")
                return
            troubles = [(name_of(pod), t) for pod in pods if (t := trouble_of(pod))]
            for pod, trouble in troubles:
                late = time.monotonic() >= images_s
                if trouble.final or trouble.container or (late and _is_stuck(trouble)):
                    raise self._not_ready(unit, pod, trouble)
            if time.monotonic() >= until_s:
                raise self._late(unit, pods, troubles)
            waits = f": pod {troubles[0][0]}: {troubles[0][1].reason}" if troubles else ""
            said = f"{ready} of {generation.count} instances ready{waits}"
            if waits and said != told:
                progress(unit.id, said)
                told = said
            time.sleep(_POLL_S)

    def _now(self, generation: Generation) -> tuple[Object | None, list[Object]]:
        one = self._client.get(DEPLOYMENT, self._namespace, generation.name)
        chosen = selector({names.OBJECT: generation.name})
        pods = self._client.items(POD, self._namespace, chosen)
        return one, [pod for pod in pods if not is_ending(pod)]

    def _late(
        self, unit: Unit, pods: Sequence[Object], troubles: Sequence[tuple[str, Trouble]]
    ) -> NotReady:
        if troubles:
            return self._not_ready(unit, *troubles[0])
        waited = f"did not answer 200 to 399 within {unit.start_limit_s} s"
        reason = f"GET {unit.readiness_path} {waited}"
        waiting = next((name_of(pod) for pod in pods if not is_ready(pod)), "")
        if not waiting:
            remedy = "look at the events of its ReplicaSet, then run this again"
            return NotReady("start", str(unit.id), "Kubernetes made no pod for it", remedy)
        return self._not_ready(unit, waiting, Trouble("", reason, SERVER))

    def _not_ready(self, unit: Unit, pod: str, trouble: Trouble) -> NotReady:
        about = f"{trouble.name}: " if trouble.name else ""
        reason = f"pod {pod}: {about}{trouble.reason}"
        if not trouble.container:
            return NotReady("start", str(unit.id), reason, "fix the cause and run this again")
        said = without_secrets(self._last_lines(pod, trouble.container), unit.secrets)
        shown = "\n".join(f"    {line[:_LINE_CHARS]}" for line in said.splitlines())
        remedy = "fix the cause and run this again; the last lines of its log:"
        return NotReady("start", str(unit.id), reason, f"{remedy}\n{shown or '    (none)'}")

    def _last_lines(self, pod: str, container: str) -> str:
        asked = {"container": container, "tailLines": str(LOG_LINES)}
        for more in ({}, {"previous": "true"}):
            with suppress(TargetError):
                said = "\n".join(self._client.logs(self._namespace, pod, **asked, **more))
                if said.strip():
                    return said
        return ""

    # -- end -----------------------------------------------------------------------------------

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        for name in names:
            self._delete(name)
        until_s = time.monotonic() + stop_wait_s
        while time.monotonic() < until_s and any(map(self._has_pods, names)):
            time.sleep(_POLL_S)

    def _has_pods(self, name: str) -> bool:
        return bool(self._client.items(POD, self._namespace, selector({names.OBJECT: name})))

    def _delete(self, name: str) -> None:
        for kind in OBJECTS:
            self._client.delete(kind, self._namespace, name)

    def forget(self, deployment: str) -> None:
        """Nothing is left of objects that are gone."""

    # -- logs ----------------------------------------------------------------------------------

    def logs(self, deployment: ResourceId, *, lines: int, follow: bool) -> Iterator[str]:
        _, pods = self._listed(deployment.name)
        found = sorted(name_of(pod) for of in pods.values() for pod in of)
        if not found:
            remedy = "run `inferctl status`"
            raise TargetError("read the logs of", str(deployment), "there are none", remedy)
        if follow and len(found) > 1:
            remedy = f"use `kubectl logs --follow --selector {self._selecting(deployment.name)}`"
            reason = f"it has {len(found)} pods, and one at a time can be followed"
            raise TargetError("follow the logs of", str(deployment), reason, remedy)
        for pod in found:
            asked = {"container": SERVER, "tailLines": str(lines)}
            asked |= {"follow": "true"} if follow else {}
            for line in self._client.logs(self._namespace, pod, **asked):
                yield f"{pod}: {line}"


def _status_of(pod: Object, fault: str) -> InstanceStatus:
    return InstanceStatus(
        name=name_of(pod),
        generation=labels_of(pod)[names.GENERATION],
        runs=runs(pod),
        answers=is_ready(pod),
        endings=endings_of(pod),
        fault=fault,
    )


def _without_pods(one: Object, fault: str) -> InstanceStatus:
    return InstanceStatus(
        name=name_of(one), generation=labels_of(one)[names.GENERATION], runs=False, fault=fault
    )


def _is_rolled(deployment: Object | None) -> bool:
    """Whether Kubernetes has seen the newest version of it, and no older pod is left."""
    if deployment is None:
        return False
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(n, 0) for n in ("replicas", "updatedReplicas")]
    return seen and counts == [wanted, wanted]


def _is_stuck(trouble: Trouble) -> bool:
    return trouble.name in ("ImageBuildFailure", "ResourceNotReady")


def _port_of(deployment: Object) -> int:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    server = next(one for one in containers if one["name"] == SERVER)
    return int(server["ports"][0]["containerPort"])


def _restarted(before: Object | None) -> str:
    if before is None:
        return ""
    noted = before["spec"]["template"]["metadata"].get("annotations") or {}
    return str(noted.get(RESTARTED, ""))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _surroundings(given: Given) -> Surroundings:
    return Surroundings(
        host="0.0.0.0",
        bin_dir=given.bin_dir,
        script=PurePosixPath(SCRIPT),
        home=PurePosixPath("/"),
        inherited={"PATH": _PATH, "HOME": "/tmp"},
        fixed={"VIRTUAL_ENV": str(given.bin_dir.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        has_program=lambda _name: False,  # found on its PATH
    )
