"""What gives tokens over HTTP in a cluster: there while its workspace has `service`."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.cluster_api import failure
from tests.unit.cluster_target.stack import ANN
from tests.unit.cluster_target.test_service import SPACE, document, drifted, seen, until

from inference_provider.desired import resolve
from inference_provider.errors import TargetError
from inference_provider.spec import StackSpec
from inference_provider.targets.kubernetes import companion, role_pods
from inference_provider.workspace.statuses import RouterStatus

APPS, RIGHTS = "/apis/apps/v1/namespaces/lab", "/apis/rbac.authorization.k8s.io/v1/namespaces/lab"
DEPLOYMENT = f"{APPS}/deployments/inference-web"
ROLE, SERVICE = f"{RIGHTS}/roles/inference-web", "/api/v1/namespaces/lab/services/inference-web"
KEPT = "/api/v1/namespaces/lab/secrets/inference-web"
POLICY = "/apis/networking.k8s.io/v1/namespaces/lab/networkpolicies/inference-web"
OBJECTS = {
    "/api/v1/namespaces/lab/serviceaccounts/inference-web",
    ROLE,
    f"{RIGHTS}/rolebindings/inference-web",
    KEPT,
    POLICY,
    SERVICE,
    DEPLOYMENT,
}
DEPLOYER = Path(__file__).parents[3] / "docs" / "deployer-role.yaml"
LISTENS = "service on http://inference-web.lab.svc:18443"


@pytest.fixture(autouse=True)
def serves(api):
    """Have the router's pods say that they serve the split."""
    found = RouterStatus(weights={"iris": {"blue": 100}}, mirrors={"iris": {}}, healthy={
        "iris/blue": 1, "iris/green": 1})  # fmt: skip
    api.refuse.answers["status"] = found.model_dump(mode="json")


def stack(service: dict | None = {"port": 18443}, **workspace) -> StackSpec:  # noqa: B006 - read
    text = document(blue=100)
    del text["traffic"][0]["rollout"]
    text["workspaces"][0] |= {**({"service": service} if service else {}), **workspace}
    return StackSpec.model_validate(text)


def apply(engine, spec: StackSpec, tell=lambda *_said: None) -> None:
    for one in resolve(spec):
        engine.apply(one, ANN, tell)


def there(api) -> set[str]:
    return {path for path in api.objects if path.endswith("/inference-web")}


def pod(api) -> dict:
    return api.objects[DEPLOYMENT]["spec"]["template"]["spec"]


def test_it_is_there_while_the_workspace_has_a_service_and_no_longer(api, engine):
    apply(engine, stack(None))
    assert there(api) == set()
    apply(engine, stack())
    assert there(api) == OBJECTS
    assert pod(api)["containers"][0]["image"] == "router:1"
    assert pod(api)["containers"][0]["command"] == [
        *("python3", "-m", "inference_provider.web", "kubernetes"),
        *("demo", "18443", "http", "no-pages"),
    ]
    apply(engine, stack(None))
    assert there(api) == set()


def test_an_up_that_takes_it_away_waits_for_none(api, engine):
    apply(engine, stack())
    said: list[str] = []
    apply(engine, stack(None), lambda _id, told: said.append(told))
    assert [one for one in said if "token service" in one or "does not run" in one] == []


def test_a_first_up_makes_it_too_and_a_down_leaves_nothing_of_it(api, engine):
    said: list[str] = []
    apply(engine, stack(), lambda _id, told: said.append(told))
    assert there(api) == OBJECTS
    assert "1 of 1 pods of the token service ready" in said
    for one in reversed(resolve(stack())):
        engine.delete(one.id, "shop", ANN)
    assert there(api) == set()


def test_a_workspace_without_a_service_asks_nothing_of_it(api, engine):
    apply(engine, stack(None))
    del api.requests[:]
    engine.publish("demo")
    engine.observe(["demo"])
    assert [asked for asked in api.requests if "inference-web" in asked] == []


def test_a_corrupt_record_of_its_workspace_leaves_it_as_it_is(api, engine):
    apply(engine, stack())
    records = engine._workspace("demo").ports.records
    with records.edit():
        records.put("records", "Workspace.demo", "{")
    with suppress(TargetError):
        engine.publish("demo")
    assert there(api) == OBJECTS


def test_one_that_is_as_it_is_wanted_is_not_asked_for_by_a_publication(api, engine):
    apply(engine, stack())
    del api.requests[:]
    engine.publish("demo")
    assert [asked for asked in api.requests if "inference-web" in asked] == []


def test_callers_reach_one_port_of_it_by_a_service_of_the_cluster_alone(api, engine):
    apply(engine, stack({"port": 443}))
    assert api.objects[SERVICE]["spec"] == {
        "type": "ClusterIP",
        "selector": {"pulumi-inference/workspace": "demo", "pulumi-inference/role": "web"},
        "ports": [{"name": "web", "port": 443, "targetPort": 8080, "protocol": "TCP"}],
    }
    assert api.objects[POLICY]["spec"] == {
        "podSelector": {
            "matchLabels": {"pulumi-inference/workspace": "demo", "pulumi-inference/role": "web"}
        },
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}]}],
    }


def test_another_pod_takes_over_before_one_ends(api, engine):
    apply(engine, stack())
    assert api.objects[DEPLOYMENT]["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    assert pod(api)["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert pod(api)["terminationGracePeriodSeconds"] == 20


def test_its_pod_may_change_nothing_of_its_own(api, engine):
    apply(engine, stack())
    assert pod(api)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod(api)["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_without_the_console_it_may_write_the_journal_and_what_it_keeps(api, engine):
    apply(engine, stack())
    assert api.objects[ROLE]["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["inference-web"],
            "verbs": ["patch"],
        },
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "verbs": ["list", "create", "patch", "delete"],
        },
        {
            "apiGroups": [""],
            "resources": ["services"],
            "resourceNames": ["inference-router"],
            "verbs": ["get"],
        },
    ]


def verbs_of(rules: list[dict]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("console", [False, True])
def test_who_deploys_has_every_right_that_it_is_given(api, engine, console):
    apply(engine, stack({"port": 18443, "console": console}))
    role = yaml.safe_load(DEPLOYER.read_text())
    assert verbs_of(api.objects[ROLE]["rules"]) - verbs_of(role["rules"]) == set()


def test_a_change_of_the_service_replaces_its_pod_in_the_same_up(api, engine):
    apply(engine, stack())
    apply(engine, stack({"port": 443, "console": True}))
    assert api.objects[SERVICE]["spec"]["ports"][0]["port"] == 443
    assert pod(api)["containers"][0]["command"][-3:] == ["443", "http", "pages"]
    apply(engine, stack({"port": 443}))
    assert pod(api)["containers"][0]["command"][-3:] == ["443", "http", "no-pages"]
    assert len(api.objects[ROLE]["rules"]) == 4


def test_another_image_is_its_own_too(api, engine):
    apply(engine, stack())
    apply(engine, stack(runtime_image="router:2"))
    assert pod(api)["containers"][0]["image"] == "router:2"


def test_it_listens_and_is_no_drift(api, engine):
    apply(engine, stack())
    until(lambda: LISTENS in seen(engine).status)
    assert drifted(engine, stack()) == {}


def test_with_a_certificate_it_speaks_https(api, engine):
    apply(engine, stack(tls={"generate": True, "names": ["inference-web.lab.svc"]}))
    until(lambda: "service on https://inference-web.lab.svc:18443" in seen(engine).status)
    assert pod(api)["containers"][0]["command"][-2:] == ["https", "no-pages"]


def test_what_somebody_deletes_of_it_is_drift_and_the_next_up_makes_it_again(api, engine):
    apply(engine, stack())
    for path in (DEPLOYMENT, SERVICE):
        api.drop(path)
    [reason] = drifted(engine, stack()).values()
    assert "Deployment inference-web is gone" in reason
    assert "Service inference-web is gone" in reason
    lost = "the service on http://inference-web.lab.svc:18443 does not run: it does not run"
    assert lost in reason
    apply(engine, stack())
    until(lambda: LISTENS in seen(engine).status)
    assert drifted(engine, stack()) == {}


def test_what_is_left_of_it_is_drift_and_the_next_up_removes_it(api, engine):
    apply(engine, stack())
    kept = {path: api.objects[path] for path in OBJECTS}
    apply(engine, stack(None))
    for path, one in kept.items():
        api.put(path, one)
    [reason] = drifted(engine, stack(None)).values()
    assert "leftover Deployment inference-web" in reason
    apply(engine, stack(None))
    assert there(api) == set()


def test_what_the_cluster_refuses_of_it_keeps_the_workspace_as_it_was(api, engine):
    apply(engine, stack(None))
    answer = api.refuse
    why = 'roles.rbac.authorization.k8s.io "inference-web" is forbidden'
    api.refuse = lambda asked: (
        failure(403, why) if asked.method == "PATCH" and asked.url.path == ROLE else answer(asked)
    )
    with pytest.raises(TargetError, match="apply Role 'inference-web'"):
        apply(engine, stack())
    assert engine.record(SPACE).properties.get("service") is None
    assert there(api) == set()


def test_one_that_does_not_start_fails_no_up_which_tells_why(api, engine, controllers, monkeypatch):
    monkeypatch.setattr(companion, "_START_S", 0.0)
    monkeypatch.setattr(role_pods, "STUCK_S", 0.2)

    def status_of(pod):
        if not pod["metadata"]["name"].startswith("inference-web-"):
            return None
        ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
        one = {"name": "web", "restartCount": 4, "state": ended}
        return {"phase": "Running", "containerStatuses": [one]}

    controllers.status_of = status_of
    api.logs["inference-web-0"] = "it may not read Secrets\n"
    said: list[str] = []
    apply(engine, stack(), lambda _id, told: said.append(told))
    lost = (
        "the service on http://inference-web.lab.svc:18443 does not run: 1 of 1 pods not ready:"
        " pod inference-web-0: container web ended with status 1"
    )
    [told] = [one for one in said if "does not run" in one]
    assert told.startswith(lost)
    assert "it may not read Secrets" in told
    assert lost in seen(engine).degraded


def test_policies_of_others_that_keep_it_from_the_api_server_are_named(
    api, engine, controllers, monkeypatch
):
    monkeypatch.setattr(companion, "_START_S", 0.0)
    monkeypatch.setattr(role_pods, "STUCK_S", 0.2)
    web = {"pulumi-inference/role": "web"}
    for name, spec in {
        "deny-all": {"podSelector": {}, "policyTypes": ["Egress"]},
        "others": {"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Egress"]},
        "web-in": {"podSelector": {"matchLabels": web}, "policyTypes": ["Ingress"]},
    }.items():
        about = {"name": name, "namespace": "lab"}
        policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
        policies = POLICY.rpartition("/")[0]
        there = api.put(f"{policies}/{name}", {**policy, "metadata": about, "spec": spec})
        there["metadata"]["managedFields"] = [{"manager": "kubectl"}]

    def status_of(pod):
        if not pod["metadata"]["name"].startswith("inference-web-"):
            return None
        ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
        one = {"name": "web", "restartCount": 4, "state": ended}
        return {"phase": "Running", "containerStatuses": [one]}

    controllers.status_of = status_of
    api.logs["inference-web-0"] = "its API server https://10.0.0.1 does not answer: timed out\n"
    apply(engine, stack())
    assert "timed out; NetworkPolicy deny-all limits what it reaches" in seen(engine).degraded


def test_one_that_has_just_been_made_starts_and_is_no_drift(api, engine, controllers, monkeypatch):
    monkeypatch.setattr(role_pods, "START_S", 0.2)

    def status_of(pod):
        if not pod["metadata"]["name"].startswith("inference-web-"):
            return None
        pod["metadata"]["creationTimestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {"phase": "Pending"}

    controllers.status_of = status_of
    apply(engine, stack())
    assert "service starts on http://inference-web.lab.svc:18443" in seen(engine).status
    assert drifted(engine, stack()) == {}


def test_a_stop_ends_it_with_its_rights_and_a_start_makes_it_again(api, engine):
    apply(engine, stack())
    engine.stop("demo", ANN)
    assert there(api) == set()
    engine.start("demo", ANN)
    assert there(api) == OBJECTS
    until(lambda: LISTENS in seen(engine).status)


def test_a_service_account_of_its_name_is_refused(engine):
    spec = stack(cluster={"service_accounts": {"inference-web": {}}})
    with pytest.raises(TargetError, match="the name is that of the service that gives tokens"):
        engine.apply(resolve(spec)[0], ANN)


def test_an_address_to_listen_on_is_refused(engine):
    spec = stack({"port": 18443, "bind_address": "0.0.0.0"})
    told = "service.bind_address: has no meaning on a cluster: what gives tokens is a Service there"
    with pytest.raises(TargetError, match=told):
        engine.apply(resolve(spec)[0], ANN)
