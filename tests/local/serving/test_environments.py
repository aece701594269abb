"""How real environments are built, once, and which are refused."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.local.serving.instances import own_environment

from inference_provider.errors import TargetError
from inference_provider.serving.environments import build_environment, built_note

pytestmark = pytest.mark.local


def test_the_rest_of_a_killed_build_is_built_again(tmp_path):
    spec = own_environment("python")
    venv = build_environment(spec, tmp_path, print)
    (venv / ".ready").unlink()
    (venv / "bin" / "python").unlink()
    assert build_environment(spec, tmp_path, print) == venv
    assert (venv / "bin" / "python").exists()


def test_an_environment_is_built_with_bytecode_so_that_no_server_compiles_it(tmp_path):
    venv = build_environment(own_environment("python", dependencies=("click",)), tmp_path, print)
    [package] = venv.glob("lib/python*/site-packages/click")
    [compiled] = package.glob("__pycache__/core.*.pyc")
    assert compiled.stat().st_size > 10_000


def test_two_builders_of_one_environment_build_it_once(tmp_path):
    steps: list[str] = []
    together = threading.Barrier(2)

    def build(_: int) -> Path:
        together.wait()
        return build_environment(own_environment("python"), tmp_path, steps.append)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(build, range(2))
    assert first == second
    assert steps == ["building environment with 0 requirements", "environment built"]


def test_a_python_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    spec = own_environment("python", python_version="3.77")
    with pytest.raises(TargetError, match=r"has no Python 3\.77; it has .*3\.\d+"):
        build_environment(spec, tmp_path, print)


def test_for_a_conda_file_the_nearest_python_is_taken_and_told_and_kept(tmp_path):
    steps: list[str] = []
    spec = own_environment("python", python_version="3.77", conda_file="conda.yaml")
    venv = build_environment(spec, tmp_path, steps.append)
    taken = (venv / "pyvenv.cfg").read_text().partition("version_info = ")[2][:4]
    [said] = [one for one in steps if "3.77" in one]
    assert said.startswith(f"Python {taken} in place of 3.77 of the conda file: this machine has ")
    assert built_note(spec, tmp_path) == said
    assert build_environment(spec, tmp_path, steps.append) == venv
    with pytest.raises(TargetError, match=r"has no Python 3\.77"):
        strict = own_environment("python", python_version="3.77")
        build_environment(strict, tmp_path, print)


def test_a_failure_names_the_python_that_was_taken(tmp_path):
    spec = own_environment(
        "python", python_version="3.77", conda_file="conda.yaml", dependencies=("six==99",)
    )
    with pytest.raises(TargetError, match=r"\(Python 3\.\d+ in place of 3\.77 of the conda file"):
        build_environment(spec, tmp_path, print)


def test_a_requirement_that_cannot_be_read_is_refused_without_its_credentials(tmp_path):
    spec = own_environment("python", dependencies=("--index-url https://me:hunter2@ a b",))
    with pytest.raises(TargetError) as refused:
        build_environment(spec, tmp_path, print)
    assert str(refused.value).startswith("build environment Environment 'default/own:1': error:")
    assert "hunter2" not in str(refused.value)


def test_without_a_home_that_can_be_written_uv_gets_a_cache_in_the_state_folder(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    venv = build_environment(own_environment("python"), tmp_path / "environments", print)
    assert (venv / "bin" / "python").exists()
    assert (tmp_path / "uv-cache").is_dir()


def test_a_chosen_cache_that_cannot_be_written_is_named_as_what_to_change(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", "/dev/null/uv")
    with pytest.raises(TargetError, match="set UV_CACHE_DIR to a writable folder"):
        build_environment(own_environment("python"), tmp_path / "environments", print)
