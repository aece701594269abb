"""What is measured of a workspace in a cluster: its router's pods and metrics-server are asked."""

import json
from typing import Any

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure
from tests.memory import record, state_of, with_workspace, write_record

from inference_provider.errors import TargetError
from inference_provider.metrics.series import series
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec
from inference_provider.spec.amounts import quantity
from inference_provider.spec.resources import ResourceAmounts
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.targets.kubernetes.meter import admitted_pods, meter_of, pods_of
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.releases import HEADER, this_release
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.measured import Running
from inference_provider.workspace.state import State

PODS = "/api/v1/namespaces/lab/pods"
USED = "/apis/metrics.k8s.io/v1beta1/namespaces/lab/pods"
GENERATION = "iris-blue-5efdeb203621"
ANSWERS = "azml.requests.endpoint.iris.deployment.blue.code.200"
HALF = {"cpu": "500m", "memory": "1Gi"}
OLDER = TargetError(
    "ask", "the router", "its image is of another release, which does not know what is asked",
    "apply the workspace",
)  # fmt: skip


class Cluster:
    """A workspace with a router, and with instances of iris/blue."""

    def __init__(self) -> None:
        self.api = ClusterApi()
        self.api.refuse = self._answered
        self.requests: dict[str, int | TargetError | None] = {}
        """By router pod: what it has counted, or why it says nothing; None where it is silent."""
        self.refused: dict[str, int] = {}
        """Status by the end of a path."""
        self.at_s = 0.0
        place = "demo", "lab", self._running
        self.meter = meter_of(client_of(self.api), *place, clock=lambda: self.at_s)
        self.generations = [Running("iris/blue", GENERATION, ResourceAmounts())]

    def _running(self):
        return self.generations

    def _answered(self, asked: httpx.Request) -> httpx.Response | None:
        path = asked.url.path
        for end, status in self.refused.items():
            if path.endswith(end):
                refused = 'User "ann" cannot list resource "pods" in API group "metrics.k8s.io" in'
                return failure(status, f'pods is forbidden: {refused} the namespace "lab"')
        if "/proxy/" not in path:
            return None
        assert path.endswith(":8081/proxy/ask")
        found = self.requests[path.split("/")[6].partition(":")[0]]
        if found is None:
            return failure(503, "error trying to reach service: connection refused")
        if isinstance(found, TargetError):
            said: dict[str, Any] = {"error": written(found)}
        elif json.loads(asked.content)["ask"] == "histograms":
            said = {"answer": []}
        else:
            members = {f"cluster.iris/blue.membership_{n}": 2 for n in ("healthy", "total")}
            said = {"answer": {ANSWERS: found, "http.ingress.downstream_cx_active": 3, **members}}
        return httpx.Response(200, json=said, headers={HEADER: this_release()})

    def router(self, name, requests=0, *, ready=True, restarts=0, runs=True, beside=0):
        state = {"running": {}} if runs else {"waiting": {"reason": "ContainerCreating"}}
        container = {"name": "router", "restartCount": restarts, "state": state}
        self._put(name, "router", {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [container, {"name": "mesh", "restartCount": beside}],
        })  # fmt: skip
        self.requests[name] = requests

    def instance(self, name, cpu="125m", memory="256Mi", *, requests=None, generation=GENERATION):
        labels = {"pulumi-inference/object": generation, "pulumi-inference/generation": "g"}
        asks = {"resources": {"requests": HALF if requests is None else requests}}
        servers = {"containers": [{"name": "mesh"}, {"name": "server", **asks}]}
        self._put(name, "instance", {"phase": "Running"}, servers, **labels)
        if cpu:
            used = [
                {"name": "mesh", "usage": {"cpu": "4", "memory": "9Gi"}},
                {"name": "server", "usage": {"cpu": cpu, "memory": memory}},
            ]
            about = self.api.objects[f"{PODS}/{name}"]["metadata"]
            one = {"kind": "PodMetrics", "metadata": {**about}, "containers": used}
            self.api.put(f"{USED}/{name}", one)

    def _put(self, name, role, status: dict, spec: Any = (), **more):
        labels = {"pulumi-inference/workspace": "demo", "pulumi-inference/role": role, **more}
        about = {"name": name, "namespace": "lab", "labels": labels}
        kind: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod"}
        one = {**kind, "metadata": about, "spec": dict(spec), "status": status}
        self.api.put(f"{PODS}/{name}", one)

    def look(self):
        self.at_s += 60
        return self.meter()


@pytest.fixture
def cluster():
    return Cluster()


def values(before, now):
    return {(one.metric.name, *one.labels): one.value for one in series(before, now)}


RATE = "RequestsPerMinute", "iris", "blue", "200", "2xx", ""


def test_requests_are_those_of_all_pods_of_the_router(cluster):
    cluster.router("router-a", 100)
    cluster.router("router-b", 5000)
    before = cluster.look()
    cluster.router("router-a", 103)
    cluster.router("router-b", 5004)
    assert values(before, cluster.look()) == {
        RATE: 7.0,
        ("ConnectionsActive",): 6,
        ("DeploymentCapacity", "iris", "blue", "Healthy"): 2,
        ("DeploymentCapacity", "iris", "blue", "Unhealthy"): 0,
    }


def test_a_rolling_router_has_no_rate_that_is_negative_or_of_hours(cluster):
    cluster.router("router-a", 90_000)
    cluster.router("router-b", 90_000)
    cluster.router("router-c", ready=False, runs=False)
    before = cluster.look()
    assert before.notes == ()
    cluster.api.drop(f"{PODS}/router-a")
    cluster.router("router-b", 50_000, restarts=1)  # since: it has counted past what it had, or not
    cluster.router("router-c", 20)  # it was starting
    cluster.router("router-d", 4)
    assert values(before, cluster.look())[RATE] == 50_004.0


def test_a_container_that_others_add_may_start_again_and_nothing_counts_twice(cluster):
    cluster.router("router-a", 90_000)
    before = cluster.look()
    cluster.router("router-a", 90_007, beside=1)
    assert values(before, cluster.look())[RATE] == 7.0


def test_a_pod_that_takes_no_requests_has_no_say_in_how_many_instances_do(cluster):
    cluster.router("router-a", 1, ready=False)
    found = cluster.look()
    assert [one.instances for one in found.router.values()] == [{}]
    assert found.answered


def test_a_pod_that_does_not_answer_is_told_and_the_others_count(cluster):
    cluster.router("router-a", 10)
    cluster.router("router-b", None)
    before = cluster.look()
    assert before.notes == (
        "router pod router-b does not answer: what it has answered is not counted",
    )
    cluster.router("router-a", 12)
    cluster.router("router-b", 70_000)
    now = cluster.look()
    assert (now.notes, values(before, now)[RATE]) == ((), 2.0)


def test_a_pod_of_an_older_release_is_told_and_not_asked_for_more(cluster):
    cluster.router("router-a", OLDER)
    found = cluster.look()
    assert found.notes == (
        "router pod router-a: what it has answered is not counted: its image is of another"
        " release, which does not know what is asked; apply the workspace",
    )
    assert not found.answered


def test_a_right_to_ask_pods_that_is_missing_is_named(cluster):
    cluster.router("router-a")
    cluster.refused = {"/proxy/ask": 403}
    with pytest.raises(Forbidden):
        cluster.look()


def test_instances_use_shares_of_what_their_server_asks_for(cluster):
    cluster.instance("iris-blue-1")
    cluster.instance("iris-blue-2", cpu="250000000n", memory="536870912")
    cluster.instance("iris-blue-3", cpu=None)  # too young for metrics-server
    cluster.instance("iris-red-1", generation="iris-red-0", requests={"cpu": "1"})
    found = cluster.look()
    assert [(one.deployment, one.name, one.cpu, one.memory) for one in found.instances] == [
        ("iris/blue", "iris-blue-1", 25.0, 25.0),
        ("iris/blue", "iris-blue-2", 50.0, 50.0),
    ]
    assert found.notes == ()


def test_a_share_of_what_is_not_asked_for_is_not_known(cluster):
    cluster.instance("iris-blue-1", requests={"cpu": "250m"})
    found = cluster.look()
    assert [(one.cpu, one.memory) for one in found.instances] == [(50.0, None)]
    assert found.notes == (
        "'iris/blue' asks for no memory: the share that its instances use is unknown",
    )


@pytest.mark.parametrize(
    ("status", "note"),
    [
        (404, "the cluster does not serve metrics.k8s.io: {}"),
        (403, "{}: 'ann' may not list pods.metrics.k8s.io; ask for a Role with verb list on"
              " pods.metrics.k8s.io in namespace 'lab'"),
    ],
)  # fmt: skip
def test_a_cluster_that_does_not_tell_what_instances_use_is_told(cluster, status, note):
    cluster.router("router-a", 10)
    cluster.instance("iris-blue-1")
    cluster.refused = {USED: status}
    found = cluster.look()
    assert found.notes == (note.format("processor and memory of instances are not known"),)
    assert found.instances == ()
    assert found.answered


def test_what_a_look_that_failed_could_not_see_is_not_told_by_a_later_one(cluster):
    cluster.router("router-a", 10)
    cluster.instance("iris-blue-1")
    cluster.refused = {USED: 404, "/proxy/ask": 403}
    for _ in range(3):
        with pytest.raises(Forbidden):
            cluster.look()
    cluster.refused = {}
    assert cluster.look().notes == ()


def test_a_workspace_without_instances_asks_nobody_what_they_use(cluster):
    cluster.router("router-a")
    cluster.generations = []
    cluster.look()
    found = [one for one in cluster.api.requests if one.startswith("GET")]
    assert found == [f"GET {PODS}", "GET /api/v1/namespaces/lab/secrets/inference-router-questions"]


def admitting(*admitted: str) -> State:
    """Return the state of a workspace whose deployment admits these generations."""
    target = with_workspace(MemoryTarget())
    spec = DeploymentSpec(endpoint="iris", name="blue", environment="plain:1")
    one = record(Kind.DEPLOYMENT, spec)
    write_record(
        target, one.model_copy(update={"admitted": admitted, "generation": "5efdeb203621"})
    )
    return state_of(target)


def test_who_may_list_no_generations_finds_the_pods_that_deployments_admit():
    prefix = "pulumi-inference"
    of = {f"{prefix}/endpoint": "iris", f"{prefix}/deployment": "blue"}
    new = {**of, f"{prefix}/object": GENERATION, f"{prefix}/generation": "5efdeb203621"}
    old = {**of, f"{prefix}/object": "iris-blue-0ld", f"{prefix}/generation": "0ld"}
    containers = [{"name": "server", "resources": {"requests": HALF}}]
    pods = [
        {
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": containers},
            "status": {},
        }
        for name, labels in {"a": new, "b": new, "c": old, "d": {}}.items()
    ]
    amounts = ResourceAmounts(cpu="500.000m", memory="1073741824")
    assert admitted_pods(admitting(GENERATION), pods) == (
        Running("iris/blue", "a", amounts), Running("iris/blue", "b", amounts),
    )  # fmt: skip
    assert admitted_pods(admitting(), pods) == ()


@pytest.mark.parametrize(("status", "told"), [(0, True), (503, False), (404, False), (403, False)])
def test_a_reading_says_whether_it_is_told_what_instances_use(cluster, status, told):
    cluster.router("router-a")
    cluster.instance("a")
    cluster.refused = {USED: status} if status else {}
    assert cluster.look().told is told


def test_pods_that_end_are_no_instances_any_more():
    pod = {
        "metadata": {"name": "a", "labels": {"pulumi-inference/object": GENERATION}},
        "spec": {}, "status": {},
    }  # fmt: skip
    running = [Running("iris/blue", GENERATION, ResourceAmounts())]
    assert pods_of(running, [pod]) == (Running("iris/blue", "a", ResourceAmounts()),)
    ending = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-11-26T08:00:00Z"}}
    assert pods_of(running, [ending]) == ()


@pytest.mark.parametrize(
    ("written_", "number"),
    [
        ("1539714n", 0.001539714), ("12u", 0.000012), ("250m", 0.25), ("2", 2), ("0.5", 0.5),
        ("1k", 1000), ("1e3", 1000), ("1E3", 1000), ("2E", 2e18), ("128974848", 128974848),
        ("123Mi", 128974848), ("1Gi", 1073741824), ("1Pi", 1125899906842624),
    ],
)  # fmt: skip
def test_an_amount_is_read_however_an_api_server_writes_it(written_, number):
    assert quantity(written_) == pytest.approx(number)


@pytest.mark.parametrize("said", ["", "m", "1 Gi", "1Qi"])
def test_what_is_no_amount_is_refused(said):
    with pytest.raises(ValueError, match="is no amount"):
        quantity(said)
