"""Environments of a cluster are built in its pods."""

import hashlib

import pytest
from tests.memory import record
from tests.unit.cluster_content.kept import SECRETS, age, archives_in, desired, keep, unit

from inference_provider.observed import Kind
from inference_provider.spec import EnvironmentSpec, WorkspaceSpec
from inference_provider.workspace.state import State

WITH_PASSWORD = "six @ https://ann:hunter2@127.0.0.1/six-1-py3-none-any.whl"


@pytest.fixture
def environment():
    return EnvironmentSpec(name="env", dependencies=(WITH_PASSWORD,), content_hash="e" * 64)


def test_an_environment_is_built_in_its_pods_and_no_secret_is_in_them(
    content, api, environment, tmp_path, monkeypatch
):
    monkeypatch.setenv("UV_INDEX_URL", "https://ann:hunter3@pypi.example.org/simple")
    keep(content, environment, tmp_path)
    given = content.given(unit(environment=environment))
    assert given.image == "debian-python:12"
    assert [one["name"] for one in given.init_containers] == ["storage-initializer", "environment"]
    assert [one["image"] for one in given.init_containers] == ["runtime:1", "debian-python:12"]
    assert "hunter" not in repr(given)
    [secret] = [one for path, one in api.objects.items() if path.startswith(SECRETS)]
    [source] = given.init_containers[1]["envFrom"]
    assert source == {"secretRef": {"name": secret["metadata"]["name"]}}
    assert set(secret["data"]) >= {"INFERENCE_REQUIREMENTS", "UV_INDEX_URL"}


def test_the_image_of_an_environment_stays_when_the_base_image_of_its_workspace_changes(
    content, records, environment, tmp_path
):
    keep(content, environment, tmp_path)
    spec = WorkspaceSpec(base_image="debian-python:13", runtime_image="runtime:1")
    State(records).put_record(record(Kind.WORKSPACE, spec))
    assert content.image(environment) == "debian-python:12"
    keep(content, environment, tmp_path)
    assert content.image(environment) == "debian-python:13"


def test_an_environment_that_nothing_runs_in_comes_on_the_base_image_that_there_is_now(
    content, records, environment, tmp_path
):
    keep(content, environment, tmp_path)
    spec = WorkspaceSpec(base_image="debian-python:13", runtime_image="runtime:1")
    State(records).put_record(record(Kind.WORKSPACE, spec))
    blue = unit(environment=environment).spec
    green = blue.model_copy(update={"name": "green"})
    content.keep(desired(Kind.DEPLOYMENT, blue, tmp_path), print)
    assert content.image(environment) == "debian-python:13"
    State(records).put_record(record(Kind.DEPLOYMENT, blue))
    spec = WorkspaceSpec(base_image="debian-python:14", runtime_image="runtime:1")
    State(records).put_record(record(Kind.WORKSPACE, spec))
    content.keep(desired(Kind.DEPLOYMENT, green, tmp_path), print)
    assert content.image(environment) == "debian-python:13"


def test_what_an_environment_was_built_of_goes_when_neither_record_nor_pod_names_it(  # noqa: PLR0917
    content, api, records, server, environment, tmp_path
):
    keep(content, environment, tmp_path)
    State(records).put_record(record(Kind.ENVIRONMENT, environment))
    given = content.given(unit(environment=environment))
    [secret] = [path for path in api.objects if path.startswith(SECRETS)]
    command = given.init_containers[1]["command"]
    name = f"{command[command.index('--key') + 1]}.{'1' * 16}"
    digest = hashlib.sha256(b"venv").hexdigest()
    server.folder.receive(digest, [b"venv"])
    server.folder.name(name, digest)
    age(tmp_path)
    content.prune([])
    assert secret in api.objects
    assert archives_in(tmp_path) == {digest}
    path = "/apis/apps/v1/namespaces/lab/deployments/iris-blue"
    pods = {"spec": {"initContainers": list(given.init_containers)}}
    labels = {"pulumi-inference/workspace": "default", "pulumi-inference/role": "instance"}
    about = {"name": "iris-blue", "namespace": "lab", "labels": labels}
    api.put(path, {"metadata": about, "spec": {"template": pods}})
    content.drop(record(Kind.ENVIRONMENT, environment))
    records.drop("records", "Environment.env:1")
    records.drop("content", f"environment.{'e' * 32}")
    content.prune([])
    assert secret in api.objects
    assert archives_in(tmp_path) == {digest}
    api.drop(path)
    age(tmp_path)
    content.prune([])
    assert secret not in api.objects
    assert archives_in(tmp_path) == set()
    assert server.folder.listed()["environments"] == {}
