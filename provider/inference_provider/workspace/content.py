"""The port of a target that keeps content: what models, code and environments are made of."""

from collections.abc import Callable, Iterable
from typing import Protocol

from inference_provider.desired import DesiredResource
from inference_provider.observed import Kind, Record
from inference_provider.spec import EnvironmentSpec


class Content(Protocol):
    """Models, code and environments, by the hash of their content."""

    def keep(self, desired: DesiredResource, tell: Callable[[str], None]) -> None:
        """Copy or build the content of a model, environment or deployment, unless it is kept."""

    def holds(self, kind: Kind, pinned: str) -> bool:
        """Whether the content of a model or environment is kept: `name:version@sha256:…`."""

    def environment(self, pinned: str) -> EnvironmentSpec:
        """Return a kept environment. Raises TargetError when it is missing."""

    def fault(self, record: Record) -> str:
        """Say briefly how a resource's kept content was changed; empty when it was not."""

    def note(self, record: Record) -> str:
        """Say what a person should know of kept content as it is; empty for nothing."""

    def drop(self, record: Record) -> None:
        """Remove the content that only a deleted resource used."""

    def prune(self, named: Iterable[str]) -> None:
        """Remove content that nothing references any more, unless it was kept recently.

        Args:
            named: What is still referenced: pinned models, and hashes of code.
        """
