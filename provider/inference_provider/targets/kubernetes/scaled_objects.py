"""An autoscale rule -> the ScaledObject of KEDA that keeps its targets and schedules. Pure.

KEDA makes a HorizontalPodAutoscaler of it, of which the trigger that wants most instances decides.
So a schedule can raise the least count for a time, and can do nothing else.
"""

from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.autoscale_rule import ScheduleRule, TargetRule
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.cron_windows import window
from inference_provider.targets.kubernetes.hpa import AMOUNTS, behavior
from inference_provider.targets.kubernetes.instance_manifests import SERVER
from inference_provider.targets.kubernetes.objects import SCALED_OBJECT, Kind, Object
from inference_provider.targets.kubernetes.router_manifests import METRICS_NAME
from inference_provider.targets.kubernetes.workloads import scale_target

KEDA = SCALED_OBJECT.api.partition("/")[0]
"""Its group."""


POLL_S = 2
"""Pause between two of KEDA's questions how many requests wait."""
IDLE_S = 300
"""Time without a request after which the last instance ends, where a rule says nothing of it."""


def scaled_object_spec(name: str, namespace: str, rule: AutoscaleRuleSpec, of: Kind) -> Object:
    """Return what keeps a rule for the workload of a name and a kind."""
    found = behavior(rule)
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": found}}
    return {
        "scaleTargetRef": scale_target(of, name),
        "minReplicaCount": rule.min_instances,
        "maxReplicaCount": rule.max_instances,
        **(_to_zero(rule) if not rule.min_instances else {}),
        **({"advanced": advanced} if found else {}),
        "triggers": [
            *(_target(target, rule, namespace) for target in rule.targets),
            *map(_schedule, rule.schedules),
        ],
    }


def _to_zero(rule: AutoscaleRuleSpec) -> Object:
    """Return how soon the first instance starts, and the last one ends."""
    asked_s = rule.scale_in.stabilization_s
    idle_s = IDLE_S if asked_s is None else asked_s
    return {
        "pollingInterval": POLL_S,
        "cooldownPeriod": idle_s,
        "initialCooldownPeriod": idle_s,
    }


def _target(asked: TargetRule, rule: AutoscaleRuleSpec, namespace: str) -> Object:
    if amount := AMOUNTS.get(asked.metric):
        about = {"value": str(int(asked.target)), "containerName": SERVER}
        return {"type": amount, "metricType": "Utilization", "metadata": about}
    host = f"{METRICS_NAME}.{namespace}.svc:{names.SYNC_PORT}"
    about = {
        "url": f"http://{host}/in-flight/{rule.endpoint}/{rule.deployment}",
        "valueLocation": "requests",
        "targetValue": f"{round(asked.target, 3):.15g}",
    }
    return {"type": "metrics-api", "metricType": "AverageValue", "metadata": about}


def _schedule(asked: ScheduleRule) -> Object:
    start, end = window(asked.cron, asked.duration_s)
    about = {
        "timezone": asked.time_zone,
        "start": start,
        "end": end,
        "desiredReplicas": str(asked.min_instances),
    }
    return {"type": "cron", "metadata": about}
