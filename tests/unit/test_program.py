"""A server's program that can never start is told before anything is changed."""

from pathlib import Path

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import load_stack

STACK = """\
name: demo
models:
  - {{name: iris, path: weights}}
environments:
  - name: own
    command: {command}
    inference_config:
      liveness_route: &r {{path: /, port: 1}}
      readiness_route: *r
      scoring_route: *r
{more}
endpoints:
  - {{name: iris}}
deployments:
  - endpoint: iris
    name: blue
    model: iris@latest
    environment: own@latest
    code_configuration: {{code: src}}
    environment_variables: {{A: b{variables}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("src/serve.sh", "src/bin/serve", "src/plain.txt", "weights/serve", "tools/serve"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o644 if name.endswith(".txt") else 0o755)
    return tmp_path


def faults(
    folder: Path, command: str, more: str = "", variables: str = "", workspaces: str = ""
) -> list[str]:
    text = STACK.format(command=command, more=more, variables=variables) + workspaces
    (folder / "stack.yaml").write_text(text)
    try:
        load_stack(folder / "stack.yaml")
    except SpecError as error:
        return [str(fault) for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("program", "place"),
    [
        ("./gone.sh", "in the code"),
        ("plain.txt", "on PATH"),
        ("./plain.txt", "in the code"),
        ("bin", "on PATH"),
        ("./bin", "in the code"),
        ("../serve.sh", "in the code"),
        ("{code_dir}/gone.sh", "in the code"),
        ("{model_dir}/weights/gone", "in the model"),
        ("{model_dir}/serve", "in the model"),
        ("no-such-program-anywhere", "on PATH"),
        ("", "on PATH"),
    ],
)
def test_a_program_that_is_not_there_is_refused(folder, program, place):
    assert faults(folder, f"['{program}', '--port', '{{port}}']") == [
        "line 18: deployments.0.environment: its command starts"
        f" '{program}', which is not {place}; put it there, make it executable, or name"
        " another in the environment's command"
    ]


@pytest.mark.parametrize("program", ["/no/such/program", "/etc/passwd", "/tmp", "/" + "x" * 5000])
def test_an_absolute_program_that_is_not_there_is_the_environments_fault(folder, program):
    assert faults(folder, f"['{program}']") == [
        f"line 6: environments.0.command.0: no program '{program}' on this machine; install it, or"
        " name another"
    ]


CONTAINERS = "workspaces: [{name: lab, target: {kind: docker, host: 'ssh://gpu-1'}}]\n"


@pytest.mark.parametrize("program", ["tritonserver", "/opt/tritonserver/bin/tritonserver"])
def test_a_program_is_not_looked_for_here_when_instances_run_elsewhere(folder, program):
    assert len(faults(folder, f"['{program}']")) == 1
    assert faults(folder, f"['{program}']", workspaces=CONTAINERS) == []


@pytest.mark.parametrize(
    ("program", "place"),
    [("./gone.sh", "in the code"), ("{model_dir}/serve", "in the model"), ("", "on PATH")],
)
def test_a_program_of_the_content_is_looked_for_wherever_instances_run(folder, program, place):
    [fault] = faults(folder, f"['{program}']", workspaces=CONTAINERS)
    assert f"its command starts '{program}', which is not {place}; " in fault


@pytest.mark.parametrize(
    "program",
    [
        "./serve.sh",
        "bin/serve",
        "bin/../serve.sh",
        "{code_dir}/bin/serve",
        "{model_dir}/weights/serve",
        "/bin/sh",
        "sh",
        "python",
        "python3",
    ],
)
def test_a_program_that_is_there_is_taken(folder, program):
    assert faults(folder, f"['{program}', '--port', '{{port}}']") == []


def test_a_bare_name_that_a_package_may_bring_is_taken(folder):
    assert faults(folder, "[uvicorn-of-a-package]", "    dependencies: [uvicorn]") == []


def test_a_bare_name_is_looked_for_on_the_deployments_path(folder):
    path = f", PATH: '{folder}/tools'"
    assert faults(folder, "[serve]", variables=path) == []
    assert len(faults(folder, "[sh]", variables=path)) == 1


def test_a_relative_path_variable_leaves_it_open(folder):
    assert faults(folder, "[serve]", variables=", PATH: 'bin:/usr/bin'") == []


def test_a_place_that_the_deployment_has_not_is_refused(folder):
    text = STACK.format(
        command="[sh, '{model_dir}/x', '{code_dir}/y']", more="", variables=""
    ).replace("    model: iris@latest\n", "")
    (folder / "stack.yaml").write_text(text.replace("    code_configuration: {code: src}\n", ""))
    with pytest.raises(SpecError) as caught:
        load_stack(folder / "stack.yaml")
    assert [str(fault) for fault in caught.value.faults] == [
        "line 15: deployments.0.model: missing, and the environment's command uses {model_dir};"
        " name one, or take {model_dir} out of the command",
        "line 15: deployments.0.code_configuration: missing, and the environment's command uses"
        " {code_dir}; name one, or take {code_dir} out of the command",
    ]
