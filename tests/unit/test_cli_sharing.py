"""Two stacks in one workspace, over the memory target."""

import json

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.errors import OutOfCapacity
from inference_provider.observed import Actor, Claim, Kind, ResourceId
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.memory import MemoryTarget

WORKSPACE = ResourceId(kind=Kind.WORKSPACE, workspace="default", name="default")
ACTOR = Actor(user="ann")
STACK = """\
name: second
workspaces: [{name: default, target: memory}]
endpoints: [{name: rose}]
"""
SHARED = "Workspace 'default' is owned by stack 'demo'; left unchanged\n"


@pytest.fixture
def second(cli, tmp_path):
    """The file of a second stack in the workspace of the first, which is applied."""
    assert cli("up").exit_code == 0
    path = tmp_path / "second.yaml"
    path.write_text(STACK)
    return path


def test_stack_that_declares_another_ones_workspace_equally_lives_in_it(cli, second):
    planned = cli("plan", second)
    assert planned.exit_code == 2
    assert planned.stdout.startswith(SHARED)
    assert cli("up", second).exit_code == 0
    assert cli("plan", second).stdout == f"{SHARED}no changes; 2 unchanged\n"
    assert cli("drift", second).exit_code == 0
    assert cli("plan").stdout == "no changes; 6 unchanged\n"


def test_json_of_a_shared_workspace_stays_one_document(cli, second):
    result = cli("up", second, "--json")
    assert [action["name"] for action in json.loads(result.stdout)["actions"]] == ["rose"]
    assert SHARED in result.stderr
    assert json.loads(cli("plan", second, "--json").stdout)["notes"] == [SHARED.rstrip()]


def test_workspace_of_another_stack_declared_otherwise_is_refused(cli, second):
    second.write_text(STACK.replace("target: memory", "target: memory, description: ours"))
    for command in ("plan", "up"):
        result = cli(command, second)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            "error: plan Workspace 'default': it belongs to stack 'demo', not to 'second', and"
            " description would change; declare it as 'demo' does to share it, or name another"
            " workspace\n"
        )


def test_equal_endpoint_of_another_stack_is_refused_though_nothing_would_change(cli, second):
    second.write_text(STACK.replace("rose", "iris"))
    for command in ("plan", "up"):
        result = cli(command, second)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            "error: plan Endpoint 'default/iris': it belongs to stack 'demo', not to 'second';"
            " rename it here, or take it out of 'demo' first\n"
        )
    drift = cli("drift", second)
    assert drift.exit_code == 2
    assert drift.stdout.endswith(
        "drifted: Endpoint 'default/iris' (it belongs to stack 'demo'; this stack cannot change"
        " it)\n"
        "  owner: declared second | recorded demo | live demo  [identity, replace]\n"
        "    owned by another stack\n"
    )


def test_down_of_the_owner_hands_the_workspace_to_the_stack_that_lives_in_it(cli, second):
    cli("up", second)
    result = cli("down", "-y")
    assert result.stdout.startswith(
        "Workspace 'default' stays: stack 'second' uses it; it is handed over to 'second'\n"
    )
    assert "5 to delete, 1 to hand over; 0 unchanged" in result.stdout
    found = cli.target.observe(["default"]).resources
    assert {address: there.record.owner for address, there in found.items()} == {
        "Endpoint/default/rose": "second",
        "Workspace/default/default": "second",
    }
    assert cli("plan", second).stdout == "no changes; 2 unchanged\n"
    assert cli("down", second, "-y").exit_code == 0
    assert cli.target.workspaces() == ()


def test_a_handover_alone_deletes_nothing_and_needs_no_yes(cli, second, tmp_path):
    cli("up", second)
    alone = tmp_path / "alone.yaml"
    alone.write_text("name: demo\nworkspaces: [{name: other, target: memory}]\n")
    cli("down", "-y")
    cli.target.transfer(WORKSPACE, "demo", ACTOR)
    result = cli("up", alone)
    assert result.exit_code == 0, result.stderr
    assert cli.target.record(WORKSPACE).owner == "second"


class FullTarget(MemoryTarget):
    """Has no room to delete anything; notes what is stopped."""

    full = False

    def __init__(self):
        super().__init__()
        self.stopped = []

    def delete(self, resource, *args, **kwargs):
        if self.full:
            raise OutOfCapacity("write", "lds.json", "no space left")
        super().delete(resource, *args, **kwargs)

    def stop(self, workspace, *args, **kwargs):
        self.stopped.append(workspace)


def test_down_on_a_full_disk_stops_no_workspace_in_which_another_stack_lives(cli, tmp_path):
    cli.target = FullTarget()
    assert cli("up").exit_code == 0
    other = tmp_path / "second.yaml"
    other.write_text(STACK)
    assert cli("up", other).exit_code == 0
    cli.target.full = True
    result = cli("down", "-y")
    assert (result.exit_code, cli.target.stopped) == (1, [])
    assert "no space left" in result.stderr


def test_what_a_pulumi_stack_holds_is_said_when_it_changes_and_can_be_released(cli):
    cli("up")
    held = cli.target.record(WORKSPACE)
    claim = Claim(holder="Pulumi stack 'dev' of project 'shop'", entry="urn", incarnation="1")
    spec = WorkspaceSpec(target="memory")
    wanted = DesiredResource(id=WORKSPACE, spec=spec, owner="demo", claim=claim)
    cli.target.apply(wanted, ACTOR)
    cli.file.write_text(cli.STACK.replace("target: memory", "target: memory, description: new"))

    assert cli("plan").stdout.startswith(
        "1 of these is held by Pulumi stack 'dev' of project 'shop'; its next refresh will show"
        " these changes\n"
    )
    cli("up")
    assert cli.target.record(WORKSPACE).claim == claim
    assert cli("release").stdout == (
        "released Workspace 'default', held by Pulumi stack 'dev' of project 'shop'\n"
    )
    assert cli.target.record(WORKSPACE).claim is None
    assert cli.target.record(WORKSPACE).owner == held.owner
    assert cli("release").stdout == "nothing here is held by a Pulumi stack\n"
    assert cli("release", "--json").stdout == '{\n  "released": []\n}\n'
