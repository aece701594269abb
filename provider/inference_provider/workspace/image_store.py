"""What a target that builds images offers for them: to build, push, list and remove."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from inference_provider.spec import WorkspaceSpec


class KeptImage(NamedTuple):
    """An image that was built for workspaces."""

    name: str
    id: str
    size_mib: int
    used_by: str
    """What uses it; empty when nothing does."""


class ImageStore(Protocol):
    """The images of a target that builds some; no part of any one workspace."""

    def note(self, spec: WorkspaceSpec) -> str:
        """Say what is pulled or built before a new workspace's router starts; empty if nothing."""

    def runtime(
        self, spec: WorkspaceSpec, tell: Callable[[str], None], more: tuple[str, ...] = ()
    ) -> str:
        """Return the name of the image of a router's container; build it if needed.

        Args:
            spec: The workspace.
            tell: Told what is done.
            more: Requirements of packages that are in it too.
        """

    def push(self, image: str, to: str, tell: Callable[[str], None]) -> str:
        """Push an image under a name, and return its digest there. Raises TargetError."""

    def kept(self) -> tuple[KeptImage, ...]:
        """Return every image that was built here, by name; of unused ones, those that may go."""

    def clean(self) -> None:
        """Remove what killed builds left; there may be credentials of a package index in it."""

    def remove(self, image: KeptImage) -> bool:
        """Remove an image, unless something uses it; return whether it is gone."""
