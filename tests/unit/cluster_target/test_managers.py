"""Identities that role assignments let deploy by themselves, on a cluster."""

from pathlib import Path

import pytest
import yaml
from tests.cluster_api import failure
from tests.unit.cluster_target.stack import ANN, desired

from inference_provider.desired import resolve
from inference_provider.errors import OwnedByAnother
from inference_provider.observed import Kind, Presence, ResourceId
from inference_provider.spec import StackSpec
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.kubernetes.refusals import Forbidden

DEPLOYER = Path(__file__).parents[3] / "docs" / "deployer-role.yaml"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1/namespaces/lab"
ROLE, BINDING = f"{RIGHTS}/roles/assignment-deploys", f"{RIGHTS}/rolebindings/assignment-deploys"
ACCOUNT = "/api/v1/namespaces/lab/serviceaccounts/identity-robot"
OPERATOR = {"Operator": {"actions": ["*"], "not_actions": ["Microsoft.Authorization/*"]}}
SCORER = {"Operator": {"actions": ["*/score/action"]}}
ROBOT = ResourceId(kind=Kind.IDENTITY, workspace="demo", name="robot")
MADE = ResourceId(kind=Kind.ROLE_ASSIGNMENT, workspace="demo", name="deploys")


def stack(role="AzureML Data Scientist", roles=None, **given) -> StackSpec:
    return StackSpec.model_validate(
        {
            "name": "shop",
            "workspaces": [
                {
                    "name": "demo",
                    "target": {"kind": "kubernetes", "namespace": "lab"},
                    "runtime_image": "router:1",
                    "roles": roles or {},
                }
            ],
            "identities": [{"workspace": "demo", "name": "robot"}],
            "role_assignments": [
                {
                    "workspace": "demo",
                    "name": "deploys",
                    "principal": "robot",
                    "role": role,
                    **given,
                }
            ],
        }
    )


def apply(engine, *role, **given) -> None:
    for one in resolve(stack(*role, **given)):
        engine.apply(one, ANN)


def test_a_plan_says_which_role_assignment_lets_an_identity_deploy(engine):
    def told(*role):
        planned = Pipeline(engine, ANN).plan(Stack.of(stack(*role)))
        return [note for note in planned.notes if note.startswith("RoleAssignment")]

    assert told() == [
        "RoleAssignment 'demo/deploys': it lets identity 'robot' deploy by itself, as"
        " ServiceAccount identity-robot, and read all keys"
    ]
    assert told("Reader") == []
    assert len(told("Operator", OPERATOR)) == 1


def test_a_role_with_which_one_deploys_is_bound_to_the_identitys_account(api, engine):
    apply(engine)
    assert api.objects[BINDING]["subjects"] == [
        {"kind": "ServiceAccount", "name": "identity-robot", "namespace": "lab"}
    ]
    assert api.objects[BINDING]["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": "assignment-deploys",
    }
    engine.delete(MADE, "shop", ANN)
    assert not {ROLE, BINDING} & api.objects.keys()


def test_its_rights_are_those_of_the_documented_role(api, engine):
    apply(engine)

    def rights(rules):
        return {
            (group, resource, verb, *rule.get("resourceNames", ()))
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    documented = yaml.safe_load(DEPLOYER.read_text())["rules"]
    to_measure = {"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["list"]}
    to_send_logs = {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]}
    for one in (to_measure, to_send_logs):
        documented.remove(one)  # a client whose own Role lacks it could not give it
    assert rights(api.objects[ROLE]["rules"]) == rights(documented)


@pytest.mark.parametrize(
    ("role", "given"),
    [
        pytest.param("Reader", {}, id="reader"),
        pytest.param("AcrPull", {}, id="pull"),
        pytest.param("Owner", {"scope": "stores/bucket"}, id="less than the workspace"),
        pytest.param("Owner", {"principal_type": "user", "principal": "ann"}, id="user"),
        pytest.param("Operator", {"roles": SCORER}, id="own role that only scores"),
    ],
)
def test_what_does_not_let_an_identity_deploy_makes_nothing(api, engine, role, given):
    apply(engine, role, **given)
    assert not {ROLE, BINDING} & api.objects.keys()
    assert engine.observe_one(MADE).degraded == ""


def test_a_role_of_the_workspaces_own_counts_by_what_it_allows_now(api, engine):
    apply(engine, "Operator", OPERATOR)
    assert BINDING in api.objects
    apply(engine, "Operator", SCORER)
    assert not {ROLE, BINDING} & api.objects.keys()


def test_a_binding_that_somebody_deletes_is_drift_that_an_up_mends(api, engine):
    apply(engine)
    assert engine.observe(["demo"]).resources[MADE.address].degraded == ""
    api.drop(BINDING)
    assert engine.observe_one(MADE).degraded == "RoleBinding assignment-deploys is gone"
    assert engine.observe(["demo"]).resources[MADE.address].degraded == (
        "RoleBinding assignment-deploys is gone"
    )
    apply(engine)
    assert engine.observe_one(MADE).degraded == ""


def test_a_binding_of_somebody_else_is_left_as_it_is(api, engine):
    about = {"name": "assignment-deploys", "namespace": "lab"}
    there = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    api.put(BINDING, {**there, "metadata": about, "roleRef": {}})
    api.objects[BINDING]["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    with pytest.raises(OwnedByAnother, match="RoleBinding 'assignment-deploys' in namespace"):
        apply(engine)
    assert engine.observe_one(MADE).presence == Presence.ABSENT


def test_rights_that_the_deployer_lacks_are_named_and_nothing_is_recorded(api, engine):
    said = (
        'roles "assignment-deploys" is forbidden: user "ann" (groups=["a"]) is attempting to grant'
        ' RBAC permissions not currently held: {APIGroups:["keda.sh"],'
        ' Resources:["scaledobjects"], Verbs:["get" "list"]}'
    )
    answer = api.refuse
    api.refuse = lambda asked: (
        failure(403, said) if asked.method == "PATCH" and asked.url.path == ROLE else answer(asked)
    )
    with pytest.raises(Forbidden) as refused:
        apply(engine)
    assert "may give no right that it lacks: get, list on scaledobjects" in str(refused.value)
    assert engine.observe_one(MADE).presence == Presence.ABSENT


@pytest.fixture
def refused(api):
    """Have the API server refuse some of what is asked of Roles and RoleBindings."""
    answer, verbs = api.refuse, set()

    def refuse(asked):
        if "/rbac.authorization" not in asked.url.path or asked.method not in verbs:
            return answer(asked)
        resource = "rolebindings" if "/rolebindings" in asked.url.path else "roles"
        verb = {"GET": "get", "DELETE": "delete"}[asked.method]
        said = f'{resource}.rbac.authorization.k8s.io "assignment-deploys" is forbidden: User "bob"'
        where = 'in API group "rbac.authorization.k8s.io" in the namespace "lab"'
        return failure(403, f'{said} cannot {verb} resource "{resource}" {where}')

    api.refuse = refuse
    return verbs


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
def test_an_assignment_whose_binding_may_not_be_removed_stays(api, engine, refused, verb):
    apply(engine)
    refused.add(verb)
    with pytest.raises(Forbidden, match=f"'bob' may not {verb.lower()} rolebindings"):
        engine.delete(MADE, "shop", ANN)
    with pytest.raises(Forbidden, match=f"'bob' may not {verb.lower()} rolebindings"):
        engine.apply(resolve(stack("Reader"))[-1], ANN)
    refused.clear()
    assert {ROLE, BINDING} <= api.objects.keys()
    found = engine.observe_one(MADE)
    assert (found.presence, found.degraded) == (Presence.PRESENT, "")
    assert found.record.properties["role"] == "AzureML Data Scientist"


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
def test_roles_of_a_workspace_stay_when_a_binding_may_not_be_removed(api, engine, refused, verb):
    apply(engine, "Operator", OPERATOR)
    refused.add(verb)
    space, *_ = resolve(stack("Operator", SCORER))
    with pytest.raises(Forbidden, match=f"'bob' may not {verb.lower()} role"):
        engine.apply(space, ANN)
    refused.clear()
    assert {ROLE, BINDING} <= api.objects.keys()
    own = engine.observe_one(space.id).record.properties["roles"]["Operator"]
    assert own["actions"] == OPERATOR["Operator"]["actions"]


def left_by_a_kill(api, engine):
    """Leave in the cluster what somebody has made who was killed before it was recorded."""
    apply(engine)
    left = {path: api.objects[path] for path in (ROLE, BINDING, ACCOUNT)}
    engine.delete(MADE, "shop", ANN)
    engine.delete(ROBOT, "shop", ANN)
    assert not left.keys() & api.objects.keys()
    for path, one in left.items():
        api.put(path, one)


def test_what_a_kill_leaves_is_drift_of_the_workspace_that_an_up_mends(api, engine):
    left_by_a_kill(api, engine)
    space = resolve(stack())[0]
    said = (
        "leftover Role assignment-deploys; leftover RoleBinding assignment-deploys;"
        " leftover ServiceAccount identity-robot"
    )
    assert engine.observe(["demo"]).resources[space.id.address].degraded == said
    assert engine.observe_one(space.id).degraded == said
    engine.apply(space, ANN)
    assert not {ROLE, BINDING, ACCOUNT} & api.objects.keys()
    assert engine.observe_one(space.id).degraded == ""


def test_a_binding_that_its_role_no_longer_gives_is_drift_of_the_assignment(api, engine):
    apply(engine)
    left = {path: api.objects[path] for path in (ROLE, BINDING)}
    apply(engine, "Reader")
    for path, one in left.items():
        api.put(path, one)
    said = "leftover Role assignment-deploys; leftover RoleBinding assignment-deploys"
    assert engine.observe_one(MADE).degraded == said
    engine.apply(resolve(stack("Reader"))[-1], ANN)
    assert not {ROLE, BINDING} & api.objects.keys()
    assert engine.observe_one(MADE).degraded == ""


def test_leftovers_of_other_workspaces_and_of_other_people_are_left(api, engine):
    left_by_a_kill(api, engine)
    for path in (ROLE, BINDING, ACCOUNT):
        api.objects[path]["metadata"]["labels"]["pulumi-inference/workspace"] = "another"
    space = resolve(stack())[0]
    assert engine.observe_one(space.id).degraded == ""
    engine.apply(space, ANN)
    assert {ROLE, BINDING, ACCOUNT} <= api.objects.keys()


def test_who_may_not_look_at_bindings_still_gives_roles_that_need_none(engine, refused):
    space, *others = resolve(stack("Reader"))
    engine.apply(space, ANN)
    refused.update(("GET", "DELETE"))
    for one in others:
        engine.apply(one, ANN)
    engine.apply(space, ANN)
    engine.delete(MADE, "shop", ANN)
    refused.clear()
    assert engine.observe_one(MADE).presence == Presence.ABSENT


def test_an_account_that_is_gone_is_told_of_its_identity_and_of_what_runs_as_it(api, engine):
    apply(engine)
    for one in (*desired().values(),):
        if one.id.kind == Kind.ENDPOINT:
            spec = one.spec.model_copy(update={"identity": "robot"})
            one = one.model_copy(  # noqa: PLW2901
                update={"spec": spec, "properties": {**one.properties, "identity": "robot"}}
            )
        if one.id.kind in (Kind.ENVIRONMENT, Kind.ENDPOINT, Kind.DEPLOYMENT):
            engine.apply(one, ANN)
    api.drop(ACCOUNT)
    found = engine.observe(["demo"]).resources
    gone = "ServiceAccount identity-robot is gone"
    said = f"{gone}: what runs as it goes on, and no new pod of it starts"
    degraded = {one.id.kind: one.degraded for one in found.values() if one.degraded}
    assert degraded == {Kind.IDENTITY: said, Kind.DEPLOYMENT: said}
    for one in desired().values():
        if one.id.kind == Kind.DEPLOYMENT:
            engine.apply(one, ANN)
    assert ACCOUNT in api.objects
    assert {one.degraded for one in engine.observe(["demo"]).resources.values()} == {""}


def test_what_is_set_aside_leaves_neither_binding_nor_account(api, engine):
    apply(engine)
    records = engine.platform.ports("demo").records
    with records.edit():
        records.put("records", "RoleAssignment.deploys", "{")
        records.put("records", "Identity.robot", "{")
    assert {ROLE, BINDING, ACCOUNT} <= api.objects.keys()
    engine.set_aside(MADE, ANN)
    engine.set_aside(ROBOT, ANN)
    assert {ROLE, BINDING, ACCOUNT} & api.objects.keys() == set()
