"""How many requests a cluster's API gets for many deployments, whatever each of them costs."""

import pytest
from tests.cluster_api import ClusterApi, client_of
from tests.cluster_controllers import Controllers
from tests.unit.cluster_target.stack import Pods

from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.spec import StackSpec
from inference_provider.spec.target import place_from
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.kubernetes import names, pod_wait
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.statuses import RouterStatus

ANN = Actor(user="ann", command="pytest")
ENDPOINTS, PARALLEL = 8, 32
DEPLOYMENTS = [(f"shop-{n}", name) for n in range(ENDPOINTS) for name in ("blue", "green")]
PLACE = {"kind": "kubernetes", "namespace": "lab"}
ROUTE = {"path": "/", "port": 8080}
ROUTES = {f"{name}_route": ROUTE for name in ("liveness", "readiness", "scoring")}


def stack(*, deployed: bool) -> Stack:
    inside = {"workspace": "demo"}
    workspace = {"name": "demo", "target": PLACE, "runtime_image": "router:1"}
    environment = {**inside, "name": "own", "image": "server:1", "inference_config": ROUTES}
    document = {"name": "shop", "workspaces": [workspace], "environments": [environment]}
    if deployed:
        document["endpoints"] = [{**inside, "name": f"shop-{n}"} for n in range(ENDPOINTS)]
        document["deployments"] = [
            {**inside, "endpoint": endpoint, "name": name, "environment": "own:1"}
            for endpoint, name in DEPLOYMENTS
        ]
    return Stack.of(StackSpec.model_validate(document))


def engine(api: ClusterApi) -> Engine:
    platform = KubernetesPlatform(place_from(PLACE))
    platform.__dict__["client"] = client_of(api)
    return Engine(platform)


def pipeline(api: ClusterApi) -> Pipeline:
    """Return one that knows nothing yet, as a command that begins."""
    return Pipeline(engine(api), ANN)


def up(api: ClusterApi, declared: Stack) -> None:
    made = pipeline(api)
    with made.hold(declared) as workspaces:
        made.apply(made.plan(declared, workspaces), parallel=PARALLEL)


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(pod_wait, "_TELLS_S", 20.0)  # of a busy machine
    made = ClusterApi()
    made.watch_s = 60
    made.refuse = Pods()
    healthy = {f"{endpoint}/{name}": 1 for endpoint, name in DEPLOYMENTS}
    status = RouterStatus(weights={}, mirrors={}, healthy=healthy)
    made.refuse.answers["status"] = status.model_dump(mode="json")
    with Controllers(made):
        up(made, stack(deployed=False))
        made.requests.clear()
        yield made


def test_a_first_up_sends_few_requests_for_each_deployment(api):
    up(api, stack(deployed=True))
    assert len(api.requests) / len(DEPLOYMENTS) <= 36  # on a busy machine locks are renewed too
    asked_pods = [one for one in api.requests if one.endswith("/namespaces/lab/pods")]
    assert len(asked_pods) / len(DEPLOYMENTS) <= 4  # nobody polls


def test_a_look_at_all_that_runs_takes_as_many_requests_as_at_nothing(api):
    empty = count_of(lambda: pipeline(api).drift(stack(deployed=False)), api)
    up(api, stack(deployed=True))
    full = count_of(lambda: pipeline(api).drift(stack(deployed=True)), api)
    assert (empty, full) == (18, 18)
    assert count_of(lambda: up(api, stack(deployed=True)), api) == 21


def test_a_look_at_one_deployment_and_a_split_list_no_instances_of_others(api, monkeypatch):
    up(api, stack(deployed=True))
    answer, listed = api.answer, []

    def counted(asked):
        found = answer(asked)
        if asked.method == "GET" and "watch" not in asked.url.params and found.is_success:
            labels = [one["metadata"].get("labels", {}) for one in found.json().get("items", ())]
            listed.extend(one[names.ENDPOINT] for one in labels if names.ENDPOINT in one)
        return found

    monkeypatch.setattr(api, "answer", counted)
    shop = ResourceId(kind=Kind.ENDPOINT, workspace="demo", name="shop-3")
    blue = shop.model_copy(update={"kind": Kind.DEPLOYMENT, "name": "shop-3/blue"})
    assert engine(api).observe_one(blue).degraded == ""
    assert listed == ["shop-3"] * 5  # its Deployment, Service, Secret, budget and pod
    listed.clear()
    assert count_of(lambda: pipeline(api).split(shop, {"blue": 100}), api) <= 36
    assert listed == []


def count_of(call, api) -> int:
    api.requests.clear()
    call()
    return len(api.requests)
