"""Which connection of a workspace says as whom an image is pulled."""

import pytest

from inference_provider.spec.registry import nearest, place_of, place_of_image


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("hub.example.org", "hub.example.org"),
        ("hub.example.org:5000/team", "hub.example.org:5000/team"),
        ("https://lab.azurecr.io", "lab.azurecr.io"),
        ("https://hub.example.org:5000/v2/", "hub.example.org:5000"),
        ("HUB.example.org:443/a/b/", "hub.example.org/a/b"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("", ""),
    ],
)
def test_a_target_names_a_registry_and_a_folder_in_any_spelling(target, place):
    assert place_of(target) == place


@pytest.mark.parametrize(
    ("image", "place"),
    [
        ("python", "docker.io/library/python"),
        ("python:3.11", "docker.io/library/python"),
        ("ann/x:1", "docker.io/ann/x"),
        ("registry-1.docker.io/ann/x", "docker.io/ann/x"),
        ("index.docker.io/python", "docker.io/library/python"),
        ("localhost/x:1", "localhost/x"),
        ("hub:5000/team/x:1@sha256:4711", "hub:5000/team/x"),
        ("hub.example.org:443/x", "hub.example.org/x"),
    ],
)
def test_an_image_is_of_the_registry_that_its_name_begins_with_or_of_dockers_own(image, place):
    assert place_of_image(image) == place


PLACES = {
    "all": "hub.example.org",
    "a": "hub.example.org/a",
    "deep": "hub.example.org/a/deep",
    "again": "hub.example.org/a",
    "of another": "other.example.org/b",
    "of none": "",
}


@pytest.mark.parametrize(
    ("image", "whose"),
    [
        ("hub.example.org/x:1", "all"),
        ("hub.example.org/a/x:1", "a"),
        ("hub.example.org/a/deep/x:1", "deep"),
        ("hub.example.org/ab/x:1", "all"),
        ("other.example.org/a/x:1", None),
        ("python:3.11", None),
    ],
)
def test_an_image_is_pulled_as_the_user_of_the_folder_that_it_is_deepest_in(image, whose):
    assert nearest(image, PLACES) == whose
