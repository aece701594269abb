"""inferctl over the memory target: up, plan, drift, down, and what every command keeps."""

import json
import threading
from io import StringIO

import pytest
from rich.console import Console
from tests.memory import write_record
from typer.testing import CliRunner

from inference_provider.cli.main import app
from inference_provider.cli.progress import shown, under_way
from inference_provider.cli.session import Session
from inference_provider.errors import NotReady
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.plan import Action, ActionKind
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.ports import silent

TRAFFIC = ResourceId(kind=Kind.TRAFFIC, workspace="default", name="iris")


def test_plan_of_a_new_stack_exits_2_and_changes_nothing(cli):
    result = cli("plan")
    assert result.exit_code == 2, result.output
    assert "+ Endpoint 'default/iris'" in result.stdout
    assert result.stdout.splitlines()[-1] == "6 to create; 0 unchanged"
    assert cli.target.workspaces() == ()


def test_up_then_plan_is_clean(cli):
    assert cli("up").exit_code == 0
    result = cli("plan")
    assert (result.exit_code, result.stdout) == (0, "no changes; 6 unchanged\n")


def test_up_that_changes_nothing_prints_the_scoring_addresses_too(served):
    result = served("up")
    assert result.stdout == (
        "no changes; 6 unchanged\nEndpoint/default/iris: http://127.0.0.1:1/endpoints/iris/score\n"
    )


def test_up_of_a_file_elsewhere_needs_its_path_only(cli, tmp_path):
    elsewhere = tmp_path / "deep"
    elsewhere.mkdir()
    cli.file.rename(elsewhere / "other.yaml")
    assert cli("up", elsewhere / "other.yaml").exit_code == 0


def test_up_json_is_one_document_with_hidden_keys(cli):
    result = cli("up", "--json")
    document = json.loads(result.stdout)
    assert [action["kind"] for action in document["actions"]] == [
        "Workspace", "Environment", "Endpoint", "Deployment", "Deployment", "Traffic",
    ]  # fmt: skip
    assert document["outputs"]["Endpoint/default/iris"]["primary_key"] == "[secret]"


def test_changed_secret_shows_neither_value_nor_digest(cli):
    cli("up")
    cli.file.write_text(cli.STACK.replace("hunter2", "hunter3"))
    for output in (cli("plan").output, cli("plan", "--json").output, cli("drift").output):
        assert "[secret]" in output
        assert "hunter" not in output
        assert "sha256" not in output


def test_up_that_would_prune_stops_where_nobody_can_be_asked(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT)
    result = cli("up")
    assert result.exit_code == 1
    assert "cannot prompt: stdin is not a terminal; nothing was changed; pass -y" in result.stderr
    assert cli.target.observe_one(TRAFFIC).record is not None


def test_up_prunes_after_yes_and_not_after_no(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT)
    refused = cli("up", interactive=True, said="n\n")
    assert refused.exit_code == 1
    assert cli.target.observe_one(TRAFFIC).record is not None
    agreed = cli("up", interactive=True, said="y\n")
    assert agreed.exit_code == 0
    assert len(cli.target.observe(["default"]).resources) == 2


def test_up_no_prune_leaves_what_is_no_longer_declared(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT)
    assert cli("up", "--no-prune").exit_code == 0
    assert len(cli.target.observe(["default"]).resources) == 6


def test_workspace_that_is_no_longer_declared_is_pruned_too(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT.replace("default", "second"))
    assert cli("up", "-y").exit_code == 0
    assert cli.target.workspaces() == ("second",)


def test_down_needs_yes_and_leaves_nothing(cli):
    cli("up")
    assert cli("down").exit_code == 1
    assert cli("down", "-y").exit_code == 0
    assert cli.target.workspaces() == ()
    assert cli("down").exit_code == 0


def test_down_of_a_stack_that_owns_nothing_says_so(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT.replace("demo", "other"))
    result = cli("down", "-y")
    assert result.exit_code == 0
    assert result.stdout == (
        "nothing in default belongs to stack 'other'\nno changes; 0 unchanged\n"
    )


def test_down_and_status_work_although_the_file_is_at_fault(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT + "endpoinds: []\n")
    assert cli("up").exit_code == 1
    assert "Endpoint 'default/iris'" in cli("status").stdout
    assert cli("down", "-y").exit_code == 0
    assert cli.target.workspaces() == ()


def test_down_leaves_a_workspace_another_stack_lives_in(cli, tmp_path):
    cli("up")
    other = tmp_path / "other.yaml"
    other.write_text("name: other\nworkspaces: []\n")
    endpoint = ResourceId(kind=Kind.ENDPOINT, workspace="default", name="iris")
    there = cli.target.observe_one(endpoint)
    theirs = endpoint.model_copy(update={"name": "theirs"})
    foreign = there.record.model_copy(update={"id": theirs, "owner": "other"})
    write_record(cli.target, foreign)
    assert cli("down", "-y").exit_code == 0
    left = sorted(cli.target.observe(["default"]).resources)
    assert left == ["Endpoint/default/theirs", "Workspace/default/default"]


def test_drift_is_clean_after_up_and_2_after_a_change_of_the_file(cli):
    cli("up")
    assert cli("drift").exit_code == 0
    cli.file.write_text(cli.STACK.replace("{blue: 100}", "{blue: 50, green: 50}"))
    result = cli("drift")
    assert result.exit_code == 2
    assert result.stdout.startswith("demo: 1 drifted, 0 missing, 0 unmanaged, 5 clean")


@pytest.mark.parametrize("form", ["text", "json", "markdown", "junit"])
def test_drift_of_a_stack_never_applied_exits_2_in_every_format(cli, form):
    result = cli("drift", "--format", form)
    assert result.exit_code == 2
    assert "missing" in result.stdout


def test_outputs_hide_keys_unless_asked(cli):
    cli("up")
    assert "primary_key: [secret]" in cli("outputs").stdout
    shown = json.loads(cli("outputs", "--show-secrets", "--json").stdout)
    assert len(shown["Endpoint/default/iris"]["primary_key"]) > 20


def test_status_lists_every_resource_in_order(cli):
    cli("up")
    lines = cli("status").stdout.splitlines()
    assert lines[0].split()[:2] == ["present", "Workspace"]
    assert lines[-1].endswith("Traffic 'default/iris'  blue 100 %")


def test_status_needs_a_workspace_when_there_are_two_and_no_file(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT.replace("default", "second").replace("demo", "other"))
    cli("up")
    cli.file.unlink()
    result = cli("status")
    assert result.exit_code == 1
    assert "which of default, second?; pass --workspace NAME" in result.stderr
    assert "Endpoint 'second/iris'" in cli("status", "-w", "second").stdout


def test_status_before_any_workspace_says_how_to_create_one(cli):
    cli.file.unlink()
    result = cli("status")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: find a workspace: there is none yet; create one with `inferctl up FILE`\n"
    )


def test_fault_in_the_file_is_one_block_without_a_traceback(cli):
    cli.file.write_text("name: demo\nendpoints: [{name: iris, colour: red}]\n")
    result = cli("up")
    assert result.exit_code == 1
    assert "line 2" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("args", [["frob"], ["up", "--frob"], ["score"], ["--frob"]])
def test_wrong_command_line_exits_1_since_2_means_changes(cli, args):
    assert cli(*args).exit_code == 1


def test_missing_file_is_said_in_a_sentence(cli):
    result = cli("up", "nowhere.yaml")
    assert result.exit_code == 1
    assert "nowhere.yaml: no such file" in result.stderr


def test_folder_in_place_of_a_file_is_called_a_directory(cli, tmp_path):
    result = cli("up", tmp_path)
    assert result.exit_code == 1
    assert f"it is a directory; pass {cli.file}" in result.stderr
    (tmp_path / "empty").mkdir()
    empty = cli("plan", tmp_path / "empty")
    assert "it is a directory; pass the path of a stack file" in empty.stderr


@pytest.mark.parametrize("args", [[], ["keys"]])
def test_bare_command_shows_the_help_and_exits_0(cli, args):
    result = cli(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")
    assert "rotate" in result.stdout or "doctor" in result.stdout


def test_what_the_target_cannot_do_is_a_list_without_stray_blanks(cli):
    cli.file.write_text(cli.ONLY_ENDPOINT.replace("iris", "iris, kind: batch"))
    result = cli("plan")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: plan the stack:\n"
        "  Endpoint 'default/iris' on target 'memory': kind: batch endpoints are not supported yet;"
        " use online\n"
    )


class BrokenTarget(MemoryTarget):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def observe(self, workspaces):
        raise self.error


def test_unforeseen_error_is_one_sentence_and_traceback_on_request(cli):
    cli.target = BrokenTarget(ValueError("odd"))
    short = cli("status", "-w", "default")
    assert short.exit_code == 1
    assert short.stderr == "error: ValueError: odd; run with --traceback to see where\n"
    assert "in observe" in cli("--traceback", "status", "-w", "default").stderr


def test_interrupt_exits_130(cli):
    cli.target = BrokenTarget(KeyboardInterrupt())
    result = cli("status", "-w", "default")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr


def test_actor_of_a_change_is_in_the_record(cli):
    cli("up")
    record = cli.target.observe_one(TRAFFIC).record
    assert record is not None
    assert isinstance(record.actor, Actor)
    assert record.actor.command == "inferctl up"


def test_doctor_tells_each_check_and_fails_on_a_folder_it_cannot_use(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(tmp_path))
    found = {check["name"]: check for check in json.loads(cli("doctor", "--json").stdout)}
    assert set(found) == {
        "state folder", "disk", "envoy", "supervisord", "uv", "loopback", "open files", "gpus",
    }  # fmt: skip
    assert found["envoy"]["ok"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(blocked))
    result = cli("doctor")
    assert result.exit_code == 1
    assert "set INFERENCE_STATE_DIR to a folder of yours" in result.stdout


def test_of_many_refusals_50_are_told_and_the_rest_counted(cli):
    endpoints = "".join(f"  - {{name: ep-{i}, kind: batch}}\n" for i in range(60))
    cli.file.write_text(f"name: demo\nworkspaces: [{{target: memory}}]\nendpoints:\n{endpoints}")
    lines = cli("plan").stderr.splitlines()
    assert len(lines) == 52
    assert lines[-1] == "  and 10 more"


def test_a_pin_to_content_that_nobody_has_is_refused_when_planning(cli):
    digest = "0123456789ab" + "c" * 52
    cli.file.write_text(
        cli.STACK.replace('environment: "plain:1",', f'environment: "plain:1@sha256:{digest}",')
    )
    result = cli("plan")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: plan the stack:\n"
        "  Deployment 'default/iris/blue': environment: content 0123456789ab of 'plain:1' is"
        " neither declared nor in the workspace; write 'plain:1' to use what is declared\n"
    )


def test_a_pin_to_declared_or_held_content_is_taken(cli):
    cli("up")
    there = cli.target.observe_one(
        ResourceId(kind=Kind.ENVIRONMENT, workspace="default", name="plain:1")
    )
    pin = f"plain:1@sha256:{there.properties['content_hash']}"
    pinned = cli.STACK.replace('environment: "plain:1",', f'environment: "azureml:{pin}",')
    assert pinned != cli.STACK
    cli.file.write_text(pinned)
    assert cli("plan").exit_code == 2
    cli.file.write_text(pinned.replace("http.server", "other.server"))
    assert cli("plan").exit_code == 2  # the workspace holds what is no longer declared


def test_a_quota_that_another_stack_uses_up_is_refused_when_planning(cli):
    cli.file.write_text(
        cli.STACK.replace("target: memory", "target: memory, quota: {max_instances: 3}")
    )
    cli("up")
    second = cli.file.with_name("second.yaml")
    text = cli.file.read_text().replace("name: demo", "name: second").replace("iris", "mine")
    second.write_text(text.replace("plain", "other"))
    result = cli("plan", second)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: plan the stack:\n"
        "  Deployment 'default/mine/green': would bring the workspace to 4 instances; its quota is"
        " 3; raise quota.max_instances, or scale another deployment in\n"
    )


def test_doctor_refuses_a_path_that_up_would_refuse(cli, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", "/tmp/" + "x" * 60)
    result = cli("doctor")
    assert result.exit_code == 1
    assert "FAIL state folder: the state folder's path is too long: a socket" in result.stdout
    assert "set INFERENCE_STATE_DIR to another folder" in result.stdout


def test_doctor_refuses_a_name_that_no_file_system_takes(cli, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", "/tmp/" + "x" * 300)
    result = cli("doctor")
    assert result.exit_code == 1
    assert "FAIL state folder: the state folder's path is too long" in result.stdout


def test_up_one_at_a_time_says_what_is_finished_in_the_order_of_the_plan(cli):
    result = cli("up", "--parallel", "1")
    finished = [line for line in result.stderr.splitlines() if not line.startswith("  ")]
    assert [line.split()[0] for line in finished] == [
        "Workspace", "Environment", "Endpoint", "Deployment", "Deployment", "Traffic",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["up", "down"])
def test_less_than_one_at_a_time_is_a_wrong_command_line(cli, command):
    result = cli(command, "--parallel", "0")
    assert result.exit_code == 1
    assert "--parallel" in result.stderr


def test_of_much_that_is_under_way_five_are_shown_and_the_rest_counted():
    steps = {TRAFFIC.model_copy(update={"name": f"ep-{i}"}): "served" for i in range(8)}
    assert under_way(steps) == [
        "Traffic 'default/ep-0': served",
        "Traffic 'default/ep-1': served",
        "Traffic 'default/ep-2': served",
        "Traffic 'default/ep-3': served",
        "Traffic 'default/ep-4': served",
        "and 3 more",
    ]


class FailingTarget(MemoryTarget):
    """A target on which no deployment starts, whichever of two comes first."""

    def __init__(self):
        super().__init__()
        self.both = threading.Barrier(2)

    def apply(self, desired, actor, progress=silent):
        if desired.id.kind == Kind.DEPLOYMENT:
            self.both.wait(10)
            raise NotReady("start", str(desired.id), "its process ended", "see its log")
        return super().apply(desired, actor, progress)


def test_up_tells_all_that_failed_and_the_next_one_goes_on(cli):
    cli.target = FailingTarget()
    result = cli("up", "--parallel", "2")
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "error: 2 changes failed:\n"
        "  start Deployment 'default/iris/blue': its process ended; see its log\n"
        "  start Deployment 'default/iris/green': its process ended; see its log\n"
    )
    assert cli("plan").stdout.splitlines()[-1] == "3 to create; 3 unchanged"


def test_a_terminal_has_one_line_for_each_resource_that_is_finished():
    text = StringIO()
    with shown(Console(file=text, force_terminal=True, width=100)) as (step, finished):
        for name in ("blue", "green"):
            there = TRAFFIC.model_copy(update={"kind": Kind.DEPLOYMENT, "name": f"iris/{name}"})
            step(there, "[1] of 2 instances ready")
            finished(Action(kind=ActionKind.CREATE, id=there), None)
    lines = [line for line in text.getvalue().splitlines() if "created" in line]
    assert len(lines) == 2
    assert "Deployment" in lines[0]
    assert "[1] of 2 instances ready" in text.getvalue()


@pytest.mark.parametrize("command", ["plan", "drift", "down", "status", "outputs", "stop"])
def test_a_command_opens_the_target_where_the_stack_file_says_it_is(cli, command):
    cli.file.write_text(
        "name: demo\nworkspaces: [{name: demo, target: {kind: docker, host: 'ssh://gpu-1'}}]\n"
    )
    cli(command)
    assert cli.opened == ["docker ssh://gpu-1"]


def test_a_target_that_is_not_supported_is_refused_before_anything_is_opened(cli):
    cli.file.write_text("name: demo\nworkspaces: [{name: demo, target: docker}]\n")
    done = CliRunner().invoke(app, ["plan"], obj=Session())
    assert done.exit_code == 1
    assert done.stderr == "error: open target 'docker': not supported yet; use 'local'\n"
