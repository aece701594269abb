"""An autoscale rule -> the HorizontalPodAutoscaler that keeps its targets. Pure."""

from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.autoscale_rule import ScalingPace, TargetRule
from inference_provider.targets.kubernetes.instance_manifests import SERVER
from inference_provider.targets.kubernetes.objects import Kind, Object
from inference_provider.targets.kubernetes.workloads import scale_target

IN_FLIGHT = "inference_requests_in_flight"
"""Metric of a pod that an adapter may serve for RequestsInFlight."""
OF_OTHERS = "custom.metrics.k8s.io"
"""Group of the API of metrics that adapters serve."""
AMOUNTS = {"CpuUtilizationPercentage": "cpu", "CpuMemoryUtilizationPercentage": "memory"}
"""Metrics that are a share of what an instance asks for, and of what."""


def autoscaler_spec(name: str, rule: AutoscaleRuleSpec, of: Kind) -> Object:
    """Return what keeps the targets of a rule for the workload of a name and a kind."""
    found = behavior(rule)
    return {
        "scaleTargetRef": scale_target(of, name),
        "minReplicas": rule.min_instances,
        "maxReplicas": rule.max_instances,
        "metrics": [_metric(target) for target in rule.targets],
        **({"behavior": found} if found else {}),
    }


def behavior(rule: AutoscaleRuleSpec) -> Object:
    """Return how fast the count may change; empty where a rule says nothing of it."""
    return {
        field: found
        for field, pace in (("scaleUp", rule.scale_out), ("scaleDown", rule.scale_in))
        if (found := _pace(pace))
    }


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
