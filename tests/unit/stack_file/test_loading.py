"""A stack file without faults -> a spec with everything filled in."""

import subprocess
import sys

import pytest
from tests.stack_files import GOOD, load


def test_traffic_on_an_endpoint_becomes_a_resource_of_its_own(folder):
    [traffic] = load(folder, GOOD).traffic
    assert traffic.model_dump() == {
        "workspace": "lab",
        "endpoint": "iris-ep",
        "traffic": {"blue": 100},
        "mirror_traffic": {"green": 10},
        "rollout": None,
    }


def test_the_only_workspace_is_everybodys(folder):
    stack = load(folder, GOOD)
    everything = (*stack.models, *stack.environments, *stack.endpoints, *stack.deployments)
    assert {spec.workspace for spec in everything} == {"lab"}


def test_without_workspaces_there_is_one_called_default(folder):
    stack = load(folder, "name: demo\nendpoints:\n  - name: iris-ep\n")
    assert [workspace.name for workspace in stack.workspaces] == ["default"]
    assert stack.endpoints[0].workspace == "default"


def test_content_hashes_are_filled_in(folder):
    stack = load(folder, GOOD)
    hashes = [stack.models[0].content_hash, stack.environments[0].content_hash]
    hashes += [d.code_configuration.content_hash for d in stack.deployments]
    assert [len(found) for found in hashes] == [64, 64, 64, 64]


def test_placeholders_are_filled_in(folder, monkeypatch):
    monkeypatch.setenv("STACK_TEST_VALUE", "from the environment")
    (folder / "note").write_text("from a file\n")
    variables = "{A: '${env:STACK_TEST_VALUE}', B: '<${file:note}>', C: '$${env:X}'}"
    stack = load(folder, GOOD + f"    environment_variables: {variables}\n")
    found = stack.deployments[1].environment_variables
    assert {name: value.get_secret_value() for name, value in found.items()} == {
        "A": "from the environment",
        "B": "<from a file>",
        "C": "${env:X}",
    }


@pytest.mark.parametrize(
    "script",
    [
        "from lib import init, run\n",
        "from lib import *\n",
        "init = run = print\n",
        "try:\n    from fast import run\nexcept ImportError:\n    run = print\ndef init(): ...\n",
        "def init(): ...\nasync def run(data): ...\n",
    ],
)
def test_init_and_run_may_be_bound_in_any_way(folder, script):
    (folder / "src" / "score.py").write_text(script)
    assert load(folder, GOOD).name == "demo"


def test_a_script_that_is_a_link_is_inside_where_it_is_written(folder):
    (folder / "score.py").write_text("def init(): ...\ndef run(data): return data\n")
    (folder / "src" / "score.py").unlink()
    (folder / "src" / "score.py").symlink_to("../score.py")
    assert load(folder, GOOD).name == "demo"


SHARING = """\
name: demo
models: [{name: iris, path: model}]
environments:
  - name: own
    command: ["{model_dir}/model/serve"]
    inference_config:
      liveness_route: {path: /, port: 1}
      readiness_route: {path: /, port: 1}
      scoring_route: {path: /, port: 1}
endpoints: [{name: iris-ep}]
deployments:
  - &blue
    endpoint: iris-ep
    name: blue
    model: iris@latest
    environment: own@latest
    code_configuration: {code: src}
  - {<<: *blue, name: green, code_configuration: {code: ./src/}}
"""
WATCH = """
import collections, pathlib, sys
from inference_provider.files import load_stack
seen = collections.Counter()
def note(event, args):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], (str, pathlib.Path)):
        seen[pathlib.Path(args[0]).name] += 1
sys.addaudithook(note)
load_stack(pathlib.Path(sys.argv[1]))
print({name: seen[name] for name in ("src", "score.py", "model", "serve")})
"""


def test_content_that_deployments_share_is_listed_and_read_once(folder):
    (folder / "model" / "serve").write_bytes(bytes(1024))
    (folder / "model" / "serve").chmod(0o700)
    others = "".join(f"  - {{<<: *blue, name: more-{i}}}\n" for i in range(8))
    (folder / "stack.yaml").write_text(SHARING + others)
    run = [sys.executable, "-c", WATCH, str(folder / "stack.yaml")]
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert found == "{'src': 1, 'score.py': 1, 'model': 1, 'serve': 1}\n"
