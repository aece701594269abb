"""inferctl plan and up: what is made, changed and pruned."""

import json

from inference_provider.observed import Actor, Kind, ResourceId

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


def test_a_plan_says_why_it_updates_what_is_as_declared(cli):
    cli("up")
    cli.target.platform.ports("default").records.drop("keys", "iris")
    assert cli("plan").stdout == (
        "  ~ Endpoint 'default/iris'\n      its keys are gone\n1 to update; 5 unchanged\n"
    )


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


def test_actor_of_a_change_is_in_the_record(cli):
    cli("up")
    record = cli.target.observe_one(TRAFFIC).record
    assert record is not None
    assert isinstance(record.actor, Actor)
    assert record.actor.command == "inferctl up"
