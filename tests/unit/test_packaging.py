"""What a package index would hand out, and what Pulumi's language host reads in it."""

import json
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


def test_the_wheel_says_that_no_plugin_binary_belongs_to_it(wheel):
    # Without the file the engine downloads, and runs, whatever is released under the name.
    held = json.loads(wheel.read("pulumi_inference/pulumi-plugin.json"))
    assert held == {"resource": False}


def test_the_wheel_holds_the_pages_of_the_console(wheel):
    found = {Path(name).suffix for name in wheel.namelist() if "/console/" in name}
    assert found == {".py", ".html", ".css", ".js", ".svg"}


def test_the_wheel_holds_the_types_of_all_three_packages(wheel):
    typed = {name for name in wheel.namelist() if name.endswith("py.typed")}
    assert typed == {
        "inference_components/py.typed",
        "inference_provider/py.typed",
        "pulumi_inference/py.typed",
    }


def test_the_language_host_finds_the_file_where_it_looks():
    # As pulumi-language-python does: the module named like the distribution, and its folders.
    module = distribution("pulumi-inference").metadata["Name"].replace("-", "_")
    [folder] = find_spec(module).submodule_search_locations
    assert json.loads(Path(folder, "pulumi-plugin.json").read_text()) == {"resource": False}
