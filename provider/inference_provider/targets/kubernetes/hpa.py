"""An autoscale rule and a generation -> the HorizontalPodAutoscaler that keeps its targets. Pure.

Which rules a cluster can keep, `kept_rules.py` knows; where the count is written, `counts.py`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence

from inference_provider.spec import AutoscaleRuleSpec
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
AMOUNTS = {"CpuUtilizationPercentage": "cpu", "CpuMemoryUtilizationPercentage": "memory"}
"""What an instance asks for that a metric is a share of."""


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
    if amount := AMOUNTS.get(asked.metric):
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
