"""Autoscale rules that a cluster cannot keep are refused when planning."""

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure
from tests.memory import desired
from tests.unit.cluster_compute.rules import DAY, KEDA, rule

from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.spec import AutoscaleRuleSpec, DeploymentSpec, WorkspaceSpec
from inference_provider.targets.kubernetes.capabilities import Asked, kubernetes_capabilities
from inference_provider.targets.kubernetes.classes import KnownNames
from inference_provider.targets.kubernetes.hpa import IN_FLIGHT
from inference_provider.targets.kubernetes.kept_rules import rule_faults

ALL = ("metrics.k8s.io", "custom.metrics.k8s.io")


class Cluster:
    """What is known of one."""

    def __init__(self, *groups: str, **objects: list[dict] | None):
        self.served = groups
        self.there = objects

    def groups(self):
        return self.served

    def objects(self, kind, namespace=""):
        assert namespace == "demo"
        return self.there.get(kind.name, [])


def faults(known, asked, deployment, space=None) -> list[str]:
    found = rule_faults(asked, deployment, space, known, lambda name: name)
    return [str(fault) for fault in found]


def blue(**resources) -> DeploymentSpec:
    return DeploymentSpec.model_validate(
        {"endpoint": "iris", "name": "blue", "environment": "plain:1", "resources": resources}
    )


STEP = {"metric": "RequestLatency", "operator": "less_than", "threshold": 9, "change": -1}


@pytest.mark.parametrize(
    ("asked", "served", "told"),
    [
        pytest.param(rule(), ALL, [], id="nothing"),
        pytest.param(
            rule(metrics=[STEP]),
            ALL,
            [
                "metrics: a cluster keeps a target, and knows no steps; write targets: [{metric:"
                " CpuUtilizationPercentage, target: 70}] instead"
            ],
            id="steps",
        ),
        pytest.param(
            rule(metrics=[STEP, {**STEP, "metric": "RequestsQueued"}]),
            ALL,
            [
                "metrics: a cluster keeps a target, and knows no steps; write targets: [{metric:"
                " CpuUtilizationPercentage, target: 70}] instead",
                "metrics.1.metric: a cluster measures no RequestsQueued; write RequestsInFlight in"
                " targets, with as many an instance as may be there at a time, those that wait too",
            ],
            id="a queue",
        ),
        pytest.param(rule(schedules=[DAY]), KEDA, [], id="schedules"),
        pytest.param(rule(schedules=[DAY], targets=[]), KEDA, [], id="schedules alone"),
        pytest.param(
            rule(schedules=[DAY]),
            ALL,
            [
                "schedules: schedules need KEDA (keda.sh), which the cluster does not serve;"
                " install it, or leave them out, and have CI apply other limits at those times"
            ],
            id="no KEDA",
        ),
        pytest.param(
            rule(schedules=[DAY, {**DAY, "max_instances": 4}]),
            KEDA,
            [
                "schedules.1.max_instances: 4, and the rule's is 5: KEDA raises the least count"
                " for a time, and can do nothing else; write 5, or change both"
            ],
            id="another most",
        ),
        pytest.param(
            rule(min_instances=2, schedules=[{**DAY, "min_instances": 1}]),
            KEDA,
            [
                "schedules.0.min_instances: 1 is below the rule's 2: KEDA raises the least count"
                " for a time, and can do nothing else; write it as the rule's, and schedule the"
                " times that need more"
            ],
            id="a lower least",
        ),
        pytest.param(
            rule(schedules=[{**DAY, "cron": "0 * * * *"}]),
            KEDA,
            [
                "schedules.0: it lasts 600 minutes, and begins again after 60; KEDA's cron knows"
                " no windows that overlap"
            ],
            id="overlap",
        ),
        pytest.param(
            rule(min_instances=0),
            ALL,
            [
                "min_instances: 0 needs KEDA (keda.sh), which the cluster does not serve; install"
                " it, or write 1",
                "min_instances: 0 needs RequestsInFlight: no other metric can start the first"
                " instance; add {metric: RequestsInFlight, target: 4} to targets, or write 1",
            ],
            id="to zero",
        ),
        pytest.param(
            rule(min_instances=0, targets=[{"metric": "RequestsInFlight", "target": 4}]),
            ("keda.sh",),
            [],
            id="to zero by KEDA",
        ),
        pytest.param(
            rule(targets=[]),
            ALL,
            [
                "targets: missing: a cluster scales by nothing else; write targets: [{metric:"
                " CpuUtilizationPercentage, target: 70}]"
            ],
            id="no targets",
        ),
        pytest.param(
            rule(targets=[{"metric": "RequestsInFlight", "target": 8}]),
            ("metrics.k8s.io",),
            [
                "targets.0: RequestsInFlight needs KEDA (keda.sh) or custom.metrics.k8s.io, and the"
                " cluster serves neither; install KEDA, or an adapter such as prometheus-adapter,"
                " or use CpuUtilizationPercentage"
            ],
            id="no adapter",
        ),
        pytest.param(
            rule(targets=[{"metric": "RequestsInFlight", "target": 8}]),
            ("keda.sh",),
            [],
            id="requests in flight by KEDA",
        ),
        pytest.param(
            rule(),
            (),
            [
                "targets.0: CpuUtilizationPercentage needs metrics.k8s.io, which the cluster does"
                " not serve; install metrics-server"
            ],
            id="no metrics-server",
        ),
        pytest.param(rule(enabled=False, min_instances=0, metrics=[STEP]), (), [], id="off"),
    ],
)
def test_a_rule_that_a_cluster_cannot_keep_is_refused(asked, served, told):
    known = Cluster(*served)
    assert faults(known, asked, blue(requests={"cpu": "1"})) == told


def test_a_share_of_what_an_instance_does_not_ask_for_is_refused_when_planning():
    memory = rule(targets=[{"metric": "CpuMemoryUtilizationPercentage", "target": 80}])
    known = Cluster(*ALL)

    def both_asked(asked, deployment, space):
        return rule_faults(asked, deployment, space, known, lambda name: name)

    asked = Asked(rule_faults=both_asked)
    can = kubernetes_capabilities(lambda: None, lambda: None, asked)

    def told(spec: AutoscaleRuleSpec, deployment: DeploymentSpec) -> list[str]:
        deployment = deployment.model_copy(update={"workspace": "demo"})
        both = (desired(Kind.DEPLOYMENT, deployment), desired(Kind.AUTOSCALE_RULE, spec))
        return [str(one) for one in refusals(both, can)]

    assert told(memory, blue(requests={"cpu": "1"})) == [
        "AutoscaleRule 'demo/iris/blue' on target 'kubernetes': targets.0:"
        " CpuMemoryUtilizationPercentage is a share of what an instance asks for, and 'iris/blue'"
        " asks for no memory; add memory to the deployment's resources.requests, or name an"
        " instance_type"
    ]
    assert told(memory, blue(limits={"memory": "1Gi"})) == []
    assert told(rule(), blue(requests={"cpu": "500m"})) == []


# -- what a LimitRange gives -----------------------------------------------------------------------


def limit_range(limits: dict, type_: str = "Container", manager: str = "kubectl") -> dict:
    about = {"name": "usual", "managedFields": [{"manager": manager}]}
    return {"metadata": about, "spec": {"limits": [{"type": type_, **limits}]}}


NONE_ASKED = [
    "targets.0: CpuUtilizationPercentage is a share of what an instance asks for, and 'iris/blue'"
    " asks for no cpu; add cpu to the deployment's resources.requests, or name an instance_type"
]


@pytest.mark.parametrize("field", ["defaultRequest", "default", "max", "min"])
def test_what_a_limit_range_of_the_namespace_gives_is_asked_for(field):
    known = Cluster(*ALL, LimitRange=[limit_range({field: {"cpu": "1"}})])
    assert faults(known, rule(), blue()) == []
    known = Cluster(*ALL, LimitRange=[limit_range({field: {"memory": "1Gi"}})])
    assert faults(known, rule(), blue()) == NONE_ASKED


def test_limits_of_whole_pods_are_asked_for_by_no_container():
    known = Cluster(*ALL, LimitRange=[limit_range({"max": {"cpu": "1"}}, "Pod")])
    assert faults(known, rule(), blue()) == NONE_ASKED


def test_limit_ranges_that_this_user_may_not_list_give_nothing():
    assert faults(Cluster(*ALL, LimitRange=None), rule(), blue()) == NONE_ASKED


@pytest.mark.parametrize("field", ["default_request", "default", "max", "min"])
def test_what_the_workspace_declares_is_asked_for_before_it_is_there(field):
    declared = WorkspaceSpec(name="demo", cluster={"limits": {field: {"cpu": "1"}}})
    assert faults(Cluster(*ALL), rule(), blue(), declared) == []


def test_limits_of_ours_that_are_declared_no_more_give_nothing():
    ours = limit_range({"default": {"cpu": "1"}}, manager="pulumi-inference")
    known = Cluster(*ALL, LimitRange=[ours])
    assert faults(known, rule(), blue(), WorkspaceSpec(name="demo")) == NONE_ASKED
    assert faults(known, rule(), blue()) == []


# -- what others scale -----------------------------------------------------------------------------


def scaling(name: str, of: str, manager: str) -> dict:
    about = {"name": name, "managedFields": [{"manager": manager, "time": "2026-11-26T08:00:00Z"}]}
    return {"metadata": about, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": of}}}


def generation(name: str, deployment: str) -> dict:
    labels = {"pulumi-inference/endpoint": "iris", "pulumi-inference/deployment": deployment}
    return {"metadata": {"name": name, "labels": labels}}


def test_a_rule_beside_an_autoscaler_of_others_is_refused():
    there = [generation("iris-blue-1", "blue"), generation("iris-green-1", "green")]
    scaled = [
        scaling("iris-blue-1", "iris-blue-1", "pulumi-inference"),
        scaling("web", "iris-blue-1", "kubectl-autoscale"),
        scaling("other", "iris-green-1", "kubectl-autoscale"),
    ]
    known = Cluster(*ALL, HorizontalPodAutoscaler=scaled, Deployment=there)
    asked = blue(requests={"cpu": "1"})
    assert faults(known, rule(), asked) == [
        "HorizontalPodAutoscaler web, made by kubectl-autoscale at 2026-11-26T08:00:00Z, scales it"
        " already: the two would fight; delete it: kubectl -n demo delete hpa web"
    ]
    assert faults(known, rule(enabled=False), asked) == []
    unknown = Cluster(*ALL, HorizontalPodAutoscaler=None)
    assert faults(unknown, rule(), asked) == []


def test_what_keda_makes_of_our_scaled_object_is_not_of_others():
    made = scaling("keda-hpa-iris-blue-1", "iris-blue-1", "keda")
    labels = {"app.kubernetes.io/managed-by": "pulumi-inference"}
    theirs = scaling("keda-hpa-web", "iris-blue-1", "keda")
    there = [generation("iris-blue-1", "blue")]
    asked, day = blue(requests={"cpu": "1"}), rule(schedules=[DAY])
    ours = {**made, "metadata": {**made["metadata"], "labels": labels}}
    assert (
        faults(Cluster(*KEDA, HorizontalPodAutoscaler=[ours], Deployment=there), day, asked) == []
    )
    both = Cluster(*KEDA, HorizontalPodAutoscaler=[ours, theirs], Deployment=there)
    assert [one.partition(",")[0] for one in faults(both, day, asked)] == [
        "HorizontalPodAutoscaler keda-hpa-web"
    ]


def test_which_metrics_are_served_is_asked_once_for_many_rules():
    api = ClusterApi()
    api.groups = ("apps", "metrics.k8s.io", "custom.metrics.k8s.io")
    known = KnownNames(lambda: client_of(api))
    for _ in range(3):
        assert known.groups() == {"apps", "metrics.k8s.io", "custom.metrics.k8s.io"}
    assert api.requests == ["GET /apis"]


@pytest.mark.parametrize(
    ("answer", "has"),
    [
        (httpx.Response(200, json={"resources": [{"name": f"pods/{IN_FLIGHT}"}]}), True),
        (httpx.Response(200, json={"resources": [{"name": "pods/other"}]}), False),
        (failure(404, "not found"), False),
        (failure(403, "you may not"), True),
    ],
)
def test_an_adapter_without_the_metric_leaves_requests_in_flight_to_keda(answer, has):
    api = ClusterApi()
    api.groups = ("custom.metrics.k8s.io", "keda.sh")
    api.refuse = lambda asked: (
        answer if asked.url.path == "/apis/custom.metrics.k8s.io/v1" else None
    )
    known = KnownNames(lambda: client_of(api)).groups()
    assert known == ({*api.groups} if has else {"keda.sh"})
