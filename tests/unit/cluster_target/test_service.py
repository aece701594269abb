"""The workspace service of a cluster: there while splits may have to move, and as it says it is."""

import threading
import time
from datetime import UTC, datetime

import pytest
from tests.cluster_api import failure
from tests.unit.cluster_target.stack import ANN, desired, said

from inference_provider.alerts import Standing
from inference_provider.canary import Move
from inference_provider.desired import resolve
from inference_provider.errors import RouterRejected, TargetError
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.service.in_cluster import mover
from inference_provider.spec import StackSpec
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.targets.kubernetes import companion
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.alert_states import AlertState
from inference_provider.workspace.alert_states import written as written_states
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.statuses import RouterStatus

APPS, RIGHTS = "/apis/apps/v1/namespaces/lab", "/apis/rbac.authorization.k8s.io/v1/namespaces/lab"
DEPLOYMENT = f"{APPS}/deployments/inference-service"
OBJECTS = {
    "/api/v1/namespaces/lab/serviceaccounts/inference-service",
    f"{RIGHTS}/roles/inference-service",
    f"{RIGHTS}/rolebindings/inference-service",
    "/apis/networking.k8s.io/v1/namespaces/lab/networkpolicies/inference-service",
    DEPLOYMENT,
}
PLAN = {
    "steps": [{"share": 10, "bake_minutes": 10}],
    "alarms": [{"metric": "ErrorRate", "above": 5}],
}
SPACE = ResourceId(kind=Kind.WORKSPACE, workspace="demo", name="demo")
RUNS = "workspace service runs"
LOST = "splits stay where they are on their way"


def document(**shares: int) -> dict:
    """Return a stack of two deployments, and the split between them; step by step by its plan."""
    parts = {
        "workspaces": Kind.WORKSPACE,
        "environments": Kind.ENVIRONMENT,
        "endpoints": Kind.ENDPOINT,
        "deployments": Kind.DEPLOYMENT,
    }
    found = desired()
    text: dict = {"name": "shop"}
    for name, kind in parts.items():
        text[name] = [found[kind].spec.model_dump(mode="json", exclude_defaults=True)]
    [blue] = text["deployments"]
    text["deployments"] = [blue, {**blue, "name": "green"}]
    split = {"workspace": "demo", "endpoint": "iris", "traffic": shares}
    text["traffic"] = [{**split, "rollout": PLAN}]
    return text


def stack(*, planned: bool = True, **shares: int) -> StackSpec:
    text = document(**shares)
    if not planned:
        del text["traffic"][0]["rollout"]
    return StackSpec.model_validate(text)


def apply(engine, spec: StackSpec) -> None:
    for one in resolve(spec):
        engine.apply(one, ANN)


def there(api) -> set[str]:
    return {path for path in api.objects if path.endswith("/inference-service")}


def seen(engine):
    """Return what the workspace says of itself."""
    return engine.observe_one(SPACE)


def until(fulfilled, limit_s: float = 5.0) -> None:
    until_s = time.monotonic() + limit_s
    while not fulfilled():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def drifted(engine, spec: StackSpec) -> dict[str, str]:
    found = Pipeline(engine, ANN).drift(Stack.of(spec)).resources
    return {str(one.id): one.reason for one in found if one.verdict != "clean"}


@pytest.fixture
def serves(api):
    """Have the router's pods say that they serve a split."""

    def serve(**shares: int) -> None:
        found = RouterStatus(weights={"iris": shares}, mirrors={"iris": {}}, healthy={
            "iris/blue": 1, "iris/green": 1})  # fmt: skip
        api.refuse.answers["status"] = found.model_dump(mode="json")

    serve(blue=100)
    return serve


def test_it_is_there_while_a_split_declares_a_rollout_and_no_longer(api, engine):
    apply(engine, stack(planned=False, blue=100))
    assert there(api) == set()
    apply(engine, stack(blue=100))
    assert there(api) == OBJECTS
    container = api.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "router:1"
    assert container["command"][-2:] == ["kubernetes", "demo"]
    apply(engine, stack(planned=False, blue=100))
    assert there(api) == set()


def test_a_workspace_without_a_rollout_asks_nothing_of_it_at_a_publication(api, engine):
    apply(engine, stack(planned=False, blue=100))
    del api.requests[:]
    engine.apply(resolve(stack(planned=False, blue=50, green=50))[-1], ANN)
    assert [asked for asked in api.requests if "inference-service" in asked] == []
    apply(engine, stack(blue=100))
    del api.requests[:]
    engine.publish("demo")
    assert [asked for asked in api.requests if "inference-service" in asked] == []


def test_another_image_is_its_own_too(api, engine):
    apply(engine, stack(blue=100))
    newer = document(blue=100)
    newer["workspaces"][0]["runtime_image"] = "router:2"
    apply(engine, StackSpec.model_validate(newer))
    pod = api.objects[DEPLOYMENT]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "router:2"


def test_it_runs_and_a_plan_in_progress_is_no_drift(api, engine, serves):
    apply(engine, stack(blue=100))
    apply(engine, stack(green=100))
    serves(blue=90, green=10)
    until(lambda: RUNS in seen(engine).status)
    assert drifted(engine, stack(green=100)) == {}
    assert Pipeline(engine, ANN).plan(Stack.of(stack(green=100))).plan.pending == ()


def test_what_the_cluster_refuses_of_it_keeps_the_split_as_it_was(api, engine):
    apply(engine, stack(planned=False, blue=100))
    answer = api.refuse
    why = 'roles.rbac.authorization.k8s.io "inference-service" is forbidden'
    api.refuse = lambda asked: (
        failure(403, why)
        if asked.method == "PATCH" and asked.url.path.endswith("roles/inference-service")
        else answer(asked)
    )
    with pytest.raises(TargetError, match="apply Role 'inference-service'"):
        apply(engine, stack(green=100))
    split = engine.record(ResourceId(kind=Kind.TRAFFIC, workspace="demo", name="iris"))
    assert {n: share for n, share in split.properties["traffic"].items() if share} == {"blue": 100}
    assert engine.shifts("demo") == ()
    assert there(api) == set()


def test_what_the_router_refuses_leaves_nothing_of_it(api, engine):
    apply(engine, stack(planned=False, blue=100))
    answer = api.refuse
    refused = {"error": written(RouterRejected("told to refuse")), "revision": 10**6, "fault": ""}
    api.refuse = lambda asked: (
        said(refused) if asked.url.path.endswith("/proxy/revision") else answer(asked)
    )
    with pytest.raises(RouterRejected):
        apply(engine, stack(green=100))
    assert there(api) == set()


def test_what_somebody_deletes_of_it_is_drift_and_the_next_up_makes_it_again(api, engine, serves):
    apply(engine, stack(blue=100))
    api.drop(DEPLOYMENT)
    found = drifted(engine, stack(blue=100))
    [reason] = found.values()
    assert "Deployment inference-service is gone" in reason
    assert f"the workspace service does not run: {LOST}; it does not run" in reason
    apply(engine, stack(blue=100))
    until(lambda: RUNS in seen(engine).status)
    assert drifted(engine, stack(blue=100)) == {}


def test_what_is_left_of_it_is_drift_and_the_next_up_removes_it(api, engine, serves):
    apply(engine, stack(blue=100))
    kept = {path: api.objects[path] for path in OBJECTS}
    apply(engine, stack(planned=False, blue=100))
    for path, one in kept.items():
        api.put(path, one)
    found = drifted(engine, stack(planned=False, blue=100))
    [reason] = found.values()
    assert "leftover Deployment inference-service" in reason
    apply(engine, stack(planned=False, blue=100))
    assert there(api) == set()


def test_one_that_ends_again_and_again_is_told_with_its_last_words(
    api, engine, controllers, serves, monkeypatch
):
    monkeypatch.setattr(companion, "_START_S", 0.0)

    def status_of(pod):
        if not pod["metadata"]["name"].startswith("inference-service-"):
            return None
        ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
        one = {"name": "service", "restartCount": 4, "state": ended}
        return {"phase": "Running", "containerStatuses": [one]}

    controllers.status_of = status_of
    api.logs["inference-service-0"] = "it may not read Secrets\n"
    apply(engine, stack(blue=100))
    until(lambda: "ended with status 1" in seen(engine).degraded)
    assert f"the workspace service does not run: {LOST}; 1 of 1 pods not ready" in (
        found := seen(engine).degraded
    )
    assert "it may not read Secrets" in found


def test_one_that_has_just_been_made_starts_and_is_no_drift(api, engine, controllers, serves):
    def status_of(pod):
        if not pod["metadata"]["name"].startswith("inference-service-"):
            return None
        pod["metadata"]["creationTimestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {"phase": "Pending"}

    controllers.status_of = status_of
    apply(engine, stack(blue=100))
    assert "workspace service starts" in seen(engine).status
    assert drifted(engine, stack(blue=100)) == {}


def test_a_stop_ends_it_with_its_rights_and_a_start_makes_it_again(api, engine, serves):
    apply(engine, stack(blue=100))
    engine.stop("demo", ANN)
    assert there(api) == set()
    assert [path for path in api.objects if "/pods/inference-service-" in path] == []
    engine.start("demo", ANN)
    assert there(api) == OBJECTS
    until(lambda: RUNS in seen(engine).status)


def test_a_down_leaves_nothing_of_it(api, engine):
    spec = stack(blue=100)
    apply(engine, spec)
    for one in reversed(resolve(spec)):
        engine.delete(one.id, "shop", ANN)
    assert there(api) == set()


def test_a_split_by_hand_keeps_it_for_the_next_rollout(api, engine):
    apply(engine, stack(blue=100))
    apply(engine, stack(green=100))
    endpoint = ResourceId(kind=Kind.ENDPOINT, workspace="demo", name="iris")
    Pipeline(engine, ANN).split(endpoint, {"blue": 100})
    assert engine.shifts("demo") == ()
    assert there(api) == OBJECTS


def test_the_service_itself_moves_a_split_and_touches_none_of_its_objects(api, engine, platform):
    apply(engine, stack(blue=100))
    apply(engine, stack(green=100))
    place = platform._place
    own = KubernetesPlatform(place)
    own.__dict__["client"] = platform.client
    own.router("demo").is_the_service = True
    service = Engine(own)
    api.put(DEPLOYMENT, {**api.objects[DEPLOYMENT], "metadata": {
        **api.objects[DEPLOYMENT]["metadata"], "labels": {"mine": "yes"}}})  # fmt: skip
    del api.requests[:]
    [one] = service.shifts("demo")
    service.move(one, Move.FINISH, "no alarm", Actor(user="demo", command="rollout"))
    made = [asked for asked in api.requests if not asked.startswith("GET")]
    kinds = {asked.split("/namespaces/lab/")[1].split("/")[0] for asked in made}
    assert kinds <= {"secrets", "leases", "configmaps", "pods"}
    until(lambda: engine.shifts("demo") == ())


def test_of_two_services_at_once_one_makes_a_step(engine, platform):
    apply(engine, stack(blue=100))
    apply(engine, stack(green=100))
    [one] = engine.shifts("demo")
    mover = Actor(user="demo", command="rollout")
    services = []
    for _ in range(2):
        own = KubernetesPlatform(platform._place)
        own.__dict__["client"] = platform.client
        own.router("demo").is_the_service = True
        services.append(Engine(own))
    threads = [
        threading.Thread(target=service.move, args=(one, Move.FINISH, "no alarm", mover))
        for service in services
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [entry.action for entry in engine.journal("demo")]
    assert found.count("finish the rollout of") == 1


def test_a_rollout_that_cannot_be_read_is_an_event_where_nobody_watches_alerts(engine, platform):
    apply(engine, stack(blue=100))
    ports = platform.ports("demo")
    ports.records.put("shifts", "iris", "{")
    mover(engine, platform, "demo", platform.router("demo").service.alerts).look()
    [event] = ports.compute.events()
    assert (event.deployment, event.name) == ("iris", "RolloutUnreadable")


def test_a_service_account_of_its_name_is_refused(engine):
    spec = document(blue=100)
    spec["workspaces"][0]["cluster"] = {"service_accounts": {"inference-service": {}}}
    with pytest.raises(TargetError, match="the name is the workspace service's"):
        engine.apply(resolve(StackSpec.model_validate(spec))[0], ANN)


ALERTS = "/api/v1/namespaces/lab/configmaps/inference-alerts"
ROLE = "/apis/rbac.authorization.k8s.io/v1/namespaces/lab/roles/inference-service"
RULE = {"metric": "ErrorRate", "threshold": 5, "webhook": "ops"}


def watched(*, alerts: bool) -> StackSpec:
    text = document(blue=100)
    del text["traffic"][0]["rollout"]
    hook = {"ops": "https://hooks.example.org/T0KEN"}
    text["endpoints"][0] |= {"alerts": {"errors": RULE}, "alert_webhooks": hook} if alerts else {}
    return StackSpec.model_validate(text)


def test_it_is_there_while_an_endpoint_has_alerts_and_what_it_kept_goes_with_them(
    api, engine, platform, serves
):
    apply(engine, watched(alerts=True))
    assert there(api) == OBJECTS
    until(lambda: RUNS in seen(engine).status)
    kept = platform.router("demo").service.alerts
    kept.begin()
    at = datetime.now(UTC)
    fired = Standing(condition="Fired", since=at, fired_at=at, why="100 %")
    states = {"iris": {"errors": AlertState(standing=fired, looked=at)}}
    kept.tell("iris", "AlertFired", "alert 'errors': 100 %")
    kept.write(written_states(states))
    endpoint = ResourceId(kind=Kind.ENDPOINT, workspace="demo", name="iris")
    assert "alert 'errors' fired at " in engine.observe(["demo"]).get(endpoint).note
    assert drifted(engine, watched(alerts=True)) == {}
    assert [one.name for one in platform.ports("demo").compute.events()] == ["AlertFired"]
    apply(engine, watched(alerts=False))
    assert there(api) == set()
    assert ALERTS not in api.objects


def may_list_amounts(api) -> bool:
    rules = api.objects[ROLE]["rules"]
    wanted = {"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["list"]}
    return wanted in rules


def test_it_may_see_what_instances_use_only_while_an_alert_goes_by_that(api, engine, serves):
    api.groups = [*api.groups, "metrics.k8s.io"]
    apply(engine, watched(alerts=True))
    assert not may_list_amounts(api)
    by_cpu = watched(alerts=True).model_dump(mode="json", exclude_defaults=True)
    busy = {"metric": "CpuUtilizationPercentage", "threshold": 80}
    by_cpu["endpoints"][0] |= {"alerts": {"busy": busy}, "alert_webhooks": {}}
    apply(engine, StackSpec.model_validate(by_cpu))
    assert may_list_amounts(api)
    by_cpu["endpoints"][0]["alerts"]["busy"]["enabled"] = False
    apply(engine, StackSpec.model_validate(by_cpu))
    assert not may_list_amounts(api)
