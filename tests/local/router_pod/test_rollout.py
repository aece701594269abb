"""A split on its way in a cluster, with a real Envoy: what pods count decides, one client moves."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from tests.cluster_api import client_of, failure
from tests.local.router_pod.cluster import Cluster, RouterPod, record
from tests.local.server.model import Model, until

from inference_provider.observed import Actor, Kind
from inference_provider.service.canaries import Canaries
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.pod_counts import PodCounts
from inference_provider.targets.kubernetes.question_pass import HEADER
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.kept_shift import Shift, Step
from inference_provider.workspace.shifts import put_shift

pytestmark = pytest.mark.local

SERVICE = Actor(user="demo", command="rollout")
ALARM = {"metric": "ErrorRate", "above": 5, "window_s": 10}


class Failing(Model):
    """Answers each request for a score with an error."""

    async def answer(self, scope, receive, send) -> None:
        path = "/status/500" if scope.get("path") == "/score" else scope.get("path")
        await super().answer({**scope, "path": path}, receive, send)


class Service:
    """The service of a workspace, as a process of its own would be it."""

    def __init__(self, cluster: Cluster, pod: RouterPod) -> None:
        self.at_s = 0.0
        self.silent = False
        place = KubernetesPlace(kind="kubernetes", namespace="lab")
        platform = KubernetesPlatform(place)
        platform.__dict__["client"] = client = client_of(cluster.api)
        platform.router("demo").is_the_service = True
        self.engine = Engine(platform)
        counts = PodCounts(client, "demo", "lab")
        self.canaries = Canaries(
            self.engine, "demo", counts, actor=SERVICE, clock_s=lambda: self.at_s
        )
        self._pod = pod
        cluster.api.refuse = self._asked

    def _asked(self, asked: httpx.Request) -> httpx.Response | None:
        """Lead what is asked of the router's pod to the process that it is."""
        _, _, path = asked.url.path.partition(":8081/proxy")
        if not path:
            return None
        if self.silent:
            return failure(503, "error trying to reach service: connection refused")
        found = self._pod.client.request(
            asked.method,
            path,
            params=asked.url.params,
            content=asked.content,
            headers={HEADER: asked.headers.get(HEADER, "")},
        )
        return httpx.Response(found.status_code, content=found.content, headers=found.headers)

    def looks(self, seconds: float = 0.0) -> None:
        self.at_s += seconds
        self.canaries.look()

    @property
    def moves(self) -> list[str]:
        return [one.action for one in self.engine.journal("demo") if one.why]


def begin(cluster: Cluster) -> None:
    """Have a split on its way: green has 20 % of it, and 60 % once that has baked for a minute."""
    steps = [{"share": 20, "bake_minutes": 1}, {"share": 60, "bake_minutes": 1}]
    plan = {"steps": steps, "alarms": [ALARM]}
    split = {"traffic": {"green": 100}, "mirror_traffic": {}, "rollout": plan}
    now = datetime.now(UTC)
    kept = Shift(
        origin={"blue": 100},
        goal={"green": 100},
        generations={"green": "g1"},
        steps=tuple(Step.model_validate(one) for one in steps),
        since=now,
        began=now,
        actor=SERVICE,
    )
    with cluster.records.edit():
        settings = RouterSettings(image="router:1").model_dump_json()
        cluster.records.put("address", "router", settings)
        cluster.state.put_record(record(Kind.TRAFFIC, "iris", **split))
        put_shift(cluster.records, "iris", kept)


@pytest.fixture
def service(cluster: Cluster, pod: RouterPod) -> Iterator[Service]:
    labels = {"pulumi-inference/workspace": "demo", "pulumi-inference/role": "router"}
    about = {"name": "router-a", "namespace": "lab", "labels": labels}
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    one = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {}, "status": status}
    cluster.api.put("/api/v1/namespaces/lab/pods/router-a", one)
    begin(cluster)
    yield Service(cluster, pod)


def score(pod: RouterPod, times: int) -> list[int]:
    headers = {"authorization": "Bearer first-secret-8c1e"}
    url = f"http://127.0.0.1:{pod.table.port}/endpoints/iris/score"
    with httpx.Client(trust_env=False, timeout=10, headers=headers) as client:
        return [client.post(url).status_code for _ in range(times)]


def test_a_good_version_gets_its_steps_and_pods_serve_each(pod: RouterPod, service: Service):
    service.looks()
    until(lambda: pod.weights == {"blue": 80, "green": 20})
    for shares in ({"blue": 40, "green": 60}, {"green": 100}):
        assert {*score(pod, 20)} == {200}
        service.looks(30)
        service.looks(31)
        assert {name: share for name, share in pod.weights.items() if share} == shares
    assert service.moves == ["step on", "finish the rollout of"]
    assert service.engine.shifts("demo") == ()


def test_a_version_that_fails_goes_back_by_what_the_pod_has_counted(
    cluster: Cluster, pod: RouterPod, service: Service, models: dict[str, Model]
):
    bad = Failing("green")
    try:
        cluster.serve("green", models["green"], ready=False)
        cluster.serve("green", bad)
        until(lambda: pod.ask("status")["healthy"].get("iris/green") == 1)
        service.looks()
        until(lambda: pod.weights == {"blue": 80, "green": 20})
        answers = score(pod, 150)
        assert {*answers} == {200, 424}
        service.looks(1)
        assert {name: share for name, share in pod.weights.items() if share} == {"blue": 100}
        [entry] = [one for one in service.engine.journal("demo") if one.why]
        failed = answers.count(424)
        assert entry.why == (
            f"'iris/green': ErrorRate 100 % above 5 %, of {failed} requests in 1 s"
        )
        assert entry.actor == SERVICE
    finally:
        bad.close()


def test_a_step_does_not_bake_while_a_pod_that_takes_requests_does_not_tell(
    pod: RouterPod, service: Service
):
    service.looks()
    score(pod, 20)
    service.silent = True
    service.looks(300)
    service.silent = False
    service.looks(1)
    service.looks(30)
    assert service.moves == []
    service.looks(31)
    assert service.moves == ["step on"]
