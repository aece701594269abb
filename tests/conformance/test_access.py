"""What every target keeps of identities and role assignments, and refuses for lack of a role."""

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.drift import Verdict, drift
from inference_provider.errors import PermissionMissing, StillHolds, TargetError
from inference_provider.observed import Kind, Presence
from inference_provider.plan import ActionKind, plan
from inference_provider.spec import ConnectionSpec, IdentitySpec, RoleAssignmentSpec
from tests.conformance.labs import ANN

SECRETS = "Azure Machine Learning Workspace Connection Secrets Reader"
NAMES_A_CONNECTION = {"KEY": "${{azureml://connections/openai/credentials/key}}"}


def identity(lab, name="robot"):
    spec = IdentitySpec(workspace=lab.workspace, name=name)
    return DesiredResource(id=lab.id(Kind.IDENTITY, name), spec=spec, owner="demo")


def assignment(lab, name="may", **fields):
    given = {"principal": "robot", "role": "Connection Secrets Reader", **fields}
    spec = RoleAssignmentSpec(workspace=lab.workspace, name=name, **given)
    return DesiredResource(id=lab.id(Kind.ROLE_ASSIGNMENT, name), spec=spec, owner="demo")


def begin(lab):
    """Make what a deployment stands on, and the connection that it names, where there are some."""
    lab.apply(*lab.desired[:3])
    if Kind.CONNECTION in lab.target.capabilities.kinds:
        spec = ConnectionSpec(workspace=lab.workspace, name="openai", credentials={"key": "hush"})
        id_ = lab.id(Kind.CONNECTION, "openai")
        lab.apply(DesiredResource(id=id_, spec=spec, owner="demo"))


@pytest.fixture
def kept(lab):
    """A workspace with an identity and its role."""
    lab.apply(lab.space(), identity(lab), assignment(lab))
    return lab


def planned(lab, *wanted):
    observed = lab.target.observe([lab.workspace])
    return {(a.kind, a.id.name) for a in plan(wanted, observed, "demo").pending}


def test_an_identity_and_its_role_are_made_found_and_removed(kept):
    robot, may = identity(kept), assignment(kept)
    found = [kept.target.observe_one(one.id) for one in (robot, may)]
    assert [(one.presence, one.status) for one in found] == [(Presence.PRESENT, "recorded")] * 2
    assert found[1].properties["role"] == SECRETS
    assert planned(kept, kept.space(), robot, may) == set()
    with pytest.raises(StillHolds, match=r"RoleAssignment '.*/may' names it; delete that first"):
        kept.delete(robot.id)
    kept.delete(may.id)
    kept.delete(robot.id)
    found = [kept.target.observe_one(one.id).presence for one in (robot, may)]
    assert found == [Presence.ABSENT] * 2
    assert kept.journal()[-2:] == ["delete RoleAssignment may", "delete Identity robot"]


def test_another_role_replaces_an_assignment_and_drift_says_so(kept):
    other = assignment(kept, role="Reader")
    wanted = kept.space(), identity(kept), other
    assert planned(kept, *wanted) == {(ActionKind.REPLACE, "may")}
    report = drift(wanted, kept.target.observe([kept.workspace]), "demo")
    [found] = [one for one in report.resources if one.verdict == Verdict.DRIFTED]
    [field] = found.fields
    assert (found.id.name, field.path, field.declared, field.recorded) == (
        "may", "role", "Reader", SECRETS
    )  # fmt: skip


def test_what_an_assignment_names_is_there(kept):
    ghost = assignment(kept, "other", principal="ghost")
    with pytest.raises(TargetError, match=r"Identity '.*/ghost' is not there; declare it first"):
        kept.apply(ghost)
    with pytest.raises(TargetError, match=r"Endpoint '.*/gone' is not there; declare it first"):
        kept.apply(assignment(kept, "other", scope="endpoints/gone/deployments/blue"))
    with pytest.raises(TargetError, match=r"no role 'Owners'; did you mean 'Owner'"):
        kept.apply(assignment(kept, "other", role="Owners"))
    kept.apply(kept.space(roles={"Scorer": {"actions": ["*/score/action"]}}))
    kept.apply(assignment(kept, "other", role="Scorer"))


def test_a_deployment_waits_for_its_identitys_role_and_nothing_starts(lab):
    blue = lab.deployment(environment_variables=NAMES_A_CONNECTION)
    begin(lab)
    lab.apply(identity(lab))
    lab.apply(lab.endpoint(identity="robot"))
    with pytest.raises(PermissionMissing) as caught:
        lab.apply(blue)
    assert (
        f"identity 'robot' has no role '{SECRETS}' on connections/openai, to read its credentials;"
        f" add to role_assignments: - {{workspace: {lab.workspace}, name: robot-secrets-openai,"
    ) in str(caught.value)
    assert lab.target.record(blue.id) is None
    assert lab.instances() == {}


def test_a_system_assigned_identity_has_secrets_if_its_deployer_has_them(lab):
    blue = lab.deployment(environment_variables=NAMES_A_CONNECTION)
    begin(lab)
    enforced = {"enforce_access_to_default_secret_stores": "enabled"}
    lab.apply(lab.endpoint(properties=enforced))
    with pytest.raises(PermissionMissing, match="nor has its deployer, user 'ann'; add to"):
        lab.target.apply(blue, ANN)


def test_a_workspace_keeps_what_another_stack_stands_on(kept):
    own = {"roles": {"Scorer": {"actions": ["*/score/action"]}}}
    kept.apply(kept.space(**own))
    theirs = assignment(kept, "theirs", role="Scorer").model_copy(update={"owner": "platform"})
    kept.apply(theirs)
    with pytest.raises(StillHolds, match=r"/theirs' of stack 'platform' names its role 'Scorer'"):
        kept.apply(kept.space())
    kept.target.delete(theirs.id, "platform", ANN)
    kept.apply(kept.space())
