"""The port of a target where an identity is more than its record."""

from collections.abc import Mapping
from typing import Protocol


class Identities(Protocol):
    """What the identities of one workspace are on its target."""

    def keep(self, identity: str, annotations: Mapping[str, str]) -> None:
        """Make an identity, or change it; nothing happens when it is so already."""

    def drop(self, identity: str) -> None:
        """Remove an identity, if it is there."""
