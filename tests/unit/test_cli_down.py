"""inferctl down: what goes, and what stays for others."""

from tests.memory import write_record

from inference_provider.observed import Kind, ResourceId


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
