"""Pods of a workspace whose images are built and pushed."""

from typing import Any

import pytest
from tests.unit.cluster_target.stack import (
    ANN,
    CONTENT,
    NO_IMAGE,
    ROUTER,
    desired,
    image_of,
    pod_specs,
    router_settings,
    up,
)

from inference_provider.desired import DesiredResource
from inference_provider.errors import NotReady
from inference_provider.observed import Kind, ResourceId
from inference_provider.refusals import refusals
from inference_provider.spec import ConnectionSpec, EnvironmentSpec
from inference_provider.targets.kubernetes import role_pods

NO_REGISTRY = "127.0.0.1:1/team"
BUILT: dict[str, Any] = {"runtime_image": None, "registry": NO_REGISTRY, "base_image": "debian:12"}


def test_pods_of_a_workspace_with_a_registry_run_the_image_that_was_pushed_there(
    api, engine, docker
):
    up(engine, **BUILT)
    [name] = docker.built
    image = f"{NO_REGISTRY}/{name}-amd64@sha256:1"
    there = pod_specs(api)
    assert {name: one.get("nodeSelector") for name, one in there.items()} == {
        "inference-content": {"kubernetes.io/arch": "amd64"},
        "inference-router": {"kubernetes.io/arch": "amd64"},
        next(name for name in there if name.startswith("iris-blue-")): None,
    }
    assert image_of(api, ROUTER) == there["inference-content"]["containers"][0]["image"] == image
    docker.is_silent = True  # what is there needs nobody
    up(engine, description="ours", **BUILT)
    assert (docker.built, image_of(api, ROUTER)) == ([name], image)
    assert engine.observe_one(desired(**BUILT)[Kind.WORKSPACE].id).degraded == ""


def test_a_router_is_replaced_when_its_image_would_be_another_one(api, engine, docker):
    up(engine, **BUILT)
    newer = {**BUILT, "base_image": "debian:13"}
    engine.apply(desired(**newer)[Kind.WORKSPACE], ANN)
    assert image_of(api, ROUTER).endswith("-amd64@sha256:2")
    assert docker.built[1] in image_of(api, ROUTER)


def test_a_router_of_an_older_release_is_drift_and_the_next_up_replaces_it(api, engine, platform):
    up(engine, **BUILT)
    newest, space = image_of(api, ROUTER), desired(**BUILT)[Kind.WORKSPACE]
    router = platform.router("demo")
    older = f"{NO_REGISTRY}/inference-runtime:0000-amd64@sha256:9"
    router.save(router.settings().model_copy(update={"image": older}))
    router.roll(lambda _said: None)
    assert engine.observe_one(space.id).degraded == (
        "the router runs an older image; it is replaced without a failed request"
    )
    engine.apply(space, ANN)
    assert image_of(api, ROUTER) == newest
    assert engine.observe_one(space.id).degraded == ""


def test_a_built_image_that_cannot_be_pulled_leaves_the_one_that_ran(
    api, engine, controllers, monkeypatch
):
    up(engine, **BUILT)
    before = image_of(api, ROUTER)
    monkeypatch.setattr(role_pods, "STUCK_S", 0.3)
    controllers.status_of = lambda pod: (
        NO_IMAGE if pod["spec"]["containers"][0]["image"].endswith("sha256:2") else None
    )
    with pytest.raises(NotReady, match="ErrImagePull"):
        engine.apply(desired(**{**BUILT, "base_image": "debian:13"})[Kind.WORKSPACE], ANN)
    assert {image_of(api, path) for path in (ROUTER, CONTENT)} == {before}
    assert router_settings(api)["image"] == before


def test_a_plan_without_docker_is_refused_where_an_image_is_still_to_be_built(engine, docker):
    docker.is_silent = True
    [refused] = refusals([desired(**BUILT)[Kind.WORKSPACE]], engine.capabilities)
    told = "127.0.0.1:1/team does not say whether it has image inference-runtime:"
    assert refused.fault.path == "registry"
    assert refused.fault.reason.startswith(told)


def hub(user: str, target: str) -> DesiredResource:
    spec = ConnectionSpec(
        workspace="demo",
        name=user,
        category="ContainerRegistry",
        target=target,
        credentials={"username": user, "password": "hidden-word-4711"},
    )
    id_ = ResourceId(kind=Kind.CONNECTION, workspace="demo", name=user)
    return DesiredResource(id=id_, spec=spec, owner="shop")


def with_packages() -> DesiredResource:
    one = desired(**BUILT)[Kind.ENVIRONMENT]
    spec = EnvironmentSpec(
        workspace="demo", name="env", version="1", dependencies=("six",), content_hash="e" * 64
    )
    id_ = ResourceId(kind=Kind.ENVIRONMENT, workspace="demo", name="env:1")
    return one.model_copy(update={"id": id_, "spec": spec})


def test_images_are_asked_for_and_pushed_as_the_user_of_the_deepest_connection(engine, docker):
    space = desired(**BUILT)[Kind.WORKSPACE]
    engine.apply(space, ANN)
    assert {*docker.users} == {""}  # its connections come after it
    for one in (hub("all", "127.0.0.1:1"), hub("team", NO_REGISTRY), hub("other", "hub.io")):
        engine.apply(one, ANN)
    docker.users.clear()
    engine.apply(with_packages(), ANN)
    assert len(docker.users) > 1
    assert {*docker.users} == {"team"}
    docker.users.clear()
    newer = desired(**{**BUILT, "base_image": "debian:13"})[Kind.WORKSPACE]
    assert refusals([newer, with_packages()], engine.capabilities) == ()
    assert [*engine.capabilities.notes(newer, None)] != []
    assert {*docker.users} == {"team"}
    docker.users.clear()
    engine.apply(newer, ANN)
    assert {*docker.users} == {"team"}
