"""An autoscale rule and a generation -> the HorizontalPodAutoscaler that keeps its targets. Pure.

Which rules a cluster can keep is decided here too; where the count itself is written, `counts.py`
knows.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence

from inference_provider.errors import Fault
from inference_provider.spec import AutoscaleRuleSpec, DeploymentSpec
from inference_provider.spec.autoscale_rule import ScalingPace, TargetRule
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.generations import replicas
from inference_provider.targets.kubernetes.instance_manifests import SERVER, Generation
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    DEPLOYMENT,
    Object,
    annotations_of,
)
from inference_provider.targets.kubernetes.observed_objects import There, altered
from inference_provider.targets.kubernetes.rivals import told

RULE = f"{names.PREFIX}/rule"
"""Annotation: a hash of what was applied."""
IN_FLIGHT = "inference_requests_in_flight"
"""Metric of a pod that an adapter has to serve for RequestsInFlight."""
_AMOUNTS = {"CpuUtilizationPercentage": "cpu", "CpuMemoryUtilizationPercentage": "memory"}
_GROUP_OF_AMOUNTS, _GROUP_OF_OTHERS = "metrics.k8s.io", "custom.metrics.k8s.io"


def autoscaler(generation: Generation, rule: AutoscaleRuleSpec) -> Object:
    """Return what keeps the targets of a rule for one generation."""
    spec = _spec(generation.name, rule)
    return {
        "apiVersion": AUTOSCALER.api,
        "kind": AUTOSCALER.name,
        "metadata": {
            "name": generation.name,
            "namespace": generation.namespace,
            "labels": dict(generation.labels),
            "annotations": {RULE: _hash(spec)},
        },
        "spec": spec,
    }


def _spec(name: str, rule: AutoscaleRuleSpec) -> Object:
    behavior = {
        field: found
        for field, pace in (("scaleUp", rule.scale_out), ("scaleDown", rule.scale_in))
        if (found := _pace(pace))
    }
    return {
        "scaleTargetRef": {"apiVersion": DEPLOYMENT.api, "kind": DEPLOYMENT.name, "name": name},
        "minReplicas": rule.min_instances,
        "maxReplicas": rule.max_instances,
        "metrics": [_metric(target) for target in rule.targets],
        **({"behavior": behavior} if behavior else {}),
    }


def scaling_faults(
    name: str, rule: AutoscaleRuleSpec | None, there: There, others: Sequence[Object]
) -> Iterator[str]:
    """Say what is wrong with the autoscaler of a generation, or that there should be none.

    Args:
        name: That of the generation.
        rule: What it is to follow.
        there: What there is.
        others: Autoscalers of others that scale it.
    """
    kind, found, of = AUTOSCALER.name, there.get((AUTOSCALER, name)), there.get((DEPLOYMENT, name))
    remedy = "the rule" if rule else "declare an autoscale rule instead"
    yield from told(others, name, ruled=rule is not None, remedy=remedy)
    if found in others:
        return
    if rule is None:
        yield from [f"{kind} {name} is left over"] if found else []
        return
    yield from altered([(AUTOSCALER, name)], there)
    if found and annotations_of(found).get(RULE) != _hash(_spec(name, rule)):
        yield f"{kind} {name} follows another rule than is recorded"
    if of is not None and not replicas(of):
        yield f"{DEPLOYMENT.name} {name} was scaled to 0, which turns its {kind} off"


def _hash(spec: Object) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]


def _metric(asked: TargetRule) -> Object:
    """Return a metric of the server alone: what others add to a pod asks for amounts of its own."""
    if amount := _AMOUNTS.get(asked.metric):
        share = {"type": "Utilization", "averageUtilization": int(asked.target)}
        resource = {"name": amount, "container": SERVER, "target": share}
        return {"type": "ContainerResource", "containerResource": resource}
    each = {"type": "AverageValue", "averageValue": f"{round(asked.target * 1000)}m"}
    return {"type": "Pods", "pods": {"metric": {"name": IN_FLIGHT}, "target": each}}


def _pace(asked: ScalingPace) -> Object:
    found: Object = {}
    if asked.stabilization_s is not None:
        found["stabilizationWindowSeconds"] = asked.stabilization_s
    if asked.max_change is not None:
        policy = {"type": "Pods", "value": asked.max_change, "periodSeconds": asked.period_s}
        found["policies"] = [policy]
    return found


# -- what a cluster cannot do ----------------------------------------------------------------------


def rule_faults(
    rule: AutoscaleRuleSpec,
    deployment: DeploymentSpec | None,
    served: Callable[[], Collection[str]],
) -> Iterator[Fault]:
    """Yield why a cluster cannot keep a rule; nothing of one that is off.

    Args:
        rule: It.
        deployment: Whose count it decides; None where that is not known.
        served: Says which groups the API has.
    """
    if not rule.enabled:
        return
    if rule.metrics:
        remedy = "write targets: [{metric: CpuUtilizationPercentage, target: 70}] instead"
        yield Fault("metrics", "a cluster keeps a target, and knows no steps", remedy)
    if rule.schedules:
        remedy = "leave them out, and have CI apply other limits at those times"
        yield Fault("schedules", "a HorizontalPodAutoscaler knows no time of day", remedy)
    if rule.min_instances == 0:
        yield Fault("min_instances", "a HorizontalPodAutoscaler keeps at least 1", "write 1")
    if not rule.targets and not rule.metrics:
        remedy = "write targets: [{metric: CpuUtilizationPercentage, target: 70}]"
        yield Fault("targets", "missing: a cluster scales by nothing else", remedy)
    for i, target in enumerate(rule.targets):
        yield from _target_faults(f"targets.{i}", target, deployment, served)


def _target_faults(
    path: str,
    target: TargetRule,
    deployment: DeploymentSpec | None,
    served: Callable[[], Collection[str]],
) -> Iterator[Fault]:
    amount = _AMOUNTS.get(target.metric)
    group = _GROUP_OF_AMOUNTS if amount else _GROUP_OF_OTHERS
    if group not in served():
        install = "metrics-server" if amount else "an adapter, such as prometheus-adapter"
        other = "" if amount else ", or use CpuUtilizationPercentage"
        reason = f"{target.metric} needs {group}, which the cluster does not serve"
        yield Fault(path, reason, f"install {install}{other}")
    if amount and deployment is not None and not _asks_for(deployment, amount):
        reason = (
            f"{target.metric} is a share of what an instance asks for, and"
            f" '{deployment.endpoint}/{deployment.name}' asks for no {amount}"
        )
        remedy = f"add {amount} to the deployment's resources.requests, or name an instance_type"
        yield Fault(path, reason, remedy)


def _asks_for(deployment: DeploymentSpec, amount: str) -> bool:
    """Whether an instance asks for an amount; a limit alone is asked for too."""
    asked = deployment.resources
    return bool(getattr(asked.requests, amount) or getattr(asked.limits, amount))
