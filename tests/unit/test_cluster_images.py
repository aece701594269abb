"""Images that are built for a cluster: found in a registry, else built by a Docker Engine."""

import pytest
from tests.cluster_api import ClusterApi, client_of, failure
from tests.image_engine import SOCKET, ImageEngine
from tests.memory import desired

from inference_provider.errors import Fault, TargetError, TargetUnreachable
from inference_provider.observed import Kind
from inference_provider.spec import EnvironmentSpec, WorkspaceSpec
from inference_provider.targets.images import environment_name, runtime_name, silent
from inference_provider.targets.kubernetes.built_images import BuiltImages, architectures
from inference_provider.targets.kubernetes.planned_images import PlannedImages
from inference_provider.targets.kubernetes.pods import architecture_of

REGISTRY = "r.example.org/team"
SPACE = WorkspaceSpec(base_image="debian:12", registry=REGISTRY)
RUNTIME = f"{REGISTRY}/{runtime_name(SPACE)}"
SIX = EnvironmentSpec(name="six", dependencies=("six==1.17.0",))
PACKAGES = f"{REGISTRY}/{environment_name(SIX, 'debian:12')}"
FOLDER = EnvironmentSpec.model_validate(
    {"name": "own", "build": {"path": "context", "content_hash": "c0ffee"}}
)


def images(engine, nodes=frozenset({"amd64"}), ask=lambda _image: ""):
    return BuiltImages(lambda: engine, lambda: nodes, ask)


def runtime(built, kept=""):
    return built.made(built.runtime(SPACE), kept, silent)


def environment(built, spec=SIX, kept=""):
    return built.made(built.environment(desired(Kind.ENVIRONMENT, spec), SPACE), kept, silent)


def test_what_a_registry_lacks_is_built_and_pushed_once():
    engine = ImageEngine()
    built = images(engine)
    assert runtime(built) == runtime(built) == f"{RUNTIME}-amd64@sha256:1"
    assert environment(built) == environment(built) == f"{PACKAGES}-amd64@sha256:2"
    assert engine.built == [runtime_name(SPACE), environment_name(SIX, "debian:12")]


def test_the_image_of_a_folder_is_built_and_pushed_as_it_is():
    engine = ImageEngine()
    image = environment(images(engine), FOLDER)
    assert image == f"{REGISTRY}/{engine.built[0]}-amd64@sha256:1"
    assert image.startswith(f"{REGISTRY}/inference-folder:")


def test_nothing_is_built_for_a_workspace_that_names_its_image_or_has_no_registry():
    built = images(ImageEngine())
    named = SPACE.model_copy(update={"runtime_image": "router:1"})
    assert built.runtime(named) is None
    without = WorkspaceSpec(base_image="debian:12")
    assert built.runtime(without) is None
    assert built.environment(desired(Kind.ENVIRONMENT, SIX), without) is None
    brought = EnvironmentSpec(name="triton", image="triton:24")
    assert built.environment(desired(Kind.ENVIRONMENT, brought), SPACE) is None


def test_what_a_registry_has_needs_no_engine():
    engine = ImageEngine()
    engine.is_silent = True
    published = {f"{RUNTIME}-amd64": "sha256:7"}
    built = images(engine, ask=lambda image: published.get(image, ""))
    assert runtime(built) == f"{RUNTIME}-amd64@sha256:7"
    assert built.fault(built.runtime(SPACE), "") is None


def test_without_an_engine_what_is_still_to_be_built_is_refused_with_the_ways_out():
    engine = ImageEngine()
    engine.is_silent = True
    built = images(engine)
    assert built.fault(built.runtime(SPACE), "") == Fault(
        "registry",
        f"image {runtime_name(SPACE)} is not in {REGISTRY}, and {SOCKET} cannot build it: no such"
        " file or directory",
        "start Docker or set DOCKER_HOST, or name a runtime_image",
    )
    wanted = built.environment(desired(Kind.ENVIRONMENT, SIX), SPACE)
    assert built.fault(wanted, "").remedy == (
        "start Docker or set DOCKER_HOST, or leave registry out: packages are then installed in the"
        " pod"
    )
    folder = built.environment(desired(Kind.ENVIRONMENT, FOLDER), SPACE)
    assert built.fault(folder, "").remedy == "start Docker or set DOCKER_HOST, or name its image"
    with pytest.raises(TargetError, match="cannot build it: no such file or directory; start"):
        runtime(built)


def test_a_registry_that_does_not_say_what_it_has_may_need_credentials():
    engine = ImageEngine()
    engine.is_silent = True
    built = images(engine, ask=lambda _image: None)
    assert str(built.fault(built.runtime(SPACE), "")) == (
        f"registry: {REGISTRY} does not say whether it has image {runtime_name(SPACE)}, and"
        f" {SOCKET} cannot build it: no such file or directory; declare a connection of category"
        " ContainerRegistry, run `docker login`, start Docker or set DOCKER_HOST, or name a"
        " runtime_image"
    )


def test_what_pods_run_needs_neither_an_engine_nor_a_registry_that_answers():
    engine = ImageEngine()
    engine.is_silent = True
    built, kept = images(engine, ask=lambda _image: None), f"{RUNTIME}-amd64@sha256:1"
    assert built.fault(built.runtime(SPACE), kept) is None
    assert runtime(built, kept) == kept
    other = f"{REGISTRY}/inference-runtime:0000-amd64@sha256:1"
    assert built.fault(built.runtime(SPACE), other) is not None


def test_an_engine_of_another_architecture_than_every_node_is_refused():
    built = images(ImageEngine("arm64"))
    fault = built.fault(built.runtime(SPACE), "")
    assert str(fault) == (
        f"registry: image {runtime_name(SPACE)} is not in {REGISTRY}, and Docker builds for"
        " linux/arm64, while the cluster's nodes are amd64; set DOCKER_HOST to an Engine of theirs,"
        " or name a runtime_image"
    )
    mixed = images(ImageEngine("arm64"), frozenset({"amd64", "arm64"}))
    assert mixed.fault(mixed.runtime(SPACE), "") is None
    unknown = images(ImageEngine("arm64"), None)
    assert unknown.fault(unknown.runtime(SPACE), "") is None


def test_an_engine_of_another_architecture_finds_what_another_one_has_pushed():
    built = images(ImageEngine("arm64", {f"{RUNTIME}-amd64": "sha256:7"}))
    assert runtime(built) == f"{RUNTIME}-amd64@sha256:7"


def test_nodes_of_two_architectures_go_on_with_the_one_that_they_have():
    both = {f"{RUNTIME}-amd64": "sha256:7", f"{RUNTIME}-arm64": "sha256:8"}
    built = images(ImageEngine("amd64", both), frozenset({"amd64", "arm64"}))
    assert runtime(built) == f"{RUNTIME}-amd64@sha256:7"
    assert runtime(built, f"{RUNTIME}-arm64@sha256:8") == f"{RUNTIME}-arm64@sha256:8"


def test_an_image_that_somebody_removed_from_its_registry_is_built_again():
    built = images(ImageEngine())
    assert runtime(built, f"{RUNTIME}-amd64@sha256:9") == f"{RUNTIME}-amd64@sha256:1"


def test_a_router_is_outdated_when_another_image_would_be_built_for_it():
    built = images(ImageEngine())
    assert not built.is_outdated(SPACE, f"{RUNTIME}-amd64@sha256:1")
    assert built.is_outdated(SPACE, f"{REGISTRY}/inference-runtime:0000-amd64@sha256:1")
    assert not built.is_outdated(WorkspaceSpec(runtime_image="router:1"), "router:0")


@pytest.mark.parametrize(
    ("image", "architecture"),
    [
        ("r.example.org/inference-runtime:0a1b-arm64@sha256:1", "arm64"),
        ("localhost:5000/team/inference-folder:0a1b-amd64@sha256:1", "amd64"),
        ("inference-runtime:0a1b", ""),
        ("r.example.org/router:1", ""),
    ],
)
def test_an_image_that_was_built_here_says_its_architecture(image, architecture):
    assert architecture_of(image) == architecture


def test_architectures_are_those_of_nodes_that_run_linux():
    api = ClusterApi()
    for name, system, machine in (("a", "linux", "amd64"), ("b", "windows", "arm64")):
        api.objects[f"/api/v1/nodes/{name}"] = {
            "metadata": {"name": name},
            "status": {"nodeInfo": {"operatingSystem": system, "architecture": machine}},
        }
    assert architectures(client_of(api)) == {"amd64"}
    api.refuse = lambda _asked: failure(
        403, 'nodes is forbidden: User "ann" cannot list resource "nodes"'
    )
    assert architectures(client_of(api)) is None


# -- what a plan says ----------------------------------------------------------------------------


def planned(engine=None):
    return PlannedImages(images(engine or ImageEngine()), lambda _workspace: None)


def notes(spec, space, engine=None):
    kind = Kind.WORKSPACE if isinstance(spec, WorkspaceSpec) else Kind.ENVIRONMENT
    return [*planned(engine).notes(desired(kind, spec), space)]


def test_a_plan_says_which_way_each_image_is_taken():
    name, six = runtime_name(SPACE), environment_name(SIX, "debian:12")
    assert notes(SPACE, None) == [
        f"its router's image {name} is built by Docker, and pushed to {REGISTRY}"
    ]
    there = ImageEngine(published={f"{PACKAGES}-amd64": "sha256:1"})
    assert notes(SIX, SPACE) == [f"its image {six} is built by Docker, and pushed to {REGISTRY}"]
    assert notes(SIX, SPACE, there) == [f"its image {six} is in {REGISTRY}"]
    assert notes(SIX, WorkspaceSpec()) == [
        "its packages are installed in the pods, and kept for the next ones"
    ]
    brought = EnvironmentSpec(name="triton", image="triton:24")
    assert notes(brought, SPACE) == ["its image triton:24 runs as it is"]


def test_a_cluster_that_does_not_answer_is_told_by_others():
    def silent_cluster(_workspace):
        raise TargetUnreachable("list", "secrets", "it does not answer")

    found = PlannedImages(images(ImageEngine()), silent_cluster)
    asked = desired(Kind.ENVIRONMENT, FOLDER)
    assert [*found.environment_faults(asked, None)] == []
    assert [*found.environment_faults(asked, SPACE)] == []
    assert found.router_of("default") == ""


def test_a_folder_is_refused_where_there_is_no_registry_to_push_its_image_to():
    asked = desired(Kind.ENVIRONMENT, FOLDER)
    assert list(map(str, planned().environment_faults(asked, WorkspaceSpec()))) == [
        "build: a cluster builds no images, and the workspace names no registry to build one for;"
        " set the workspace's registry, or build and push it, and name it as the environment's"
        " image"
    ]
    assert [*planned().environment_faults(asked, SPACE)] == []
    assert [*planned().environment_faults(asked, None)] == []  # its workspace is not known yet
