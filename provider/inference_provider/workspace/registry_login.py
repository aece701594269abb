"""A user of a container registry: what a target gets of the workspace's connections to one."""

from collections.abc import Callable
from typing import NamedTuple

from pydantic import SecretStr


class Login(NamedTuple):
    """Who pulls from a registry, and pushes to it."""

    registry: str
    """Its host, with a port where it has one: `hub.example.org:5000`."""
    username: str
    password: SecretStr


ReadLogins = Callable[[], tuple[Login, ...]]
