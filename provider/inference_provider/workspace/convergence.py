"""Group commit: edits of one workspace, published together by whoever has the turn.

Each caller's edit is in force when its call returns, or undone when it raises. Those who come
while another publishes wait, and the next of them takes all that wait: n callers at once cost
one or two publications. Other processes are kept out by `Records.edit()`.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from inference_provider.errors import InferenceError
from inference_provider.router.table import EndpointEntry
from inference_provider.workspace.ports import Records, Router


class Publish(Enum):
    """Whether the router is told of an edit."""

    ALWAYS = "always"
    """It is started when it does not run."""
    STARTED = "started"
    """The caller has just started it, and holds what a start needs."""
    WHILE_IT_RUNS = "while it runs"
    """What is deleted while nothing runs starts nothing."""
    NEVER = "never"


@dataclass
class _Change:
    edit: Callable[[], None]
    published: bool
    done: bool = False
    fault: BaseException | None = field(default=None, repr=False)


class Convergence:
    """Brings the router of one workspace to what its records say."""

    def __init__(
        self,
        records: Records,
        router: Router,
        build: Callable[[], tuple[EndpointEntry, ...]],
    ) -> None:
        self._records = records
        self._router = router
        self._build = build
        self._waiting: deque[_Change] = deque()
        self._turn = threading.Lock()
        self._asking = threading.Lock()
        self._asked = 0

    def change(self, edit: Callable[[], None], publish: Publish = Publish.ALWAYS) -> None:
        """Do an edit of records and let the router serve it; neither when this raises.

        Args:
            edit: Reads and writes records; runs in any thread, and again when others' edits, done
                together with it, were refused.
            publish: Whether the router is told.
        """
        own = _Change(edit, self._is_published(publish))
        self._waiting.append(own)
        try:
            with self._turn:
                if not own.done:
                    self._commit(self._taken())
        except BaseException:  # interrupted: nobody is to do it after its caller has gone
            with suppress(ValueError):
                self._waiting.remove(own)
            raise
        if own.fault is not None:
            raise own.fault

    def _is_published(self, publish: Publish) -> bool:
        """Whether the router is told of an edit; it runs then. A start may take seconds."""
        if publish == Publish.ALWAYS or (publish == Publish.WHILE_IT_RUNS and self._router.runs()):
            self.ensure_up()
            return True
        return publish == Publish.STARTED

    def ensure_up(self) -> None:
        """Start what does not run of the router, and of what runs instances.

        Those who come while another asks whether it runs get the answer to one question more.
        """
        seen = self._asked
        with self._asking:
            if self._asked > seen + 1:  # a question began after this call did
                return
            self._router.ensure_up(self._build)
            self._asked += 1

    def _taken(self) -> list[_Change]:
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken

    def _commit(self, changes: list[_Change]) -> None:
        try:
            self._settle(changes)
        except BaseException as fault:  # the caller was interrupted; those who wait are told
            for change in changes:
                change.fault = change.fault or fault
            raise
        finally:
            for change in changes:
                change.done = True

    def _settle(self, changes: list[_Change]) -> None:
        """Do all together; when that is refused, each alone, so that only one at fault fails."""
        try:
            self._do(changes)
        except InferenceError as refused:
            left = [change for change in changes if change.fault is None]
            if len(left) == 1:
                left[0].fault = refused
                return
            for change in left:
                self._settle([change])

    def _do(self, changes: list[_Change]) -> None:
        published = any(change.published for change in changes)
        with self._records.edit():
            if published and not self._router.in_force():
                self._router.publish(self._build())  # so that it is known what goes
            for change in changes:
                self._part(change)
            if any(change.published and change.fault is None for change in changes):
                self._router.publish(self._build())

    def _part(self, change: _Change) -> None:
        """Do one edit; it fails alone, and its caller gets what it raised."""
        try:
            with self._records.edit():
                change.edit()
        except Exception as fault:  # noqa: BLE001 - handed to the thread that asked
            change.fault = fault
