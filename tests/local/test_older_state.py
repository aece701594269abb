"""A state folder that the first release wrote comes up with this one, and nothing is changed.

`tests/fixtures/first-release` was made by that release: a stack, and what it left after a stop.
"""

import json
import shutil
import tempfile
from pathlib import Path

import httpx
import pytest

from inference_provider.compare import generation_after
from inference_provider.desired import resolve
from inference_provider.drift import drift
from inference_provider.files import load_stack
from inference_provider.observed import Kind, ResourceId, known_assets
from inference_provider.plan import plan
from inference_provider.targets.local.target import LocalTarget
from tests.local.conftest import ACTOR
from tests.ports import own_port

pytestmark = pytest.mark.local
FIXTURE = Path(__file__).parents[1] / "fixtures" / "first-release"
GENERATIONS = {"iris/blue": "5efdeb203621", "iris/green": "f13bf4d3613d"}


@pytest.fixture
def older():
    # Not tmp_path: a Unix socket's path has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="inf-"))
    shutil.copytree(FIXTURE / "stack", folder / "stack")
    shutil.copytree(FIXTURE / "state", folder / "s")
    address = folder / "s" / "workspaces" / "older" / "workspace.json"
    address.write_text(json.dumps({**json.loads(address.read_text()), "port": own_port()}))
    target = LocalTarget.open(folder / "s")
    yield folder, target
    target.stop("older", ACTOR)
    shutil.rmtree(folder, ignore_errors=True)


def _desired(folder, observed):
    path = folder / "stack" / "stack.yaml"
    return resolve(load_stack(path), str(path.parent), known_assets(observed))


def test_what_the_first_release_left_starts_serves_and_needs_no_change(older):
    folder, target = older
    target.start("older", ACTOR)

    observed = target.observe(["older"])
    desired = _desired(folder, observed)
    deployments = [r for r in desired if r.id.kind == Kind.DEPLOYMENT]
    kept = {r.id.name: generation_after(r, target.record(r.id)) for r in deployments}
    assert kept == GENERATIONS
    assert plan(desired, observed, "older").pending == ()
    assert drift(desired, observed, "older").exit_code == 0

    iris = target.observe_one(ResourceId(kind=Kind.ENDPOINT, workspace="older", name="iris"))
    keys = json.loads((FIXTURE / "state/workspaces/older/keys/iris.json").read_text())
    found = {}
    for name in ("blue", "green"):
        headers = {
            "authorization": f"Bearer {keys['primary']}", "azureml-model-deployment": name,
        }  # fmt: skip
        answer = httpx.post(iris.outputs["scoring_uri"], headers=headers, json={}, trust_env=False)
        found[name] = answer.json()
    assert found == {"blue": ["v.txt", "w.txt"], "green": ["single.bin"]}


def test_a_change_after_the_start_keeps_the_keys_and_the_address(older):
    folder, target = older
    before = json.loads((folder / "s/workspaces/older/keys/iris.json").read_text())
    target.start("older", ACTOR)
    path = folder / "stack" / "stack.yaml"
    path.write_text(path.read_text().replace("blue: 90, green: 10", "blue: 20, green: 80"))

    observed = target.observe(["older"])
    [action] = plan(_desired(folder, observed), observed, "older").pending
    target.apply(action.desired, ACTOR)
    iris = target.observe_one(ResourceId(kind=Kind.ENDPOINT, workspace="older", name="iris"))
    assert iris.secret_outputs["primary_key"].get_secret_value() == before["primary"]
    traffic = target.observe_one(ResourceId(kind=Kind.TRAFFIC, workspace="older", name="iris"))
    assert traffic.live["traffic"] == {"blue": 20, "green": 80}


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        pytest.param("instance_count: 2", "instance_count: 3", True, id="live"),
        pytest.param("MODE: fast", "MODE: slow", False, id="rolling"),
    ],
)
def test_instances_go_on_through_a_live_change_and_end_with_a_rolling_one(older, old, new, kept):
    folder, target = older
    target.start("older", ACTOR)
    before = _instances(folder)
    path = folder / "stack" / "stack.yaml"
    path.write_text(path.read_text().replace(old, new))

    observed = target.observe(["older"])
    [action] = plan(_desired(folder, observed), observed, "older").pending
    blue = target.apply(action.desired, ACTOR)
    assert (blue.record.generation == GENERATIONS["iris/blue"]) is kept
    assert (before <= _instances(folder)) is kept
    assert before.isdisjoint(_instances(folder)) is not kept
    observed = target.observe(["older"])
    assert plan(_desired(folder, observed), observed, "older").pending == ()


def _instances(folder):
    [text] = (folder / "s/workspaces/older/instances").glob("iris%2Fblue*")
    return {instance["name"] for instance in json.loads(text.read_text())}
