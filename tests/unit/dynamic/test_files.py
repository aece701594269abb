"""What check and preview read from files: content, scoring scripts and programs."""

import os

import pytest
from pulumi.output import UNKNOWN
from tests.providers import GPU, ROUTES, checked, failures

from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.environment import EnvironmentProvider
from inference_provider.dynamic.model import ModelProvider
from inference_provider.files import load_stack


def test_a_stack_file_beside_the_content_is_left_out_as_inferctl_does(
    target, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(b"one")
    (tmp_path / "stack.yaml").write_text("name: dot\nmodels:\n  - {name: iris, path: .}\n")
    [model] = load_stack(tmp_path / "stack.yaml").models

    inputs = checked(ModelProvider(), name="iris", path=".", stack_file="stack.yaml")
    made = ModelProvider().create(inputs)
    (tmp_path / "stack.yaml").write_text("name: changed\n")
    read = ModelProvider().read(made.id, made.outs)

    assert inputs["content_hash"] == model.content_hash
    assert checked(ModelProvider(), name="iris", path=".", stack_file="stack.yaml") == inputs
    assert read.inputs == inputs


def test_without_a_stack_file_beside_it_nothing_is_said_of_one(target, tmp_path, monkeypatch):
    """The engine would show a new input as a change of every resource."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(b"one")
    assert "stack_file" not in checked(ModelProvider(), name="iris", path="m")


def test_a_missing_file_is_a_failure_of_its_field(target):
    assert failures(ModelProvider(), name="m", path="nowhere") == [
        ("", "path: no file or folder 'nowhere'; paths are relative to the program's folder")
    ]


def test_a_preview_knows_the_pinned_reference_and_sees_a_changed_file(
    target, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(b"one")
    before = checked(ModelProvider(), name="m", path=str(tmp_path / "m"))
    (tmp_path / "m").write_bytes(b"two")
    after = checked(ModelProvider(), name="m", path="m")

    assert before["path"] == "m"
    assert before["reference"] == f"m:1@sha256:{before['content_hash']}"
    assert before["content_hash"] != after["content_hash"]


def test_a_preview_looks_at_files_although_other_fields_wait(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = failures(
        DeploymentProvider(),
        endpoint="echo",
        name="blue",
        environment=UNKNOWN,
        code_configuration={"code": "nowhere"},
    )
    assert found == [
        (
            "",
            "code_configuration.code: no folder 'nowhere'; "
            "paths are relative to the program's folder",
        )
    ]


def test_check_judges_a_script_by_the_python_of_an_environment_that_is_there(
    echo, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text("def init(:\n")
    code = {"code": "src", "scoring_script": "score.py"}
    found = {}
    for version in (None, "3.99"):
        fields = {"python_version": version} if version else {}
        environment = checked(EnvironmentProvider(), name="env", **fields)
        deployment = {"endpoint": "echo", "name": "blue", "code_configuration": code}
        deployment["environment"] = environment["reference"]
        before = failures(DeploymentProvider(), **deployment)
        EnvironmentProvider().create(environment)
        found[version] = (before, failures(DeploymentProvider(), **deployment))
    assert found[None][0] == []  # nobody knows its Python yet
    assert "line 1 is not valid Python" in found[None][1][0][1]
    assert found["3.99"] == ([], [])


def test_check_knows_the_program_of_an_environment_that_is_there(target):
    fields = {"command": ["no-such-program"], "inference_config": ROUTES}
    environment = checked(EnvironmentProvider(), name="env", **fields)
    EnvironmentProvider().create(environment)
    deployment = {"endpoint": "echo", "name": "blue", "environment": environment["reference"]}
    [(path, reason)] = failures(DeploymentProvider(), **deployment)
    assert path == ""
    assert reason.startswith(
        "environment: its command starts 'no-such-program', which is not on PATH"
    )


@pytest.mark.parametrize(("program", "secret"), [("server", "server"), ("{0}/server", "{0}")])
def test_a_program_that_a_placeholder_names_is_sealed_in_the_record_and_not_judged(
    echo, tmp_path, monkeypatch, program, secret
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "server").touch(mode=0o755)
    fields = {
        "command": [program.format(tmp_path)], "inference_config": ROUTES,
        "placeholders": [secret.format(tmp_path)],
    }  # fmt: skip
    environment = checked(EnvironmentProvider(), name="env", **fields)
    EnvironmentProvider().create(environment)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "data.txt").touch()
    deployment = {
        "endpoint": "echo", "name": "blue", "environment": environment["reference"],
        "code_configuration": {"code": "code"},
    }  # fmt: skip
    assert failures(DeploymentProvider(), **deployment) == []


def test_check_of_an_environment_alone_refuses_a_program_that_no_machine_of_ours_has(target):
    fields = {"command": ["/no/such/program"], "inference_config": ROUTES}
    assert failures(EnvironmentProvider(), name="env", **fields) == [
        (
            "",
            "command.0: no program '/no/such/program' on this machine; install it, or name another",
        )
    ]


def test_check_looks_for_no_program_here_when_instances_run_elsewhere(target):
    fields = {"name": "env", "command": ["/no/such/program"], "inference_config": ROUTES}
    assert len(failures(EnvironmentProvider(), **fields)) == 1
    assert failures(EnvironmentProvider(), **fields, place=GPU) == []
