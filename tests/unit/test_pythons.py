"""Which Python an environment is built with where the one that it asks for is not there."""

import pytest

from inference_provider.serving.pythons import choose, known_to_uv, of_pyenv
from inference_provider.spec import EnvironmentSpec

THERE = {"3.9": "/a/3.9", "3.11": "/a/3.11", "3.13": "/a/3.13"}


def conda(python):
    return EnvironmentSpec(name="env", python_version=python, conda_file="conda.yaml")


def test_the_python_that_is_asked_for_is_taken_where_it_is():
    assert choose(conda("3.9"), THERE) == ("/a/3.9", "", "")


@pytest.mark.parametrize(
    ("asked", "taken"), [("3.8", "3.9"), ("3.10", "3.11"), ("3.12", "3.13"), ("3.14", "3.13")]
)
def test_of_a_conda_file_the_nearest_is_taken_and_of_two_the_newer(asked, taken):
    assert choose(conda(asked), THERE) == (
        f"/a/{taken}",
        f"Python {taken} in place of {asked} of the conda file: this machine has 3.9, 3.11, 3.13",
        f"-python{taken}",
    )


def test_a_python_version_of_a_stack_file_is_taken_by_its_word():
    assert choose(EnvironmentSpec(name="env", python_version="3.12"), THERE) is None


def test_of_what_uv_lists_the_first_cpython_of_each_version_counts():
    def listed(minor, path, implementation="cpython"):
        parts = {"major": 3, "minor": minor, "patch": 1}
        return {"version_parts": parts, "path": path, "implementation": implementation}

    found = known_to_uv([listed(11, "/b"), listed(11, "/c"), listed(12, "/d", "pypy")])
    assert found == {"3.11": "/b"}


def test_what_pyenv_has_installed_counts_though_it_is_not_on_the_path(tmp_path):
    for name in ("3.12.1", "3.12.10", "3.12.9", "3.9.2", "2.7.18", "pypy3.9-7.3", "3.13.0"):
        folder = tmp_path / ".pyenv" / "versions" / name / "bin"
        folder.mkdir(parents=True)
        if name != "3.13.0":
            (folder / "python").write_text("")
            (folder / "python").chmod(0o755)
    versions = tmp_path / ".pyenv" / "versions"
    assert of_pyenv({"HOME": str(tmp_path)}) == {
        "3.9": f"{versions}/3.9.2/bin/python",
        "3.12": f"{versions}/3.12.10/bin/python",
    }
    assert of_pyenv({"HOME": "/", "PYENV_ROOT": str(tmp_path / "none")}) == {}
