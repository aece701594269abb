"""inferctl image: what is built, who uses it, and what goes; and what down and plan say of it."""

import json

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.image_store import KeptImage

USED = KeptImage("inference-environment:a", "sha256:1", 300, "Environment 'default/env:1'")
OLD = KeptImage("inference-environment:b", "sha256:2", 200, "")
HELD = KeptImage("inference-folder:c", "sha256:3", 100, "")


class Store:
    """An ImageStore with three images, of which an unused one cannot go."""

    def __init__(self):
        self.images = [USED, OLD, HELD]
        self.pushed = []

    def note(self, spec):
        return f"image inference-runtime:d is built for its router on {spec.base_image}"

    def runtime(self, spec, tell, more=()):
        tell(f"building on {spec.base_image}" + "".join(f" with {one}" for one in more))
        return "inference-runtime:d"

    def push(self, image, to, tell):
        self.pushed.append((image, to))
        return "sha256:e"

    def clean(self):
        self.cleaned = True

    def kept(self):
        return tuple(self.images)

    def remove(self, image):
        if image == HELD:
            return False
        self.images.remove(image)
        return True


class BuildingTarget(MemoryTarget):
    """A memory target that builds images."""

    store = Store()

    @property
    def images(self):
        return self.store


@pytest.fixture
def building(cli):
    cli.target = BuildingTarget()
    cli.target.store = Store()
    return cli


def test_the_image_of_the_router_is_built_on_the_workspaces_base_and_pushed(building):
    building.file.write_text(
        "name: demo\nworkspaces: [{name: default, target: memory, base_image: 'debian:12'}]\n"
    )
    result = building("image", "build", "--push", "registry.example.org/router:1")
    assert result.exit_code == 0
    assert result.stdout == ("inference-runtime:d\nregistry.example.org/router:1@sha256:e\n")
    assert result.stderr == "building on debian:12\n"
    assert building.target.store.pushed == [
        ("inference-runtime:d", "registry.example.org/router:1")
    ]


def test_more_packages_are_in_the_image_of_the_router_where_they_are_asked_for(building):
    result = building("image", "build", "--with", "s3fs", "--with", "gcsfs==2025.3")
    assert (result.exit_code, result.stderr) == (
        0,
        "building on None with s3fs with gcsfs==2025.3\n",
    )
    refused = building("image", "build", "--with", "../s3fs")
    assert refused.exit_code == 1
    assert "a path is not supported" in refused.stderr


def test_images_are_listed_with_what_uses_them(building):
    assert building("image", "list").stdout == (
        "inference-environment:a  300 MiB  Environment 'default/env:1'\n"
        "inference-environment:b  200 MiB  unused\n"
        "inference-folder:c  100 MiB  unused\n"
    )
    assert json.loads(building("image", "list", "--json").stdout)[0] == {
        "name": "inference-environment:a",
        "id": "sha256:1",
        "size_mib": 300,
        "used_by": "Environment 'default/env:1'",
    }


def test_prune_asks_and_says_what_could_go(building):
    refused = building("image", "prune")
    assert refused.exit_code == 1
    assert "remove 2 images: cannot prompt: stdin is not a terminal; nothing was removed" in (
        refused.stderr
    )
    assert building("image", "prune", interactive=True, said="n").exit_code == 1
    assert len(building.target.store.images) == 3
    result = building("image", "prune", "-y")
    assert result.stdout == (
        "unused: inference-environment:b, inference-folder:c (300 MiB)\nremoved 1 of 2 images\n"
    )
    assert building.target.store.images == [USED, HELD]
    assert building.target.store.cleaned


def test_down_says_which_images_stay(building):
    assert building("up").exit_code == 0
    assert building("down", "-y").stderr.endswith(
        "kept for later: inference-environment:b, inference-folder:c (300 MiB); `inferctl image"
        " prune` removes them\n"
    )


def test_down_names_the_first_of_many_images_that_stay(building):
    building.target.store.images += [
        HELD._replace(id=f"sha256:{n}", name=f"inference-folder:{n}") for n in range(9)
    ]
    assert building("up").exit_code == 0
    assert building("down", "-y").stderr.endswith(
        "kept for later: inference-environment:b, inference-folder:c, inference-folder:0,"
        " inference-folder:1, inference-folder:2 and 6 more (1200 MiB); `inferctl image prune`"
        " removes them\n"
    )


def test_the_plan_of_a_new_workspace_says_what_is_built_for_it(building):
    note = "Workspace 'default': image inference-runtime:d is built for its router on None\n"
    assert building("plan").stdout.startswith(note)
    assert building("up").stdout.startswith(note)
    assert "inference-runtime" not in building("plan").stdout


def test_a_target_that_builds_none_says_so(cli):
    result = cli("image", "list")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: find images on memory: no image is built there; name a stack file whose workspace"
        " has `target: docker`\n"
    )


def test_down_is_done_even_if_images_cannot_be_listed(building):
    def silent():
        raise TargetError(
            "read", "the records of another workspace", "they are corrupt", "fix them"
        )

    assert building("up").exit_code == 0
    building.target.store.kept = silent
    assert building("down", "-y").exit_code == 0
    assert building.target.workspaces() == ()
