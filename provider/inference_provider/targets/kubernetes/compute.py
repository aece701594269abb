"""Instances as pods: the Compute of a workspace in a cluster.

Each generation of a deployment is one Deployment of Kubernetes, or one LeaderWorkerSet, with a
headless Service, a budget and a Secret of the same name. Kubernetes replaces pods by itself, so
what a record admits is a generation, and `Instance` is all of its pods together.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from inference_provider.errors import TargetError
from inference_provider.observed import ResourceId
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import apply_ours, delete_ours, is_applied
from inference_provider.targets.kubernetes.autoscalers import Autoscalers, kinds_of
from inference_provider.targets.kubernetes.claims import claims_devices
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content_manifests import key_of, secret_name
from inference_provider.targets.kubernetes.counts import Counts
from inference_provider.targets.kubernetes.drafts import (
    Drafts,
    Gives,
    generation_name,
    restarted,
)
from inference_provider.targets.kubernetes.followed import Followed
from inference_provider.targets.kubernetes.forward_proxy import MOVED, address_of, has_moved
from inference_provider.targets.kubernetes.generations import (
    generations,
    instances_in,
    pods_of,
    statuses_of,
)
from inference_provider.targets.kubernetes.happened import OF_PODS, happened
from inference_provider.targets.kubernetes.instance_manifests import (
    EVERY_OBJECT,
    OBJECTS,
    Generation,
    objects_of,
)
from inference_provider.targets.kubernetes.inventory import NodeGpus
from inference_provider.targets.kubernetes.kept_alerts import KeptAlerts
from inference_provider.targets.kubernetes.objects import (
    CLAIM_TEMPLATE,
    DEPLOYMENT,
    EVENT,
    POD,
    SECRET,
    SERVICE,
    Kind,
    Object,
    kind_of,
    labels_of,
    selector,
    version_of,
)
from inference_provider.targets.kubernetes.observed_objects import (
    Named,
    There,
    altered,
    groups_of,
    listed,
    recreations,
)
from inference_provider.targets.kubernetes.pod_logs import pod_logs
from inference_provider.targets.kubernetes.pod_wait import Wait
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.refusals import Forbidden, NotThere
from inference_provider.targets.kubernetes.rivals import rivals_in
from inference_provider.targets.kubernetes.whole import Whole
from inference_provider.targets.kubernetes.workloads import (
    COUNT,
    KINDS,
    kind_for,
    nodes_of,
    replicas,
    workload_in,
)
from inference_provider.workspace.logged import LogLine, LogQuery
from inference_provider.workspace.ports import MakeRoom, Progress, Unit, side_by_side, silent
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import ComputeStatus, Event, Instance, InstanceStatus

_POLL_S = 0.25
_INSTANCES = (POD, DEPLOYMENT, SERVICE)


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
        self._client = client
        self._records = records
        self._state = State(records)
        self._namespace = records.namespace
        self._drafts = Drafts(client, records, content, gpus)
        self._whole = whole or Whole(client, self._namespace, records.workspace)
        self._followed = {kind: self._follower(kind) for kind in KINDS}
        self._autoscalers = Autoscalers(client, self._namespace, served)
        self._counts = Counts(client, self._namespace, self._autoscalers)
        self._applied: dict[str, Mapping[Kind, int]] = {}
        """Version of each kind that was applied last, by deployment."""

    def _follower(self, workload: Kind) -> Followed:
        """Return what tells of the instances that one kind makes: not every cluster has each."""
        kinds = (POD, workload, SERVICE)
        return Followed(self._client, self._namespace, self._selecting(), kinds)

    # -- what there is -------------------------------------------------------------------------

    def _selecting(self, deployment: str = "") -> str:
        more = {}
        if deployment:
            more["endpoint"], _, more["deployment"] = deployment.partition("/")
        return selector(names.selecting(self._records.workspace, names.INSTANCE, **more))

    def instances(self, deployment: str = "") -> Mapping[str, tuple[Instance, ...]]:
        applied = self._applied.get(deployment, {})
        followed = next((self._followed[kind] for kind in KINDS if kind in applied), None)
        told = followed.there(deployment, applied) if followed else None
        if not told:
            place = self._client, self._namespace
            found = listed(*place, _INSTANCES, self._selecting(deployment))
            told = found | groups_of(*place, self._selecting(deployment), found.values())
        return instances_in(told)

    def status(self, deployment: str = "") -> ComputeStatus:
        found: dict[str, tuple[InstanceStatus, ...]] = {}
        faults: dict[str, tuple[str, ...]] = {}
        rules = self._state.rules()
        whole = self._whole.look(deployment, kinds_of(rules.values()))
        there = self._whole.of(whole, names.INSTANCE)
        known = there | self._whole.of(whole, names.CONTENT)
        pods, rivals = pods_of(there), rivals_in(whole)
        proxy = address_of(whole.get((SERVICE, names.EGRESS_NAME)))
        lost = self._whole.nodes.of(chain(*pods.values()))
        every = generations(there)
        groups = any(nodes_of(has) > 1 for has in every.values())
        recreated = recreations(self._client, self._namespace) if groups else ()
        wanted = {name: [*_wanted(name, nodes_of(has), there)] for name, has in every.items()}
        known |= self._whole.unlabelled([*chain(*wanted.values())], known)
        for name, labels in every.items():
            deployment, one = names.deployment_of(labels), workload_in(there, name)
            statuses = statuses_of(pods.get(name, ()), nodes_of(labels), lost, recreated)
            if not statuses and (one is None or replicas(one)):
                generation = labels[names.GENERATION]
                statuses = (InstanceStatus(name=name, generation=generation, runs=False),)
            found[deployment] = (*found.get(deployment, ()), *statuses)
            rule = rules.get(deployment)
            others = rivals.get(name, [])
            said = altered(wanted[name], known, (COUNT,) if rule or others else ())
            scaled = self._autoscalers.faults(name, rule, whole, others)
            moved = [MOVED] if has_moved(there.get((SECRET, name)), proxy) else []
            faults[deployment] = (*faults.get(deployment, ()), *scaled, *said, *moved)
        return ComputeStatus(
            instances={name: s for name, s in found.items() if s},
            altered={name: s for name, s in faults.items() if s},
        )

    def _workload(self, unit: Unit) -> Object | None:
        kind = kind_for(unit.spec.nodes_per_instance)
        return self._client.get(kind, self._namespace, generation_name(unit))

    # -- start ---------------------------------------------------------------------------------

    def ensure(
        self,
        unit: Unit,
        count: int,
        progress: Progress = silent,
        make_room: MakeRoom = side_by_side,
    ) -> None:
        del make_room  # without surge, the cluster ends a pod before it starts the next
        name, before = generation_name(unit), self._workload(unit)
        if not count and before is None:
            return
        generation = self._drafts.generation(unit, name, count, before)
        try:
            self._records.refuse_lost()
            exists = before is not None
            # a rule may end some of those that there are at any time, down to its least
            sure = unit.rule.min_instances if unit.rule and exists else count
            waited = replace(generation, count=min(count, sure))
            followed, applied = self._followed[generation.kind], dict[Kind, int]()
            wait = Wait(self._client, followed, waited, progress, exists=exists)
            there = self._beside(generation, before)
            ruled = [self._autoscalers.alone(there, unit.rule)] if unit.rule and exists else []
            for one in (*there.objects(), *ruled):
                made = apply_ours(self._client, one, lambda said: progress(unit.id, said))
                applied[kind_of(one)] = int(version_of(made))
            if before and there.count is None and replicas(before) < count:
                made = self._counts.set(before, count)
                applied[kind_of(made)] = int(version_of(made))
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

    def _put_back(self, generation: Generation, before: Object | None) -> None:
        """Leave nothing of a generation that did not start, or as many pods as there were."""
        if before is None:
            self._delete(generation.name)
            return
        count = None if generation.unit.rule else replicas(before)
        for one in replace(generation, count=count, restarted=restarted(before)).objects():
            apply_ours(self._client, one)

    # -- end -----------------------------------------------------------------------------------

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        """Tell Kubernetes to end them: it gives each the time that its requests may take."""
        self._records.refuse_lost()
        for name in names:
            self._delete(name)

    def scale_in(self, unit: Unit, count: int, stop_wait_s: float) -> int:
        name, before = generation_name(unit), self._workload(unit)
        if unit.rule is not None and before is not None:
            self._follow(unit, unit.rule, name, before)
            return 0
        surplus = replicas(before) - count
        if surplus <= 0:
            return 0
        self._records.refuse_lost()
        fewer = replace(
            self._drafts.generation(unit, name, count, before), restarted=restarted(before)
        )
        wait = Wait(self._client, self._followed[fewer.kind], fewer, silent)
        made = apply_ours(self._client, fewer.workload())
        known = self._applied.get(unit.id.name, {})
        self._applied[unit.id.name] = {**known, kind_of(made): int(version_of(made))}
        wait.until_ended(stop_wait_s)
        return surplus

    def _follow(self, unit: Unit, rule: AutoscaleRuleSpec, name: str, before: Object) -> None:
        """Have a rule decide how many pods there are, from as many as there are now."""
        self._records.refuse_lost()
        generation = self._drafts.generation(unit, name, replicas(before), before)
        generation = replace(generation, restarted=restarted(before))
        if is_applied(before, f"spec.{COUNT}"):
            apply_ours(self._client, self._beside(generation, before).workload())
        if replicas(before) != rule.within(replicas(before)):
            self._counts.set(before, rule.within(replicas(before)))
        apply_ours(self._client, self._autoscalers.alone(generation, rule))

    def wait_gone(self, limit_s: float) -> None:
        """Wait until no pod of an instance is left, or the time is over."""
        until_s = time.monotonic() + limit_s
        while self._pods() and time.monotonic() < until_s:
            time.sleep(_POLL_S)

    def end_all(self, limit_s: float) -> None:
        """End the instances of all deployments, and wait until they are gone."""
        there = chain.from_iterable(self.instances().values())
        self.retire("", [instance.name for instance in there], 0)
        self.wait_gone(limit_s)

    def _pods(self, deployment: str = "") -> list[Object]:
        return self._client.items(POD, self._namespace, self._selecting(deployment))

    def _delete(self, name: str) -> None:
        about = {"name": name, "namespace": self._namespace}
        template = {"apiVersion": CLAIM_TEMPLATE.api, "kind": CLAIM_TEMPLATE.name}
        delete_ours(self._client, {**template, "metadata": about}, if_seen=True)
        self._autoscalers.delete(name)
        service = self._client.get(SERVICE, self._namespace, name)
        for kind in objects_of(nodes_of(labels_of(service))) if service else EVERY_OBJECT:
            # of what is not everywhere there is none where nothing says that there is
            with suppress(*() if service or kind in OBJECTS else (Forbidden, NotThere)):
                self._client.delete(kind, self._namespace, name)

    def forget(self, deployment: str) -> None:
        """Nothing is left of objects that are gone."""

    # -- logs ----------------------------------------------------------------------------------

    def logs(self, deployment: ResourceId, query: LogQuery) -> Iterator[LogLine]:
        pods = self._pods(deployment.name)
        return pod_logs(self._client, self._namespace, pods, str(deployment), query)

    def events(self) -> Iterable[Event]:
        there = self.instances().items()
        named = {one.name: deployment for deployment, found in there for one in found}
        kept = KeptAlerts(self._client, self._namespace, self._records.workspace)
        listed = self._client.items(EVENT, self._namespace, fields=OF_PODS)
        return [*kept.events(), *happened(listed, named)]


def _wanted(name: str, nodes: int, there: There) -> Iterator[Named]:
    """Yield what a generation consists of; of one that somebody deletes, that alone."""
    one = workload_in(there, name)
    if one is not None and one["metadata"].get("deletionTimestamp"):
        yield kind_of(one), name
        return
    yield from ((kind, name) for kind in objects_of(nodes))
    if one is not None and claims_devices(one):
        yield CLAIM_TEMPLATE, name
    if one is not None and (key := key_of(one)):
        yield SECRET, secret_name(key)
