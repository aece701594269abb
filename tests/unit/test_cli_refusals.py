"""What inferctl refuses when it plans, before anything is changed."""

from typer.testing import CliRunner

from inference_provider.cli.main import app
from inference_provider.cli.session import Session
from inference_provider.observed import Kind, ResourceId


def test_what_the_target_cannot_do_is_a_list_without_stray_blanks(cli):
    cli.file.write_text(cli.ONLY_ENDPOINT.replace("iris", "iris, kind: batch"))
    result = cli("plan")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: plan the stack:\n"
        "  Endpoint 'default/iris' on target 'memory': kind: batch endpoints are not supported yet;"
        " use online\n"
    )


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


def test_a_target_that_is_not_supported_is_refused_before_anything_is_opened(cli):
    cli.file.write_text("name: demo\nworkspaces: [{name: demo, target: memory}]\n")
    done = CliRunner().invoke(app, ["plan"], obj=Session())
    assert done.exit_code == 1
    said = "error: open target 'memory': not supported yet; use 'local', 'docker' or 'kubernetes'\n"
    assert done.stderr == said
