"""The port of a target where an identity, and what it may do, is more than its record."""

from collections.abc import Mapping
from typing import Protocol

from inference_provider.observed import ResourceId


class Identities(Protocol):
    """What the identities of one workspace are on its target."""

    def keep(self, identity: str, annotations: Mapping[str, str]) -> None:
        """Make an identity, or change it; nothing happens when it is so already."""

    def drop(self, identity: str) -> None:
        """Remove an identity, if it is there."""

    def entitle(self, assignment: str, identity: str) -> None:
        """Let an identity deploy to the workspace by itself; nothing happens when it may already.

        Args:
            assignment: Name of the role assignment that says so.
            identity: Who may.
        """

    def withdraw(self, assignment: str) -> None:
        """Take away what a role assignment has given, if it has."""

    def sweep(self, managing: Mapping[str, str]) -> None:
        """Remove what role assignments no longer give, or a caller who was killed has left.

        Inside an edit: there is nothing then that another caller has made and not yet recorded.

        Args:
            managing: The identities that may deploy by themselves, by role assignment.
        """

    def faults(self, *, leftovers: bool) -> Mapping[ResourceId, str]:
        """Say of identities and role assignments what is gone, or was changed by hand.

        Args:
            leftovers: Whether to look for what `sweep` removes, and say it of the role assignment
                or of the workspace.
        """
