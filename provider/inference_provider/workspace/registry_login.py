"""A user of a container registry: what a target gets of the workspace's connections to one."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from inference_provider.observed import ResourceId

HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
"""Names of the registry of images whose names have none."""


class Login(NamedTuple):
    """Who pulls from a registry, and pushes to it."""

    registry: str
    """Its host, with a port where it has one: `hub.example.org:5000`."""
    username: str
    password: SecretStr


ReadLogins = Callable[[], tuple[Login, ...]]


class RegistryUsers(Protocol):
    """What holds the users of a workspace's registries for something that pulls by itself."""

    def keep(self, connection: str, login: Login) -> None:
        """Hold the user that a connection names; nothing happens when it is held already."""

    def drop(self, connection: str) -> None:
        """Hold that of a connection no more, if it is held."""

    def faults(self) -> Mapping[ResourceId, str]:
        """Say of connections whether what is held is gone, or was changed by hand."""


def registries_of(image: str) -> tuple[str, ...]:
    """Return the names of the registry that an image is pulled from, as a connection has one."""
    host, slash, _ = image.partition("/")
    if not slash or (not set(host) & set(".:") and host != "localhost"):
        return HUB
    return HUB if host in HUB else (host,)
