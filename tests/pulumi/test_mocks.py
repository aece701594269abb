"""Programs under Pulumi's own mocks: what they declare, with no engine and no plugin."""

import asyncio
import gc
import inspect
import shutil
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret as is_secret

import pulumi_inference

KINDS = sorted(set(pulumi_inference.__all__) - {"declare"})
QUICKSTART = Path(__file__).parents[2] / "examples" / "01-quickstart" / "stack.yaml"


class Recorder(pulumi.runtime.Mocks):
    """Answers every registration with its inputs and a few outputs."""

    def __init__(self):
        self.declared = []

    def new_resource(self, args):
        self.declared.append((args.typ, args.inputs))
        outputs = {"scoring_uri": "http://router/endpoints/x/score", "reference": "m:1@sha256:00"}
        return args.resource_id or args.name, {**args.inputs, **outputs}

    def call(self, args):
        return {}, None


@pytest.fixture
def recorder():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    made = Recorder()
    pulumi.runtime.set_mocks(made, project="shop", stack="dev")
    yield made
    asyncio.set_event_loop(None)
    for left in gc.get_objects():  # the SDK makes loops of its own and closes none
        # by type: isinstance asks a weak proxy for its object, which may be gone
        if issubclass(type(left), asyncio.AbstractEventLoop) and not left.is_closed():
            left.close()


def _finish():
    asyncio.get_event_loop().run_until_complete(pulumi.runtime.stack.wait_for_rpcs())


def test_a_program_declares_typed_resources_that_know_their_outputs(recorder):
    endpoint = pulumi_inference.Endpoint("iris", workspace="demo")
    seen = []
    endpoint.scoring_uri.apply(seen.append)
    _finish()
    assert seen == ["http://router/endpoints/x/score"]
    kind, inputs = recorder.declared[0]
    assert kind == "pulumi-python:dynamic/inference:Endpoint"
    assert inputs["name"] == "iris"
    assert inputs["workspace"] == "demo"
    assert inputs["stack"] == "shop"


def test_get_asks_for_an_id_and_declares_no_field(recorder):
    there = pulumi_inference.Endpoint.get("there", "Endpoint/demo/iris")
    seen = []
    pulumi.Output.all(there.id, there.scoring_uri).apply(seen.append)
    _finish()
    assert seen == [["Endpoint/demo/iris", "http://router/endpoints/x/score"]]
    [(_, inputs)] = recorder.declared
    assert list(inputs) == ["__provider"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_is_refused_with_the_two_ways_that_work(recorder, kind):
    resource = getattr(pulumi_inference, kind)
    parameters = inspect.signature(resource.__init__).parameters.values()
    needed = {p.name: "x" for p in parameters if p.default is p.empty and p.kind == p.KEYWORD_ONLY}
    opts = pulumi.ResourceOptions(import_=f"{kind}/demo/iris")

    with pytest.raises(pulumi.RunError) as refused:
        resource("iris", **needed, opts=opts)

    assert str(refused.value) == (
        f"import {kind} 'iris': dynamic resources cannot be imported; leave import_ out, and "
        f"`pulumi up` adopts what is there; or only read it: "
        f"{kind}.get('iris', '{kind}/demo/iris')"
    )
    _finish()
    assert recorder.declared == []


def test_declare_registers_everything_the_stack_file_names(recorder, tmp_path):
    example = tmp_path / "q"
    shutil.copytree(QUICKSTART.parent, example, ignore=shutil.ignore_patterns("models"))
    for name in ("iris-linear", "iris-forest"):  # trained by the demo; here a word stands for each
        (example / "models" / name).mkdir(parents=True)
        (example / "models" / name / "model.joblib").write_text(name)
    declared = pulumi_inference.declare(str(example / "stack.yaml"))
    _finish()
    assert list(declared.endpoints) == ["demo/iris"]
    assert declared.endpoints["demo/iris"] is declared["Endpoint/demo/iris"]
    kinds = sorted(kind.rpartition(":")[2] for kind, _ in recorder.declared)
    assert kinds == [
        "Deployment",
        "Deployment",
        "Endpoint",
        "Environment",
        "Model",
        "Model",
        "Traffic",
        "Workspace",
    ]
    traffic = next(i for kind, i in recorder.declared if kind.endswith(":Traffic"))
    assert traffic["traffic"] == {"blue": 90, "green": 10}
    assert traffic["stack"] == "quickstart"


SECRETS = """\
name: shop
environments:
  - name: plain
    dependencies: ["six @ http://build:${env:TOKEN}@feed.test/six.whl"]
    command: [serve]
    inference_config:
      liveness_route: {path: /, port: 80}
      readiness_route: {path: /, port: 80}
      scoring_route: {path: /, port: 80}
    tags: {by-hand: "https://ana:pw@feed.test"}
    description: "${env:TOKEN}"
endpoints: [{name: iris, description: plain}]
"""


def test_declare_encrypts_what_holds_a_placeholders_value_or_userinfo(
    recorder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TOKEN", "tok-4711")
    (tmp_path / "stack.yaml").write_text(SECRETS)
    declared = pulumi_inference.declare(str(tmp_path / "stack.yaml"))
    _finish()
    assert len(declared) == 3
    [plain] = [inputs for kind, inputs in recorder.declared if kind.endswith(":Environment")]
    assert {name for name, value in plain.items() if is_secret(value)} == {
        "dependencies", "tags", "description", "placeholders",
    }  # fmt: skip
    assert plain["command"] == ["serve"]
    [iris] = [inputs for kind, inputs in recorder.declared if kind.endswith(":Endpoint")]
    assert "placeholders" not in iris
    assert not any(is_secret(value) for value in iris.values())


def test_a_program_needs_not_say_that_userinfo_is_a_secret(recorder):
    pulumi_inference.Environment("plain", dependencies=["six @ http://ana:pw@feed.test/six.whl"])
    pulumi_inference.Environment("bare", dependencies=["six==1.17.0"])
    _finish()
    found = {i["name"]: is_secret(i["dependencies"]) for _, i in recorder.declared}
    assert found == {"plain": True, "bare": False}


def test_declare_says_that_the_stack_file_lies_in_the_code(recorder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    served = tmp_path / "served"
    served.mkdir()
    (served / "score.py").write_text("def init(): ...\ndef run(data): return data\n")
    (served / "stack.yaml").write_text(
        "name: dot\nmodels: [{name: iris, path: .}]\nenvironments: [{name: plain}]\n"
        "endpoints: [{name: own}]\ndeployments:\n"
        "  - {endpoint: own, name: blue, model: iris:1, environment: plain:1,\n"
        "     code_configuration: {code: ./, scoring_script: score.py}}\n"
    )
    pulumi_inference.declare("served/stack.yaml")
    _finish()
    inputs = {kind.rpartition(":")[2]: found for kind, found in recorder.declared}
    assert inputs["Model"]["stack_file"] == "stack.yaml"
    assert inputs["Deployment"]["code_configuration"] == {
        "code": "served", "scoring_script": "score.py", "stack_file": "stack.yaml",
    }  # fmt: skip


def test_everything_public_is_exported():
    assert pulumi_inference.__all__ == [
        "AutoscaleRule",
        "Connection",
        "Deployment",
        "Endpoint",
        "Environment",
        "Identity",
        "Model",
        "RoleAssignment",
        "Traffic",
        "Workspace",
        "declare",
    ]
