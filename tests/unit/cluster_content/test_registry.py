"""Environments of a workspace that has a registry are images."""

import pytest
from tests.image_engine import ImageEngine
from tests.memory import record
from tests.unit.cluster_content.kept import SECRETS, hashed, keep, unit

from inference_provider.observed import Kind
from inference_provider.spec import EnvironmentSpec, WorkspaceSpec
from inference_provider.targets.kubernetes.built_images import BuiltImages
from inference_provider.targets.kubernetes.content import KubernetesContent
from inference_provider.targets.kubernetes.content_store import ContentStore
from inference_provider.workspace.state import State


@pytest.fixture
def environment():
    return EnvironmentSpec(name="env", dependencies=("six==1.17.0",), content_hash="e" * 64)


def with_registry(client, records, engine, **fields):
    """Return content whose workspace has a registry, and an image of its router."""
    spec = WorkspaceSpec(base_image="debian-python:12", registry="r.example.org/team", **fields)
    State(records).put_record(record(Kind.WORKSPACE, spec))
    built = BuiltImages(lambda: engine, lambda: frozenset({"amd64"}))
    store = ContentStore(client, "lab", "demo", sleep=lambda _seconds: None)
    return KubernetesContent(
        client, "lab", records, store, built=built, router_image=lambda: "runtime:2"
    )


def test_packages_are_in_the_image_where_the_workspace_has_a_registry(
    client, api, records, environment, tmp_path
):
    engine = ImageEngine()
    content = with_registry(client, records, engine)
    keep(content, environment, tmp_path)
    given = content.given(unit(environment=environment))
    assert given.image == f"r.example.org/team/{engine.built[0]}-amd64@sha256:1"
    [init] = given.init_containers
    assert (init["name"], init["image"]) == ("storage-initializer", "runtime:2")
    assert init["command"][-2:] == ["--tools", "/tools"]
    assert {one["mountPath"] for one in given.mounts} == {"/opt/inference"}
    assert given.last_requests  # requests are waited for, as where pods install packages
    assert not given.installs
    assert not [one for one in api.objects if one.startswith(SECRETS)]
    keep(content, environment, tmp_path)
    assert content.image(environment) == given.image
    assert len(engine.built) == 1


def test_the_image_of_a_folder_that_brings_a_server_runs_without_what_is_ours(
    client, records, tmp_path
):
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM debian:12\n")
    spec = hashed(
        EnvironmentSpec.model_validate({"name": "own", "build": {"path": "context"}}), tmp_path
    )
    content = with_registry(client, records, ImageEngine())
    keep(content, spec, tmp_path)
    given = content.given(unit(environment=spec))
    assert given.image.startswith("r.example.org/team/inference-folder:")
    assert (given.init_containers, given.mounts, given.last_requests) == ((), (), ())


def test_what_pods_install_stays_so_when_their_workspace_gets_a_registry(
    client, content, records, environment, tmp_path
):
    keep(content, environment, tmp_path)
    before = content.given(unit(environment=environment))
    later = with_registry(client, records, ImageEngine(), runtime_image="runtime:1")
    assert later.given(unit(environment=environment)) == before
