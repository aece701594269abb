"""Why a cluster cannot keep an autoscale rule."""

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from typing import Protocol

from inference_provider.autoscale_samples import QUEUED
from inference_provider.errors import Fault
from inference_provider.spec import AutoscaleRuleSpec, DeploymentSpec, WorkspaceSpec
from inference_provider.spec.autoscale_rule import ScheduleRule, TargetRule
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import is_ours
from inference_provider.targets.kubernetes.cron_windows import NotExpressible, window
from inference_provider.targets.kubernetes.hpa import AMOUNTS, OF_OTHERS
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    LIMITS,
    Kind,
    Object,
    labels_of,
    name_of,
)
from inference_provider.targets.kubernetes.observed_objects import made_by
from inference_provider.targets.kubernetes.rights import OF_AMOUNTS
from inference_provider.targets.kubernetes.rivals import rivals
from inference_provider.targets.kubernetes.scaled_objects import KEDA
from inference_provider.targets.kubernetes.workloads import KINDS
from inference_provider.targets.kubernetes.workspace_manifests import bounds

_DEFAULTING = ("defaultRequest", "default", "max", "min")
"""Fields of a LimitRange of which the API server makes what a container asks for that says none."""


class Known(Protocol):
    """What is known of a cluster."""

    def groups(self) -> Collection[str]:
        """Return the groups that its API has."""

    def objects(self, kind: Kind, namespace: str = "") -> Collection[Object] | None:
        """Return the objects of a kind; None where this user may not list them."""


def rule_faults(
    rule: AutoscaleRuleSpec,
    deployment: DeploymentSpec | None,
    workspace: WorkspaceSpec | None,
    known: Known,
    namespace: Callable[[str], str],
) -> Iterator[Fault]:
    """Yield why a cluster cannot keep a rule; nothing of one that is off.

    Args:
        rule: It.
        deployment: Whose count it decides; None where that is not known.
        workspace: Whose it is; None where that is not known.
        known: What the cluster has.
        namespace: Returns that of a workspace.
    """
    if not rule.enabled:
        return
    yield from _step_faults(rule)
    yield from _schedule_faults(rule, known)
    if rule.min_instances == 0:
        yield from _unwoken(rule, known)
    if not rule.targets and not rule.metrics and not rule.schedules:
        remedy = "write targets: [{metric: CpuUtilizationPercentage, target: 70}]"
        yield Fault("targets", "missing: a cluster scales by nothing else", remedy)
    place = namespace(rule.workspace)
    for i, target in enumerate(rule.targets):
        yield from _unserved(f"targets.{i}", target, known.groups())
        amount = AMOUNTS.get(target.metric)
        says_none = amount and deployment is not None and not _asks_for(deployment, amount)
        if deployment and says_none and amount not in _defaults(workspace, known, place):
            yield _share_of_nothing(f"targets.{i}", target, deployment)
    yield from _rival_faults(rule, known, place)


def _step_faults(rule: AutoscaleRuleSpec) -> Iterator[Fault]:
    if rule.metrics:
        remedy = "write targets: [{metric: CpuUtilizationPercentage, target: 70}] instead"
        yield Fault("metrics", "a cluster keeps a target, and knows no steps", remedy)
    for i, step in enumerate(rule.metrics):
        if step.metric == QUEUED:
            reason = f"a cluster measures no {QUEUED}"
            remedy = "write RequestsInFlight in targets, with as many an instance as may be there"
            yield Fault(f"metrics.{i}.metric", reason, f"{remedy} at a time, those that wait too")


def _unwoken(rule: AutoscaleRuleSpec, known: Known) -> Iterator[Fault]:
    """Yield why nothing would start an instance for a request that waits for one."""
    if KEDA not in known.groups():
        reason = f"0 needs KEDA ({KEDA}), which the cluster does not serve"
        yield Fault("min_instances", reason, "install it, or write 1")
    if "RequestsInFlight" not in {one.metric for one in rule.targets}:
        reason = "0 needs RequestsInFlight: no other metric can start the first instance"
        remedy = "add {metric: RequestsInFlight, target: 4} to targets, or write 1"
        yield Fault("min_instances", reason, remedy)


def _unserved(path: str, target: TargetRule, served: Collection[str]) -> Iterator[Fault]:
    amount = AMOUNTS.get(target.metric)
    if amount and OF_AMOUNTS not in served:
        reason = f"{target.metric} needs {OF_AMOUNTS}, which the cluster does not serve"
        yield Fault(path, reason, "install metrics-server")
    if not amount and not {OF_OTHERS, KEDA} & {*served}:
        reason = (
            f"{target.metric} needs KEDA ({KEDA}) or {OF_OTHERS}, and the cluster serves neither"
        )
        remedy = "install KEDA, or an adapter such as prometheus-adapter, or use"
        yield Fault(path, reason, f"{remedy} CpuUtilizationPercentage")


# -- times of the day ------------------------------------------------------------------------------


def _schedule_faults(rule: AutoscaleRuleSpec, known: Known) -> Iterator[Fault]:
    if rule.schedules and KEDA not in known.groups():
        reason = f"schedules need KEDA ({KEDA}), which the cluster does not serve"
        remedy = "install it, or leave them out, and have CI apply other limits at those times"
        yield Fault("schedules", reason, remedy)
    for i, schedule in enumerate(rule.schedules):
        yield from _unsaid(f"schedules.{i}", schedule, rule)


def _unsaid(path: str, asked: ScheduleRule, rule: AutoscaleRuleSpec) -> Iterator[Fault]:
    """Yield what of a schedule KEDA's cron cannot say."""
    only = "KEDA raises the least count for a time, and can do nothing else"
    least, most = rule.min_instances, rule.max_instances
    if asked.max_instances != most:
        reason = f"{asked.max_instances}, and the rule's is {most}: {only}"
        yield Fault(f"{path}.max_instances", reason, f"write {most}, or change both")
    if asked.min_instances < least:
        reason = f"{asked.min_instances} is below the rule's {least}: {only}"
        remedy = "write it as the rule's, and schedule the times that need more"
        yield Fault(f"{path}.min_instances", reason, remedy)
    try:
        window(asked.cron, asked.duration_s)
    except NotExpressible as fault:
        yield Fault(path, str(fault))


# -- what an instance asks for ---------------------------------------------------------------------


def _share_of_nothing(path: str, target: TargetRule, deployment: DeploymentSpec) -> Fault:
    amount = AMOUNTS[target.metric]
    reason = (
        f"{target.metric} is a share of what an instance asks for, and"
        f" '{deployment.endpoint}/{deployment.name}' asks for no {amount}"
    )
    remedy = f"add {amount} to the deployment's resources.requests, or name an instance_type"
    return Fault(path, reason, remedy)


def _asks_for(deployment: DeploymentSpec, amount: str) -> bool:
    """Whether an instance asks for an amount; a limit alone is asked for too."""
    asked = deployment.resources
    return bool(getattr(asked.requests, amount) or getattr(asked.limits, amount))


def _defaults(workspace: WorkspaceSpec | None, known: Known, namespace: str) -> set[str]:
    """Return what a container of a namespace asks for that says nothing.

    Of our own LimitRange counts what is declared, where that is known, and not what is there.
    """
    there = [*(known.objects(LIMITS, namespace) or ())]
    if workspace is not None:
        there = [one for one in there if not is_ours(one)]
        there += bounds(workspace.name, namespace, workspace.cluster)
    return {
        amount
        for one in there
        for limits in one["spec"].get("limits") or ()
        if limits.get("type") == "Container"
        for field in _DEFAULTING
        for amount in limits.get(field) or ()
    }


# -- autoscalers of others -------------------------------------------------------------------------


def _rival_faults(rule: AutoscaleRuleSpec, known: Known, namespace: str) -> Iterator[Fault]:
    found = rivals(known.objects(AUTOSCALER, namespace) or ())
    if not found:
        return
    for one in chain.from_iterable(known.objects(kind, namespace) or () for kind in KINDS):
        if names.deployment_of(labels_of(one)) != f"{rule.endpoint}/{rule.deployment}":
            continue
        for rival in found.get(name_of(one), ()):
            kind, name = AUTOSCALER.name, name_of(rival)
            reason = f"{kind} {name}, {made_by(rival)}, scales it already: the two would fight"
            yield Fault("", reason, f"delete it: kubectl -n {namespace} delete hpa {name}")
