"""Programs under Pulumi's own mocks: what they declare, with no engine and no plugin."""

import asyncio
import inspect
import shutil
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret as is_secret
from pulumi.runtime.settings import set_root_resource

import pulumi_inference
from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.errors import SpecError
from pulumi_inference.base import InferenceResource

KINDS = sorted(set(pulumi_inference.__all__) - {"declare"})
QUICKSTART = Path(__file__).parents[2] / "examples" / "01-quickstart" / "stack.yaml"


def _finish():
    asyncio.get_event_loop().run_until_complete(pulumi.runtime.stack.wait_for_rpcs())


def test_a_program_declares_typed_resources_that_know_their_outputs(recorder):
    endpoint = pulumi_inference.Endpoint("iris", workspace="demo")
    seen: list[object] = []
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
    seen: list[object] = []
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


def test_a_whole_resource_stands_for_its_name_or_its_reference(recorder):
    space = pulumi_inference.Workspace("demo")
    model = pulumi_inference.Model("iris-linear", workspace=space, path=Path("models", "linear"))
    env = pulumi_inference.Environment("sklearn", workspace=space, dependencies=["numpy"])
    iris = pulumi_inference.Endpoint("iris", workspace=space)
    pulumi_inference.Deployment(
        "blue",
        workspace=space,
        endpoint=iris,
        model=model,
        environment=env,
        code_configuration={"code": Path("score"), "scoring_script": Path("a", "score.py")},
    )
    pulumi_inference.Traffic("split", workspace=space, endpoint=iris, traffic={"blue": 100})
    _finish()

    fields = {kind.rpartition(":")[2]: inputs for kind, inputs in recorder.declared}
    assert fields["Model"]["path"] == "models/linear"
    assert fields["Traffic"]["endpoint"] == "iris"
    blue = {k: v for k, v in fields["Deployment"].items() if k not in ("__provider", "stack")}
    assert blue == {
        "name": "blue",
        "workspace": "demo",
        "endpoint": "iris",
        "model": "m:1@sha256:00",
        "environment": "m:1@sha256:00",
        "code_configuration": {"code": "score", "scoring_script": "a/score.py"},
    }


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        pytest.param(
            "workspace",
            lambda space, iris: iris,
            "workspace expects a Workspace or its name, not an Endpoint",
            id="a resource of another kind",
        ),
        pytest.param(
            "description",
            lambda space, iris: space,
            "description does not take a resource; pass an attribute of the Workspace",
            id="a resource where text is meant",
        ),
        pytest.param(
            "tags",
            lambda space, iris: {"team": {1}},
            "tags.team is of type set; write text, a number, True, False, a list or a dictionary",
            id="a set",
        ),
        pytest.param(
            "tags",
            lambda space, iris: {iris.name: "a"},
            "a key of tags is of type Output; write a name in quotes",
            id="an output as a key",
        ),
        pytest.param(
            "tags",
            lambda space, iris: {"space": space},
            "tags.space is of type Workspace; write an attribute of it, such as its name; "
            "text, a number, True, False, a list or a dictionary",
            id="a resource inside",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_with_one_sentence(recorder, field, value, said):
    space = pulumi_inference.Workspace("demo")
    iris = pulumi_inference.Endpoint("iris", workspace=space)
    with pytest.raises(pulumi.RunError) as refused:
        pulumi_inference.Model("m", path="m", **{field: value(space, iris)})
    _finish()
    assert str(refused.value) == f"Model 'm': {said}"


GPU: Any = {"kind": "docker", "host": "ssh://gpu-1"}


def places(recorder):
    """Return the place that each resource was registered with, by name."""
    declared = [inputs for _, inputs in recorder.declared if "name" in inputs]
    return {inputs["name"]: inputs.get("place") for inputs in declared}


def test_every_resource_carries_its_workspaces_place(recorder):
    set_root_resource(pulumi.ComponentResource("program", "root"))
    gpu = pulumi_inference.Workspace("gpu", target=GPU)
    near = pulumi_inference.Workspace("near", target={"kind": "local"})
    pulumi_inference.Endpoint("whole", workspace=gpu)
    pulumi_inference.Endpoint("output", workspace=gpu.name)
    pulumi_inference.Endpoint("text", workspace="gpu")
    pulumi_inference.Endpoint("local", workspace=near)
    pulumi_inference.Endpoint("local-text", workspace="near")
    pulumi_inference.Endpoint("another-program", workspace="theirs")
    there = pulumi_inference.Workspace.get("read", "Workspace/read/read", target="docker")
    pulumi_inference.Endpoint("of-a-read", workspace=there)
    _finish()
    assert places(recorder) == {
        "gpu": None, "near": None, "whole": GPU, "output": GPU, "text": GPU, "local": None,
        "local-text": None, "another-program": None, "of-a-read": "docker",
    }  # fmt: skip


def test_declare_hands_on_the_place_of_a_stack_file(recorder, tmp_path):
    set_root_resource(pulumi.ComponentResource("program", "root"))
    (tmp_path / "stack.yaml").write_text(
        "name: shop\nworkspaces: [{name: gpu, target: {kind: docker, host: 'ssh://gpu-1'}}]\n"
        "endpoints: [{name: iris}]\n"
    )
    pulumi_inference.declare(str(tmp_path / "stack.yaml"))
    _finish()
    [space] = [inputs for kind, inputs in recorder.declared if kind.endswith(":Workspace")]
    assert space["target"] == GPU
    assert places(recorder) == {"gpu": None, "iris": GPU}


def test_where_all_is_local_no_place_is_written(recorder):
    """An input that older states do not have would show as a change of every resource."""
    set_root_resource(pulumi.ComponentResource("program", "root"))
    pulumi_inference.Workspace("demo")
    pulumi_inference.Workspace("other", target="local")
    pulumi_inference.Endpoint("iris", workspace="demo")
    _finish()
    assert [inputs for _, inputs in recorder.declared if "place" in inputs] == []


def test_get_says_where_the_workspace_is(recorder):
    pulumi_inference.Endpoint.get("there", "Endpoint/demo/iris", target=GPU)
    pulumi_inference.Endpoint.get("here", "Endpoint/demo/iris", target="local")
    _finish()
    found = [inputs.get("place") for _, inputs in recorder.declared]
    assert [place for place in found if place] == [GPU]  # registered in any order
    assert len(found) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_argument_of_a_constructor_is_registered(recorder, kind):
    resource = getattr(pulumi_inference, kind)
    taken = set(inspect.signature(resource.__init__).parameters)
    fields = taken - {"self", "resource_name", "stack", "opts"}
    resource("iris", **dict.fromkeys(fields, "text"))
    _finish()
    [(_, inputs)] = recorder.declared
    assert fields == {name for name, value in inputs.items() if "text" in str(value)}


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


def test_declare_hands_on_a_conda_file_and_a_folder_to_build_of(recorder, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "tok-4711")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "context").mkdir(parents=True)
    (tmp_path / "in" / "context" / "Dockerfile").write_text("FROM scratch")
    (tmp_path / "in" / "conda.yaml").write_text("dependencies: [python=3.12, {pip: [six]}]")
    (tmp_path / "in" / "stack.yaml").write_text(
        "name: shop\nenvironments:\n- {name: one, build: {path: context}}\n"
        "- {name: two, conda_file: conda.yaml}\n- name: three\n  conda_file:\n    dependencies:\n"
        "    - pip: ['six @ http://build:${env:TOKEN}@feed.test/six.whl']\n"
    )
    pulumi_inference.declare("in/stack.yaml")
    _finish()
    named = {i["name"]: i for kind, i in recorder.declared if kind.endswith(":Environment")}
    one, two, three = named["one"], named["two"], named["three"]
    assert one["build"] == {"path": "in/context"}
    assert two["conda_file"] == "in/conda.yaml"
    assert (two["python_version"], two["dependencies"]) == ("3.12", ["six"])
    secret = {name for name, value in three.items() if is_secret(value)}
    assert secret == {"conda_file", "dependencies", "placeholders"}


def test_a_program_needs_not_say_that_userinfo_is_a_secret(recorder):
    pulumi_inference.Environment("plain", dependencies=["six @ http://ana:pw@feed.test/six.whl"])
    pulumi_inference.Environment("bare", dependencies=["six==1.17.0"])
    _finish()
    found = {i["name"]: is_secret(i["dependencies"]) for _, i in recorder.declared}
    assert found == {"plain": True, "bare": False}


class BatchDeployment(InferenceResource, module="inference", name="Deployment"):
    """A deployment with fields that only `batch` has."""

    provider_type = DeploymentProvider


def test_secrets_are_found_in_the_fields_of_the_kind_that_is_written(recorder):
    fields = {"endpoint": "words", "environment": "env:1", "output_file_name": "http://ana:pw@x"}
    BatchDeployment("blue", fields | {"kind": "batch"}, None, None)
    _finish()
    [(_, blue)] = recorder.declared
    assert [name for name, value in blue.items() if is_secret(value)] == ["output_file_name"]


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


def test_kinds_that_no_resource_takes_the_fields_of_are_refused_at_once(recorder, tmp_path):
    (tmp_path / "stack.yaml").write_text(
        "name: demo\nendpoints:\n  - {name: words, kind: batch}\n"
        "  - {name: phi, kind: serverless, model_id: phi-4}\n"
    )
    with pytest.raises(SpecError) as caught:
        pulumi_inference.declare(str(tmp_path / "stack.yaml"))
    _finish()
    assert [str(fault) for fault in caught.value.faults] == [
        "Endpoint 'default/words': kind 'batch' is not supported by Pulumi yet; use online",
        "Endpoint 'default/phi': kind 'serverless' is not supported by Pulumi yet; use online",
    ]
    assert recorder.declared == []


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
