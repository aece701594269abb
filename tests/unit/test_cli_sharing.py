"""Two stacks in one workspace, over the memory target."""

import json

import pytest

STACK = """\
name: second
workspaces: [{name: default, target: memory}]
endpoints: [{name: rose}]
"""
SHARED = "Workspace 'default' is owned by stack 'demo'; left as it is\n"


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
        "drifted: Endpoint 'default/iris' (it belongs to stack 'demo'; `up` refuses to change it)\n"
        "  owner: declared second | recorded demo | live demo  [identity, replace]\n"
        "    owned by another stack\n"
    )


def test_down_of_the_owner_leaves_the_workspace_and_says_for_whom(cli, second):
    cli("up", second)
    result = cli("down", "-y")
    assert result.stdout.startswith("Workspace 'default' stays: stack 'second' lives in it\n")
    assert sorted(cli.target.observe(["default"]).resources) == [
        "Endpoint/default/rose", "Workspace/default/default",
    ]  # fmt: skip
    assert cli("down", second, "-y").exit_code == 0
    assert cli("down", "-y").exit_code == 0
    assert cli.target.workspaces() == ()
