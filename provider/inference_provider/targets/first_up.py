"""A workspace's first `up`: all of it, or nothing.

Until its record is written, a workspace has no owner: what an interrupted first `up` left running
can be ended, and its port can be chosen again, since no URL with it was ever printed.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from inference_provider.desired import DesiredResource
from inference_provider.errors import InferenceError
from inference_provider.spec import WorkspaceSpec
from inference_provider.workspace.ports import Tell

T = TypeVar("T")


class Unmade(Protocol):
    """A workspace that may not be there yet, as its target sees it."""

    def is_recorded(self) -> bool:
        """Whether somebody has made it."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep others from making it at the same time."""

    def start(self) -> None:
        """Start all that a workspace is before it is recorded: its router."""

    def clear_away(self) -> None:
        """End and remove what was started, if anything was."""


class Makes(Protocol):
    """What makes workspaces, by their names."""

    def is_made(self, workspace: str) -> bool: ...

    def making(self, workspace: str) -> AbstractContextManager[None]: ...

    def start(self, workspace: str, spec: WorkspaceSpec, tell: Tell) -> None: ...

    def clear_away(self, workspace: str) -> None: ...


@dataclass(frozen=True)
class Named:
    """A workspace that may not be there yet, of a platform that makes it by its name."""

    platform: Makes
    desired: DesiredResource
    tell: Tell

    def is_recorded(self) -> bool:
        return self.platform.is_made(self.desired.id.workspace)

    def lock(self) -> AbstractContextManager[None]:
        return self.platform.making(self.desired.id.workspace)

    def start(self) -> None:
        self.platform.start(self.desired.id.workspace, self.desired.spec, self.tell)

    def clear_away(self) -> None:
        self.platform.clear_away(self.desired.id.workspace)


@contextmanager
def first_up(workspace: Unmade) -> Iterator[bool]:
    """Start a workspace that has no record yet; undone when the block raises.

    Yields:
        Whether it had no record. If so, the lock is held until the block, which records it, ends.
    """
    if not workspace.is_recorded():
        with workspace.lock():
            if not workspace.is_recorded():  # nobody has made it in the meantime
                with _started(workspace):
                    yield True
                return
    yield False


@contextmanager
def _started(workspace: Unmade) -> Iterator[None]:
    workspace.clear_away()  # what a first `up` that was killed left
    try:
        workspace.start()
        yield
    except BaseException:
        with suppress(InferenceError, OSError):  # the first error is the one to report
            workspace.clear_away()
        raise


@contextmanager
def saved(before: T, after: T, save: Callable[[T], None]) -> Iterator[None]:
    """Save where a router listens during a change, and what was there before if it raises."""
    try:
        if after != before:
            save(after)
        yield
    except BaseException:
        with suppress(InferenceError, OSError):  # the first error is the one to report
            save(before)  # else every later change would be refused too
        raise
