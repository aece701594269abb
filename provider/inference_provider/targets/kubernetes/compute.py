"""Instances as pods: the Compute of a workspace in a cluster.

Each generation of a deployment is one Deployment of Kubernetes, with a headless Service, a budget
and a Secret of the same name. Kubernetes replaces pods by itself, so what a record admits is a
generation, and `Instance` is all of its pods together.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, filterfalse
from pathlib import PurePosixPath
from typing import Protocol

from inference_provider.errors import CapabilityMissing, TargetError
from inference_provider.observed import Kind as ResourceKind
from inference_provider.observed import ResourceId
from inference_provider.serving.command import Surroundings, instance_command
from inference_provider.serving.image import SCRIPT
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.spec import AutoscaleRuleSpec, WorkspaceSpec
from inference_provider.spec.quota import gpus_of
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import COUNT, apply_ours, is_applied
from inference_provider.targets.kubernetes.autoscalers import Autoscalers, kinds_of
from inference_provider.targets.kubernetes.capabilities import closed_fault
from inference_provider.targets.kubernetes.claims import claims_devices
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content_manifests import key_of, secret_name
from inference_provider.targets.kubernetes.counts import Counts
from inference_provider.targets.kubernetes.followed import Followed
from inference_provider.targets.kubernetes.generations import (
    generations,
    instances_in,
    pods_of,
    replicas,
    status_of,
)
from inference_provider.targets.kubernetes.instance_manifests import (
    OBJECTS,
    RESTARTED,
    SERVER,
    Generation,
    Given,
)
from inference_provider.targets.kubernetes.inventory import NodeGpus, products_of
from inference_provider.targets.kubernetes.objects import (
    CLAIM_TEMPLATE,
    DEPLOYMENT,
    POD,
    SECRET,
    SERVICE,
    Kind,
    Object,
    kind_of,
    name_of,
    selector,
    version_of,
)
from inference_provider.targets.kubernetes.observed_objects import Named, There, altered, listed
from inference_provider.targets.kubernetes.pod_wait import Wait
from inference_provider.targets.kubernetes.pods import is_ending
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.rivals import rivals_in
from inference_provider.targets.kubernetes.whole import Whole
from inference_provider.targets.kubernetes.workspace_manifests import identity
from inference_provider.targets.starting import no_logs
from inference_provider.workspace.ports import MakeRoom, Progress, Unit, side_by_side, silent
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import ComputeStatus, Instance, InstanceStatus

_POLL_S = 0.25
_INSTANCES = (POD, DEPLOYMENT, SERVICE)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Gives(Protocol):
    """What content brings to pods."""

    def given(self, unit: Unit) -> Given:
        """Return it; all that it names is kept. Raises TargetError when something is gone."""


class KubernetesCompute:
    """Instances of one workspace."""

    replaces_instances = True

    def __init__(
        self,
        client: Client,
        records: ClusterRecords,
        content: Gives,
        gpus: Callable[[], list[NodeGpus] | None] = lambda: None,
        whole: Whole | None = None,
        *,
        served: Callable[[], Collection[str]] = lambda: (),
    ) -> None:
        """Open it; `gpus` says which GPUs nodes have, `served` which groups the API has."""
        self._gpus = gpus
        self._client = client
        self._records = records
        self._state = State(records)
        self._namespace = records.namespace
        self._content = content
        self._whole = whole or Whole(client, self._namespace, records.workspace)
        self._followed = Followed(client, self._namespace, self._selecting(), _INSTANCES)
        self._autoscalers = Autoscalers(client, self._namespace, served)
        self._counts = Counts(client, self._namespace, self._autoscalers)
        self._applied: dict[str, Mapping[Kind, int]] = {}
        """Version of each kind that was applied last, by deployment."""

    # -- what there is -------------------------------------------------------------------------

    def _selecting(self, deployment: str = "") -> str:
        more = {}
        if deployment:
            more["endpoint"], _, more["deployment"] = deployment.partition("/")
        return selector(names.selecting(self._records.workspace, names.INSTANCE, **more))

    def instances(self, deployment: str = "") -> Mapping[str, tuple[Instance, ...]]:
        applied = self._applied.get(deployment)
        told = self._followed.there(deployment, applied) if applied else None
        if not told:
            chosen = self._selecting(deployment)
            told = listed(self._client, self._namespace, _INSTANCES, chosen)
        return instances_in(told)

    def status(self, deployment: str = "") -> ComputeStatus:
        found: dict[str, tuple[InstanceStatus, ...]] = {}
        faults: dict[str, tuple[str, ...]] = {}
        rules = self._state.rules()
        whole = self._whole.look(deployment, kinds_of(rules.values()))
        there = self._whole.of(whole, names.INSTANCE)
        known = there | self._whole.of(whole, names.CONTENT)
        pods, rivals = pods_of(there), rivals_in(whole)
        lost = self._whole.nodes.of(chain(*pods.values()))
        wanted = {name: [*_wanted(name, there)] for name in generations(there)}
        known |= self._whole.unlabelled([*chain(*wanted.values())], known)
        for name, labels in generations(there).items():
            deployment, one = names.deployment_of(labels), there.get((DEPLOYMENT, name))
            live = filterfalse(is_ending, pods.get(name, ()))
            statuses = tuple(status_of(pod, lost) for pod in live)
            if not statuses and (one is None or one["spec"].get("replicas")):
                generation = labels[names.GENERATION]
                statuses = (InstanceStatus(name=name, generation=generation, runs=False),)
            found[deployment] = (*found.get(deployment, ()), *statuses)
            rule = rules.get(deployment)
            others = rivals.get(name, [])
            said = altered(wanted[name], known, (COUNT,) if rule or others else ())
            scaled = self._autoscalers.faults(name, rule, whole, others)
            faults[deployment] = (*faults.get(deployment, ()), *scaled, *said)
        return ComputeStatus(
            instances={name: s for name, s in found.items() if s},
            altered={name: s for name, s in faults.items() if s},
        )

    # -- start ---------------------------------------------------------------------------------

    def ensure(
        self,
        unit: Unit,
        count: int,
        progress: Progress = silent,
        make_room: MakeRoom = side_by_side,
    ) -> None:
        del make_room  # without surge, the cluster ends a pod before it starts the next
        name = names.generation(unit.id.name, unit.generation)
        before = self._client.get(DEPLOYMENT, self._namespace, name)
        if not count and before is None:
            return
        generation = self._generation(unit, name, count, before)
        try:
            self._records.refuse_lost()
            exists = before is not None
            # a rule may end some of those that there are at any time, down to its least
            sure = unit.rule.min_instances if unit.rule and exists else count
            waited = replace(generation, count=min(count, sure))
            wait, applied = Wait(self._client, self._followed, waited, progress, exists=exists), {}
            there = self._beside(generation, before)
            ruled = [self._autoscalers.alone(there, unit.rule)] if unit.rule and exists else []
            for one in (*there.objects(), *ruled):
                made = apply_ours(self._client, one, lambda said: progress(unit.id, said))
                applied[kind_of(one)] = int(version_of(made))
            if there.count is None and replicas(before) < count:
                made = self._counts.set(name, count)
                applied[DEPLOYMENT] = int(version_of(made))
            wait.until_ready(applied)
            self._applied[unit.id.name] = applied
        except BaseException:
            with suppress(TargetError):  # the first error is the one to report
                self._put_back(generation, before)
            raise

    def _beside(self, generation: Generation, before: Object | None) -> Generation:
        """Return what is applied while there may be more pods than are wanted, or a rule decides.

        What is too many ends only once no request is sent to it.
        """
        if before is None:
            return generation
        if generation.unit.rule is not None:
            self._counts.let_go(before)
            return replace(generation, count=None)
        self._counts.take_back(before)
        return replace(generation, count=max(generation.wanted, replicas(before)))

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
        closed = self._is_closed(unit, given)
        more |= {"egress": names.CLOSED} if closed else {}
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
            products=self._products(unit),
            pod_labels=self._cloud_labels(unit),
            pull_secrets=self._workspace_spec().cluster.image_pull_secrets,
            content_host=self._content_host() if closed and given.init_containers else "",
        )

    def _workspace_spec(self) -> WorkspaceSpec:
        """Return what is recorded of the workspace, as far as pods depend on it."""
        name = self._records.workspace
        record = self._state.record(
            ResourceId(kind=ResourceKind.WORKSPACE, workspace=name, name=name)
        )
        fields = record.properties if record else {}
        known = fields.keys() & {"egress", "registry", "cluster"}
        return WorkspaceSpec(**{part: fields[part] for part in known})

    def _cloud_labels(self, unit: Unit) -> dict[str, str]:
        """Return what a cloud asks of the pods of a service account beside its annotations."""
        named = unit.spec.scheduling.service_account or ""
        return identity(self._workspace_spec().cluster.service_accounts.get(named))

    def _is_closed(self, unit: Unit, given: Given) -> bool:
        """Whether its pods have no way out. Raises CapabilityMissing when they cannot be so."""
        space = self._workspace_spec()
        fault = closed_fault(unit.spec, space, unit.environment, installs=given.installs)
        if fault:
            raise CapabilityMissing(
                "start", str(unit.id), f"{fault.path}: {fault.reason}", fault.remedy
            )
        return self._state.is_closed(unit.spec.egress_public_network_access)

    def _content_host(self) -> str:
        service = self._client.get(SERVICE, self._namespace, names.CONTENT_NAME) or {}
        return str((service.get("spec") or {}).get("clusterIP") or "")

    def _products(self, unit: Unit) -> tuple[str, ...]:
        """Return the products of GPUs that an instance may have; those that it names if unknown."""
        asked = gpus_of(unit.spec)
        if asked is None or not asked.product or asked.device_class:
            return ()
        there = self._gpus()
        return tuple(products_of(asked, there)) if there else (asked.product.replace(" ", "-"),)

    def _put_back(self, generation: Generation, before: Object | None) -> None:
        """Leave nothing of a generation that did not start, or as many pods as there were."""
        if before is None:
            self._delete(generation.name)
            return
        count = None if generation.unit.rule else replicas(before)
        for one in replace(generation, count=count, restarted=_restarted(before)).objects():
            apply_ours(self._client, one, _untold)

    # -- end -----------------------------------------------------------------------------------

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        """Tell Kubernetes to end them: it gives each the time that its requests may take."""
        self._records.refuse_lost()
        for name in names:
            self._delete(name)

    def scale_in(self, unit: Unit, count: int, stop_wait_s: float) -> int:
        name = names.generation(unit.id.name, unit.generation)
        before = self._client.get(DEPLOYMENT, self._namespace, name)
        if unit.rule is not None and before is not None:
            self._follow(unit, unit.rule, name, before)
            return 0
        surplus = replicas(before) - count
        if surplus <= 0:
            return 0
        self._records.refuse_lost()
        fewer = replace(self._generation(unit, name, count, before), restarted=_restarted(before))
        wait = Wait(self._client, self._followed, fewer, silent)
        made = apply_ours(self._client, fewer.deployment(), _untold)
        known = self._applied.get(unit.id.name, {})
        self._applied[unit.id.name] = {**known, DEPLOYMENT: int(version_of(made))}
        wait.until_ended(stop_wait_s)
        return surplus

    def _follow(self, unit: Unit, rule: AutoscaleRuleSpec, name: str, before: Object) -> None:
        """Have a rule decide how many pods there are, from as many as there are now."""
        self._records.refuse_lost()
        generation = self._generation(unit, name, replicas(before), before)
        generation = replace(generation, restarted=_restarted(before))
        if is_applied(before, f"spec.{COUNT}"):
            apply_ours(self._client, self._beside(generation, before).deployment(), _untold)
        if replicas(before) != rule.within(replicas(before)):
            self._counts.set(name, rule.within(replicas(before)))
        apply_ours(self._client, self._autoscalers.alone(generation, rule), _untold)

    def wait_gone(self, limit_s: float) -> None:
        """Wait until no pod of an instance is left, or the time is over."""
        until_s = time.monotonic() + limit_s
        while self._pods() and time.monotonic() < until_s:
            time.sleep(_POLL_S)

    def _pods(self, deployment: str = "") -> list[Object]:
        return self._client.items(POD, self._namespace, self._selecting(deployment))

    def _delete(self, name: str) -> None:
        with suppress(Forbidden):  # who may not has made none
            self._client.delete(CLAIM_TEMPLATE, self._namespace, name)
        self._autoscalers.delete(name)
        for kind in OBJECTS:
            self._client.delete(kind, self._namespace, name)

    def forget(self, deployment: str) -> None:
        """Nothing is left of objects that are gone."""

    # -- logs ----------------------------------------------------------------------------------

    def logs(self, deployment: ResourceId, *, lines: int, follow: bool) -> Iterator[str]:
        found = sorted(map(name_of, self._pods(deployment.name)))
        if not found:
            raise no_logs(deployment)
        if follow and len(found) > 1:
            remedy = f"use `kubectl logs --follow --selector {self._selecting(deployment.name)}`"
            reason = f"it has {len(found)} pods, and one at a time can be followed"
            raise TargetError("follow the logs of", str(deployment), reason, remedy)
        for pod in found:
            asked = {"container": SERVER, "tailLines": str(lines)}
            asked |= {"follow": "true"} if follow else {}
            for line in self._client.logs(self._namespace, pod, **asked):
                yield f"{pod}: {line}"


def _wanted(name: str, there: There) -> Iterator[Named]:
    """Yield what a generation consists of; of one that somebody deletes, that alone."""
    one = there.get((DEPLOYMENT, name))
    if one is not None and one["metadata"].get("deletionTimestamp"):
        yield DEPLOYMENT, name
        return
    yield from ((kind, name) for kind in OBJECTS)
    if one is not None and claims_devices(one):
        yield CLAIM_TEMPLATE, name
    if one is not None and (key := key_of(one)):
        yield SECRET, secret_name(key)


def _restarted(before: Object | None) -> str:
    if before is None:
        return ""
    noted = before["spec"]["template"]["metadata"].get("annotations") or {}
    return str(noted.get(RESTARTED, ""))


def _untold(_said: str) -> None:
    """Tell nobody: what people did was told when all of it was applied."""


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
