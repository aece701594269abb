"""The pipeline as one object, with no command line around it."""

from pathlib import Path

import pytest
from tests.stacks import PLAIN_ENVIRONMENT

from inference_provider.errors import (
    OutOfCapacity,
    OwnedByAnother,
    SpecError,
    StillServing,
    TargetError,
)
from inference_provider.observed import Actor, Claim, Kind, ResourceId
from inference_provider.spec.target import Home
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.memory import MemoryTarget

STACK = (
    "name: demo\nworkspaces: [{name: lab, target: memory}]\n"
    + PLAIN_ENVIRONMENT
    + """\
endpoints: [{name: iris}]
deployments: [{endpoint: iris, name: blue, environment: plain@latest}]
traffic: [{endpoint: iris, traffic: {blue: 100}}]
"""
)
ELSEWHERE = "name: demo\nworkspaces: [{name: other, target: memory}]\n"
ANN, BEN = Actor(user="ann"), Actor(user="ben")


@pytest.fixture
def target():
    return MemoryTarget()


@pytest.fixture
def pipeline(target):
    return Pipeline(target, ANN)


def written(folder: Path, text: str) -> Path:
    path = folder / "stack.yaml"
    path.write_text(text)
    return path


def steps(planned):
    return [f"{action.kind.value} {action.id}" for action in planned.plan.pending]


@pytest.fixture
def applied(pipeline, tmp_path):
    """The stack, applied."""
    stack = Stack.load(written(tmp_path, STACK))
    pipeline.apply(pipeline.plan(stack))
    return stack


def test_what_is_planned_and_applied_is_then_clean(pipeline, applied):
    assert steps(pipeline.plan(applied)) == []
    assert pipeline.drift(applied).exit_code == 0


def test_a_change_carries_the_actor_of_the_pipeline(target, applied):
    endpoint = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")
    assert target.record(endpoint).actor == ANN


def test_every_item_knows_the_folder_of_its_file(pipeline, tmp_path):
    elsewhere = tmp_path / "deep"
    elsewhere.mkdir()
    planned = pipeline.plan(Stack.load(written(elsewhere, STACK)))
    folders = {action.desired.base_dir for action in planned.plan.actions}
    assert folders == {str(elsewhere)}


def test_a_fault_names_file_and_line(tmp_path):
    path = written(tmp_path, STACK.replace("plain@latest", "plain2@latest"))
    with pytest.raises(SpecError) as caught:
        Stack.load(path)
    assert caught.value.source == str(path)
    assert {fault.line for fault in caught.value.faults} == {11}


def test_a_workspace_that_is_no_longer_declared_is_planned_too(pipeline, applied, tmp_path):
    stack = Stack.load(written(tmp_path, ELSEWHERE))
    assert pipeline.workspaces(stack) == ("lab", "other")
    planned = pipeline.plan(stack)
    assert steps(planned)[0] == "create Workspace 'other'"
    assert steps(planned)[-1] == "delete Workspace 'lab'"
    assert len(planned.deletions) == 5


def test_a_plan_says_where_a_long_request_may_pass_for_a_hang(pipeline, target, tmp_path):
    can = target.capabilities.model_copy(update={"liveness_probes": True})
    target.memory.capabilities = can
    fields = "request_settings: {request_timeout_ms: 60000}, liveness_probe: {period: 5, N}}"
    text = STACK.replace("plain@latest}", f"plain@latest, {fields}")
    told = (
        "Deployment 'lab/iris/blue': an instance that answers nothing for 60 s is restarted, and a"
        " request may take 60 s: a server that does one at a time would be ended in the midst",
    )
    for failures, expected in ((13, told), (14, ())):
        asked = text.replace("N}", f"failure_threshold: {failures}}}")
        assert pipeline.plan(Stack.load(written(tmp_path, asked))).notes == expected


def test_a_plan_says_where_a_new_workspace_comes_to(pipeline, target, tmp_path):
    target.leads_to = Home({"engine": "3f2a"}, "Docker host unix:///run/docker.sock")
    planned = pipeline.plan(Stack.load(written(tmp_path, ELSEWHERE)))
    host = "Docker host unix:///run/docker.sock"
    assert planned.notes == (f"Workspace 'other': {host} has no workspace of this name yet",)


def test_a_plan_says_that_a_change_of_the_listener_cuts_long_requests(
    pipeline, target, applied, tmp_path
):
    able = {"traces": True, "cutting": frozenset({"traces", "trusted_hops"})}
    target.memory.capabilities = target.capabilities.model_copy(update=able)
    url = "{otlp_endpoint: 'http://127.0.0.1:4318'}"
    text = STACK.replace("target: memory}", f"target: memory, traces: {url}}}")
    planned = pipeline.plan(Stack.load(written(tmp_path, text)))
    assert planned.notes == (
        "Workspace 'lab': a change of traces ends the connections that are open: a request that"
        " takes more than 10 s from then on is cut, and so is a websocket",
    )
    other = STACK.replace("target: memory}", "target: memory, tags: {team: ml}}")
    assert pipeline.plan(Stack.load(written(tmp_path, other))).notes == ()


def test_without_pruning_nothing_is_deleted(pipeline, applied, tmp_path):
    stack = Stack.load(written(tmp_path, ELSEWHERE))
    assert steps(pipeline.plan(stack, prune=False)) == ["create Workspace 'other'"]


def test_what_another_stack_owns_is_refused(pipeline, applied, tmp_path):
    second = Stack.load(written(tmp_path, STACK.replace("demo", "second")))
    with pytest.raises(OwnedByAnother):
        pipeline.plan(second)


def test_a_workspace_that_another_stack_declares_equally_is_shared(target, applied, tmp_path):
    text = "name: second\nworkspaces: [{name: lab, target: memory}]\nendpoints: [{name: rose}]\n"
    second = Stack.load(written(tmp_path, text))
    pipeline = Pipeline(target, BEN)
    planned = pipeline.plan(second)
    assert planned.notes == ("Workspace 'lab' is owned by stack 'demo'; left unchanged",)
    pipeline.apply(planned)
    assert pipeline.drift(second).exit_code == 0


def test_a_removal_needs_no_more_of_a_file_than_its_name(pipeline, applied, tmp_path):
    stack = Stack.named(written(tmp_path, STACK + "endpoinds: []\n"))
    pipeline.remove(pipeline.removal(stack))
    left = pipeline.removal(stack)
    assert (steps(left), left.notes) == ([], ("nothing in lab belongs to stack 'demo'",))


def test_a_file_without_a_name_says_all_that_is_wrong(tmp_path):
    with pytest.raises(SpecError) as caught:
        Stack.named(written(tmp_path, "endpoints: [{name: iris}]\nendpoinds: []\n"))
    assert {fault.path for fault in caught.value.faults} == {"name", "endpoinds"}


class BegunTarget(MemoryTarget):
    """A target with a workspace that a first apply began and did not record."""

    def workspaces(self):
        return (*super().workspaces(), "begun")


def test_a_workspace_that_was_begun_and_not_recorded_is_removed(tmp_path):
    pipeline = Pipeline(BegunTarget(), ANN)
    stack = Stack.named(written(tmp_path, "name: demo\nworkspaces: [{name: begun}]\n"))
    assert steps(pipeline.removal(stack)) == ["delete Workspace 'begun'"]


class FullTarget(MemoryTarget):
    """A target whose disk is full: it deletes only what is stopped."""

    stopped = False

    def delete(self, *args, **options):
        if not self.stopped:
            raise OutOfCapacity("write", "a file", "no space left on device")
        super().delete(*args, **options)

    def stop(self, *args, **options):
        self.stopped = True


def test_on_a_full_disk_a_workspace_is_stopped_and_then_removed(tmp_path):
    target = FullTarget()
    pipeline = Pipeline(target, ANN)
    stack = Stack.load(written(tmp_path, STACK))
    pipeline.apply(pipeline.plan(stack))
    pipeline.remove(pipeline.removal(stack))
    assert target.workspaces() == ()


def test_outputs_are_those_of_the_planned_workspaces(pipeline, applied):
    planned = pipeline.plan(applied)
    assert pipeline.outputs(planned)["Endpoint/lab/iris"] == {
        "scoring_uri": "http://127.0.0.1:1/endpoints/iris/score",
        "openapi_uri": "http://127.0.0.1:1/endpoints/iris/swagger.json",
        "primary_key": "[secret]",
        "secondary_key": "[secret]",
    }


IRIS = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")


def test_a_split_keeps_the_owner_of_the_traffic(target, applied):
    spec = Pipeline(target, BEN).split(IRIS, {"blue": 0})
    traffic = target.record(IRIS.model_copy(update={"kind": Kind.TRAFFIC}))
    assert (dict(spec.traffic), traffic.owner, traffic.actor) == ({"blue": 0}, "demo", BEN)


@pytest.mark.parametrize(
    ("shares", "place"), [({"red": 100}, "traffic.red"), ({"blue": 50}, "traffic")]
)
def test_a_split_at_fault_changes_nothing(pipeline, applied, shares, place):
    with pytest.raises(SpecError) as caught:
        pipeline.split(IRIS, shares)
    assert [fault.path for fault in caught.value.faults] == [place]
    assert pipeline.drift(applied).exit_code == 0


def test_a_split_of_an_endpoint_that_is_not_there_is_refused(pipeline):
    with pytest.raises(TargetError, match="Endpoint 'lab/iris': it is not there"):
        pipeline.split(IRIS, {"blue": 100})


def test_what_a_state_holds_is_released(target, pipeline, applied):
    claim = Claim(holder="Pulumi stack 'dev' of project 'shop'", entry="urn", incarnation="1")
    target.transfer(IRIS, "demo", BEN, claim)
    assert [record.id for record in pipeline.release(["lab"])] == [IRIS]
    assert target.record(IRIS).claim is None


def test_a_version_is_not_deleted_in_the_plan_that_begins_to_move_its_requests_away(
    pipeline, applied, tmp_path
):
    plan = "{steps: [{share: 9, bake_minutes: 1}], alarms: [{metric: ErrorRate, above: 2}]}"
    text = STACK.replace("blue", "green").replace("100}}", f"100}}, rollout: {plan}}}")
    with pytest.raises(StillServing) as refused:
        pipeline.plan(Stack.load(written(tmp_path, text)))
    assert str(refused.value) == (
        "delete Deployment 'lab/iris/blue': the rollout of its endpoint's traffic would still send"
        " it requests; keep it in the file until the rollout has ended"
    )
    planned = pipeline.plan(Stack.load(written(tmp_path, text)), prune=False)
    assert steps(planned) == [
        "create Deployment 'lab/iris/green'",
        "update Traffic 'lab/iris'",
    ]
