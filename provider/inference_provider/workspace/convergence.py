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

from inference_provider.errors import Busy, InferenceError, OutOfCapacity, TargetUnreachable
from inference_provider.router.table import EndpointEntry
from inference_provider.workspace.ports import Records, Router
from inference_provider.workspace.state import PUBLICATION, UNPUBLISHED


class Publish(Enum):
    """Whether the router is told of an edit."""

    ALWAYS = "always"
    """It is started when it does not run."""
    STARTED = "started"
    """The caller has just started it, and holds what a start needs."""
    WHILE_IT_RUNS = "while it runs"
    """What is deleted while nothing runs starts nothing."""
    NEVER = "never"


@dataclass(eq=False)
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
        self._leader: int | None = None
        """Thread that has the turn."""
        self._asking = threading.Lock()
        self._asked = 0

    def change(self, edit: Callable[[], None], publish: Publish = Publish.ALWAYS) -> None:
        """Do an edit of records and let the router serve it; neither when this raises.

        Args:
            edit: Reads and writes records; runs in any thread, and again when others' edits, done
                together with it, were refused.
            publish: Whether the router is told.

        Raises:
            RuntimeError: It is called in another change's edit, and would wait for itself.
        """
        if self._leader == threading.get_ident():
            raise RuntimeError("a change inside the edit of another change")
        own, leads = _Change(edit, self._is_published(publish)), False
        self._waiting.append(own)
        try:
            with self._turn:
                leads = True
                if not own.done:
                    self._lead(own)
        except BaseException:  # interrupted: nobody is to do it after its caller has gone
            self._withdraw(own, leads=leads)
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

    def _lead(self, own: _Change) -> None:
        self._leader = threading.get_ident()
        try:
            self._settle(self._taken(own))
        finally:
            self._leader = None

    def _taken(self, own: _Change) -> list[_Change]:
        """Return all that wait, and the caller's own, also where an interrupt lost it.

        Its own comes last: while another's can interrupt the caller, its own is not in force.
        """
        others = []
        while self._waiting:
            change = self._waiting.popleft()
            if change is not own:
                others.append(change)
        return [*others, own]

    def _withdraw(self, own: _Change, *, leads: bool) -> None:
        """Take a change back; one that another thread does now is waited for.

        What its caller cleans up after it must not be put in force later.
        """
        try:
            self._waiting.remove(own)
        except ValueError:
            if not leads:
                with self._turn:
                    pass

    def _settle(self, changes: list[_Change]) -> None:
        """Do all together; when they are refused, each half, so that only one at fault fails.

        Who is interrupted leaves the others undone: each does its own when it gets the turn.
        """
        try:
            self._do(changes)
        except (Busy, TargetUnreachable) as failed:  # nobody's, and as slow the next time
            for change in changes:
                change.fault = change.fault or failed
        except Exception as refused:  # noqa: BLE001 - handed to the thread that asked
            left = [change for change in changes if change.fault is None]
            if len(left) == 1:
                left[0].fault = refused
            elif left:
                half = len(left) // 2
                self._settle(left[:half])
                self._settle(left[half:])
        for change in changes:
            change.done = True

    def _do(self, changes: list[_Change]) -> None:
        if any(change.published for change in changes):
            with self._records.lock(PUBLICATION), self._records.edit():
                with suppress(OutOfCapacity):  # a deletion on a full disk is what frees some
                    self._records.put(UNPUBLISHED, "router", "{}")
                self._make(changes, published=True)
                self._records.drop(UNPUBLISHED, "router")
        else:
            with self._records.edit():
                self._make(changes, published=False)

    def _make(self, changes: list[_Change], *, published: bool) -> None:
        """Do all edits and publish them, inside an edit that undoes what this leaves."""
        if published and not self._router.in_force():
            self._router.publish(self._build())  # so that it is known what goes
        told = False
        try:
            with self._records.edit():
                for change in changes:
                    self._part(change)
                if any(change.published and change.fault is None for change in changes):
                    told = True
                    self._router.publish(self._build())
        except InferenceError:  # a publication that fails so has changed nothing
            raise
        except BaseException:
            if told:  # it may be in force already: what is undone here is undone there
                with suppress(InferenceError):
                    self._router.publish(self._build())
            raise

    def _part(self, change: _Change) -> None:
        """Do one edit; it fails alone, and its caller gets what it raised."""
        change.fault = None  # of a turn that was interrupted
        try:
            with self._records.edit():
                change.edit()
        except Exception as fault:  # noqa: BLE001 - handed to the thread that asked
            change.fault = fault
