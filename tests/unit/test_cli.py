"""What every command does with its arguments, its stack file, its target and an error."""

import pytest

from inference_provider.targets.memory import MemoryTarget


class BrokenTarget(MemoryTarget):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def observe(self, workspaces):
        raise self.error


@pytest.mark.parametrize("args", [[], ["keys"]])
def test_bare_command_shows_the_help_and_exits_0(cli, args):
    result = cli(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")
    assert "rotate" in result.stdout or "doctor" in result.stdout


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


def test_fault_in_the_file_is_one_block_without_a_traceback(cli):
    cli.file.write_text("name: demo\nendpoints: [{name: iris, colour: red}]\n")
    result = cli("up")
    assert result.exit_code == 1
    assert "line 2" in result.stderr
    assert "Traceback" not in result.output


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


@pytest.mark.parametrize("command", ["plan", "drift", "down", "status", "outputs", "stop"])
def test_a_command_opens_the_target_where_the_stack_file_says_it_is(cli, command):
    cli.file.write_text(
        "name: demo\nworkspaces: [{name: demo, target: {kind: docker, host: 'ssh://gpu-1'}}]\n"
    )
    cli(command)
    assert cli.opened == ["docker ssh://gpu-1"]


def test_a_workspace_by_name_is_where_the_file_of_this_folder_says(cli, monkeypatch):
    place = "{kind: docker, host: 'ssh://gpu-1'}"
    cli.file.write_text(f"name: demo\nworkspaces: [{{name: default, target: {place}}}]\n")
    monkeypatch.chdir(cli.file.parent)
    assert cli("logs", "iris/blue", "--workspace", "default").exit_code == 1
    assert cli.opened == ["docker ssh://gpu-1"]
    cli.file.write_text("name: [")
    assert cli("logs", "iris/blue", "--workspace", "default").exit_code == 1
    assert cli.opened[1:] == ["local"]
