"""Who reaches a workspace's bucket: what a target gets of the connection with its credentials."""

from collections.abc import Callable, Mapping
from typing import Protocol

from inference_provider.observed import ResourceId


class BucketUser(Protocol):
    """What holds the credentials of a bucket for the process that keeps content there."""

    def holds(self, connection: str) -> bool:
        """Whether it has those of a connection."""

    def keep(self, connection: str, variables: Mapping[str, str]) -> None:
        """Hold what a connection gives; nothing happens when it is held already."""

    def drop(self, connection: str) -> None:
        """Stop holding that of a connection, if it is held."""

    def keep_only(self, connection: str) -> None:
        """Stop holding those of all others."""

    def use(self, tell: Callable[[str], None]) -> None:
        """Have that process use what is held, and make sure that it reaches the bucket.

        Raises:
            TargetError: It does not.
        """

    def faults(self) -> Mapping[ResourceId, str]:
        """Say of the connection whether what is held is gone, or was changed by hand."""
