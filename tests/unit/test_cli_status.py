"""inferctl drift, status and outputs: what is there, and what differs."""

import json

import pytest


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
    assert "there are several: default, second; pass --workspace NAME" in result.stderr
    assert "Endpoint 'second/iris'" in cli("status", "-w", "second").stdout


def test_status_before_any_workspace_says_how_to_create_one(cli):
    cli.file.unlink()
    result = cli("status")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: find a workspace: there is none yet; create one with `inferctl up FILE`\n"
    )
