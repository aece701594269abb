"""A user of a container registry: what a target gets of the workspace's connections to one."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from inference_provider.observed import ResourceId


class Login(NamedTuple):
    """Who pulls from a registry, and pushes to it."""

    registry: str
    """It, with a port and a folder where it has them: `hub.example.org:5000/team`."""
    username: str
    password: SecretStr


ReadLogins = Callable[[str], Login | None]
"""Says as whom an image is pulled and pushed; None where no connection does.

Raises:
    SecretsInjectionError, SecretStoreUnreachable: The secret store does not give it.
"""


class RegistryUsers(Protocol):
    """What holds the users of a workspace's registries for something that pulls by itself."""

    def keep(self, connection: str, login: Login) -> None:
        """Hold the user that a connection names; nothing happens when it is held already."""

    def drop(self, connection: str) -> None:
        """Stop holding that of a connection, if it is held."""

    def faults(self) -> Mapping[ResourceId, str]:
        """Say of connections whether what is held is gone, or was changed by hand."""
