"""A scoring script is judged by the Python it will run in."""

import sys
from pathlib import Path

import pytest

from inference_provider.errors import SpecError, TargetError
from inference_provider.files import load_stack
from inference_provider.serving.script_check import refuse_invalid_script

STACK = """\
name: demo
environments:
  - {name: env%s}
endpoints:
  - {name: iris}
deployments:
  - endpoint: iris
    name: blue
    environment: env@latest
    code_configuration: {code: src, scoring_script: score.py}
"""
OF_THE_FUTURE = "def init() ~> soon: ...\ndef run(data): ...\n"
SINCE_3_10 = "match 1:\n    case _: ...\ndef init(): ...\ndef run(data): ...\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path / "src" / "score.py"


def faults(script: Path, environment: str) -> list[str]:
    stack = script.parents[1] / "stack.yaml"
    stack.write_text(STACK % environment)
    try:
        load_stack(stack)
    except SpecError as error:
        return [str(fault) for fault in error.faults]
    return []


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(", python_version: '3.99'", id="newer"),
        pytest.param("}\n  - {name: env, version: '2', python_version: '3.99'", id="open"),
    ],
)
def test_what_only_a_newer_python_can_read_is_left_to_it(script, environment):
    script.write_text(OF_THE_FUTURE)
    assert faults(script, environment) == []


def test_what_our_python_cannot_read_is_refused_for_our_python(script):
    script.write_text(OF_THE_FUTURE)
    ours = f", python_version: '3.{sys.version_info.minor}'"
    for environment in ("", ours):
        [fault] = faults(script, environment)
        assert "'score.py' line 1 is not valid Python" in fault


def test_what_an_older_python_cannot_read_is_refused_for_it(script):
    script.write_text(SINCE_3_10)
    assert faults(script, ", python_version: '3.10'") == []
    [fault] = faults(script, ", python_version: '3.9'")
    assert fault.startswith(
        "line 10: deployments.0.code_configuration.scoring_script: 'score.py' line"
    )
    assert "only supported in Python 3.10 and greater; fix the script" in fault


def test_a_script_for_a_newer_python_that_ours_reads_needs_init_and_run_too(script):
    script.write_text("x = 1\n")
    [fault] = faults(script, ", python_version: '3.99'")
    assert "'score.py' defines no init() and no run()" in fault


def test_the_environments_python_says_file_and_line(script):
    script.write_text("def init(): ...\ndef run(data): ...\nreturn 'é'\n")
    with pytest.raises(TargetError) as refused:
        refuse_invalid_script(Path(sys.executable), script, "score.py", "Deployment 'a/b/c'")
    version = f"3.{sys.version_info.minor}"
    assert str(refused.value) == (
        f"start Deployment 'a/b/c': 'score.py' line 3 is not valid in Python {version}, the"
        " environment's: 'return' outside function; fix the script, or change the environment's"
        " python_version"
    )


def test_a_script_is_compiled_and_not_run(script, tmp_path):
    script.write_text(f"open({str(tmp_path / 'made')!r}, 'w')\n")
    refuse_invalid_script(Path(sys.executable), script, "score.py", "Deployment 'a/b/c'")
    assert not (tmp_path / "made").exists()


def test_a_python_that_is_gone_is_left_to_the_instances_own_log(script, tmp_path):
    refuse_invalid_script(tmp_path / "gone", script, "score.py", "Deployment 'a/b/c'")
