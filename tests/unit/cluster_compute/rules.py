"""Autoscale rules of a deployment, and what a cluster keeps of them."""

from tests.cluster_controllers import DEPLOYMENTS
from tests.memory import desired
from tests.unit.cluster_compute.units import unit

from inference_provider.desired import properties_of
from inference_provider.observed import Actor, Kind, Record
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State

CPU = {"metric": "CpuUtilizationPercentage", "target": 70}
NAME = "iris-blue-5efdeb203621"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/lab/horizontalpodautoscalers"
KEDA = ("metrics.k8s.io", "custom.metrics.k8s.io", "keda.sh")
DAY = {"cron": "0 8 * * 1-5", "duration_s": 36_000, "min_instances": 4, "max_instances": 5}


def rule(**fields) -> AutoscaleRuleSpec:
    base = {"workspace": "demo", "endpoint": "iris", "deployment": "blue", "max_instances": 5}
    return AutoscaleRuleSpec.model_validate({**base, "targets": [CPU], **fields})


def ruled(asked: AutoscaleRuleSpec | None = None, generation: str = "5efdeb203621") -> Unit:
    plain = unit(generation)
    fields = {name: getattr(plain, name) for name in ("id", "generation", "spec", "environment")}
    return Unit(**fields, rule=asked or rule())


def scaled(api, count: int) -> None:
    """Change the count as an autoscaler does."""
    there = api.objects[f"{DEPLOYMENTS}/{NAME}"]
    api.put(f"{DEPLOYMENTS}/{NAME}", {**there, "spec": {**there["spec"], "replicas": count}})


def count(api) -> int:
    return api.objects[f"{DEPLOYMENTS}/{NAME}"]["spec"]["replicas"]


def altered(compute, spec: AutoscaleRuleSpec | None) -> tuple[str, ...]:
    """Return what is wrong beside a recorded rule."""
    state = State(compute._records)
    wanted = desired(Kind.AUTOSCALE_RULE, spec or rule())
    made = Record(
        id=wanted.id,
        owner="demo",
        properties=properties_of(wanted.spec),
        actor=Actor(user="ann"),
        time="2026-11-26T08:00:00Z",
    )
    with compute._records.edit():
        state.put_record(made) if spec else state.drop_record(wanted.id)
    found = compute.status().altered.get("iris/blue", ())
    assert compute.status("iris/blue").altered.get("iris/blue", ()) == found
    return found
