"""What instances print, and what happens to them: the part of the engine that only reads."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress

from inference_provider.errors import TargetError
from inference_provider.observed import ResourceId
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.statuses import Event


class Told(ABC):
    """Reads from the instances of workspaces."""

    @abstractmethod
    def _workspace(self, name: str) -> Workspace:
        """Return a workspace, which need not exist yet."""

    def has_logs(self, deployment: ResourceId) -> bool:
        """Whether a deployment has logs; one whose first start failed has logs but no record."""
        with suppress(TargetError):
            return any(True for _line in self.logs(deployment, lines=1))
        return False

    def logs(
        self, deployment: ResourceId, *, lines: int = 100, follow: bool = False
    ) -> Iterator[str]:
        """Yield the last lines of every instance's log, then new ones when following."""
        compute = self._workspace(deployment.workspace).ports.compute
        return compute.logs(deployment, lines=lines, follow=follow)

    def events(self, workspace: str) -> Iterable[Event]:
        """Return what happened to the instances of a workspace, oldest first, while it is kept."""
        return self._workspace(workspace).ports.compute.events()
