"""Where in which registry images are: of a connection's target, and of the name of an image."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")
HUB = "docker.io"
"""The registry of images whose names have none."""
_ALIASES = (HUB, "index.docker.io", "registry-1.docker.io")
_API = ("v1", "v2")
"""Paths under which a registry answers, and which are in no image's name."""


def place_of(target: str) -> str:
    """Return registry and folder of a target, as `place_of_image` has them.

    `https://Hub.example.org:443/v2/` is `hub.example.org`; empty where it names none.
    """
    registry, _, folder = (target.partition("://")[2] or target).partition("/")
    folder = folder.strip("/")
    return _joined(_known(registry), "" if folder in _API else folder)


def place_of_image(image: str) -> str:
    """Return registry and repository of an image: of `python:3.11` `docker.io/library/python`."""
    name = image.partition("@")[0]
    first, slash, rest = name.partition("/")
    named = slash and (set(first) & set(".:") or first == "localhost")
    registry, repository = (first, rest) if named else (HUB, name)
    folder, slash, last = repository.rpartition("/")
    repository = f"{folder}{slash}{last.partition(':')[0]}"
    own = _known(registry) == HUB and not folder
    return _joined(_known(registry), f"library/{repository}" if own else repository)


def nearest(image: str, places: Mapping[T, str]) -> T | None:
    """Return whose place an image is in: of several the deepest, of equal ones the first."""
    found = f"{place_of_image(image)}/"
    around = [one for one, place in places.items() if place and found.startswith(f"{place}/")]
    return max(around, key=lambda one: len(places[one]), default=None)


def _known(registry: str) -> str:
    """Return the one name by which a registry is known here, which may have several."""
    name = registry.lower().removesuffix(":443")
    return HUB if name in _ALIASES else name


def _joined(registry: str, folder: str) -> str:
    return f"{registry}/{folder}" if folder else registry
