"""Which users of registries the connections of a workspace name."""

import pytest

from inference_provider.workspace.logins import host_of
from inference_provider.workspace.registry_login import HUB, registries_of


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("hub.example.org", "hub.example.org"),
        ("hub.example.org:5000/team", "hub.example.org:5000"),
        ("https://lab.azurecr.io", "lab.azurecr.io"),
        ("https://hub.example.org:5000/v2/", "hub.example.org:5000"),
        ("", ""),
    ],
)
def test_a_target_names_its_registry_with_or_without_scheme_and_path(target, host):
    assert host_of(target) == host


@pytest.mark.parametrize(
    ("image", "names"),
    [
        ("server", HUB),
        ("server:1", HUB),
        ("team/server:1", HUB),
        ("docker.io/team/server", HUB),
        ("index.docker.io/server", HUB),
        ("localhost/server:1", ("localhost",)),
        ("hub.example.org/server", ("hub.example.org",)),
        ("hub:5000/team/server:1@sha256:4711", ("hub:5000",)),
    ],
)
def test_an_image_is_of_the_registry_that_its_name_begins_with_or_of_dockers_own(image, names):
    assert registries_of(image) == names
