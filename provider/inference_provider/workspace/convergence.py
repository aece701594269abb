"""Group commit: concurrent edits of one workspace are published together.

A caller's edit is in force when its call returns, or undone when it raises. Callers that arrive
during a publication wait; the next one to get the turn publishes the edits of all that wait, so n
concurrent callers cost one or two publications. In a burst it waits a moment for more of them.
`Records.edit()` keeps other processes out.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from inference_provider.errors import Busy, InferenceError, OutOfCapacity, TargetUnreachable
from inference_provider.router.table import EndpointEntry
from inference_provider.workspace.ports import Records, Router
from inference_provider.workspace.state import PUBLICATION, UNPUBLISHED

GATHER_S = 0.02
"""Longest wait for more changes of a burst: about as long as one publication takes. Pulumi's host
has four threads, and without it publishes 76 times for 100 endpoints."""
ENOUGH = 4
"""Changes that need not wait for more."""
LONGEST_GATHER_S = 1.0
"""Longest wait for more of a burst where routers read all records for each publication: as long as
the last one took, so that their work grows with the number of changes and not with its square."""


class Publish(Enum):
    """Whether the router is told of an edit."""

    ALWAYS = "always"
    """Tell the router; start it first when it does not run."""
    STARTED = "started"
    """Tell the router, which the caller has just started; the caller holds the locks of a start."""
    WHILE_IT_RUNS = "while it runs"
    """Tell the router only if it runs: deleting from a stopped workspace starts nothing."""
    NEVER = "never"


@dataclass(eq=False)
class _Change:
    edit: Callable[[], None]
    published: bool
    done: bool = False
    fault: BaseException | None = field(default=None, repr=False)


class Convergence:
    """Makes the router of one workspace serve what its records say."""

    def __init__(
        self,
        records: Records,
        router: Router,
        build: Callable[[], tuple[EndpointEntry, ...]],
        gather_s: float = GATHER_S,
    ) -> None:
        self._records = records
        self._router = router
        self._build = build
        self._gather_s = gather_s
        self._waiting: deque[_Change] = deque()
        self._turn = threading.Lock()
        self._router_is_ahead = False
        """Whether the router may serve what the records do not say."""
        self._leader: int | None = None
        """Id of the thread that has the turn."""
        self._asking = threading.Lock()
        self._asked = 0
        self._arrivals = threading.Condition()
        self._last: tuple[int | None, float] = None, 0.0
        """Thread that had the turn before, and when its publication ended."""
        self._took_s = 0.0
        """How long that publication took."""

    def change(self, edit: Callable[[], None], publish: Publish = Publish.ALWAYS) -> None:
        """Edit the records and publish the result; when this raises, neither has happened.

        Args:
            edit: Reads and writes records. It may run in another caller's thread, and runs again
                when the router refused a batch that it was part of.
            publish: Whether the router is told.

        Raises:
            RuntimeError: Called from inside another change's edit, where it would deadlock.
        """
        if self._leader == threading.get_ident():
            raise RuntimeError("a change inside the edit of another change")
        own, leads = _Change(edit, self._is_published(publish)), False
        try:
            with self._arrivals:
                self._waiting.append(own)
                self._arrivals.notify()
            with self._turn:
                leads = True
                if not own.done:
                    self._lead(own)
        except BaseException:  # interrupted: no other thread may apply it once its caller has left
            self._withdraw(own, leads=leads)
            raise
        if own.fault is not None:
            raise own.fault

    def take_back(self, edit: Callable[[], None]) -> None:
        """Put records back after a change whose rest has failed; publish that if the router can."""
        try:
            self.change(edit, Publish.WHILE_IT_RUNS)
        except InferenceError:  # the error of that change is the one to report
            self.change(edit, Publish.NEVER)

    def _is_published(self, publish: Publish) -> bool:
        """Whether to tell the router of an edit. Starts it if need be, which may take seconds."""
        if publish == Publish.ALWAYS or (publish == Publish.WHILE_IT_RUNS and self._router.runs()):
            self.ensure_up()
            return True
        return publish == Publish.STARTED

    def ensure_up(self) -> None:
        """Start the router, and what supervises instances, unless they run.

        Callers that arrive during a check share the next one.
        """
        seen = self._asked
        with self._asking:
            if self._asked > seen + 1:  # a whole check has run since this call began
                return
            self._router.ensure_up(self._build)
            self._asked += 1

    def _lead(self, own: _Change) -> None:
        self._leader = threading.get_ident()
        began_s = time.monotonic()
        try:
            if own.published:
                self._gather()
            began_s = time.monotonic()
            self._settle(self._taken(own))
        finally:
            if own.published:
                self._last = self._leader, time.monotonic()
                self._took_s = self._last[1] - began_s
            self._leader = None

    def _gather(self) -> None:
        """In a burst, let more changes arrive: a publication costs more than that wait.

        A burst is a change right after one of another thread; who is alone never waits.
        """
        thread, ended_s = self._last
        if thread in (None, self._leader) or time.monotonic() > ended_s + 2 * self._gather_s:
            return
        if self._router.reads_records and self._took_s > self._gather_s:
            self._gather_while_they_come(min(self._took_s, LONGEST_GATHER_S))
            return
        with self._arrivals:
            self._arrivals.wait_for(lambda: len(self._waiting) >= ENOUGH, self._gather_s)

    def _gather_while_they_come(self, limit_s: float) -> None:
        until_s, seen, left_s = time.monotonic() + limit_s, 0, limit_s
        with self._arrivals:
            while len(self._waiting) > seen and left_s > 0:
                seen = len(self._waiting)
                more = partial(self._are_more, seen)
                self._arrivals.wait_for(more, min(limit_s / 4, left_s))
                left_s = until_s - time.monotonic()

    def _are_more(self, seen: int) -> bool:
        return len(self._waiting) > seen

    def _taken(self, own: _Change) -> list[_Change]:
        """Return every waiting change and the caller's own, even if an interrupt dequeued that.

        The caller's own comes last, so an interrupt during another's edit finds it not yet done.
        """
        others = []
        while self._waiting:
            change = self._waiting.popleft()
            if change is not own:
                others.append(change)
        return [*others, own]

    def _withdraw(self, own: _Change, *, leads: bool) -> None:
        """Take a change back, or wait for it when another thread is already applying it.

        The caller cleans up after this, so the change must not take effect any later.
        """
        try:
            self._waiting.remove(own)
        except ValueError:
            if not leads:
                with self._turn:
                    pass

    def _settle(self, changes: list[_Change]) -> None:
        """Do all changes together; when refused, retry each half until only the faulty one fails.

        An interrupt leaves the others undone; each caller does its own when it gets the turn.
        """
        try:
            self._do(changes)
        except (Busy, TargetUnreachable) as failed:  # no single edit's fault; retrying is as slow
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
        if not any(change.published for change in changes):
            with self._records.edit():
                self._make(changes)
            return
        with self._records.lock(PUBLICATION):
            # somebody who was killed may have left it so
            self._router_is_ahead = self._records.read(UNPUBLISHED, "router") is not None
            with suppress(OutOfCapacity):  # a deletion on a full disk is what frees some
                self._records.put(UNPUBLISHED, "router", "{}")
            try:
                with self._records.edit():
                    self._make_and_publish(changes)
                    self._records.drop(UNPUBLISHED, "router")
            except BaseException:
                if not self._router_is_ahead:
                    self._records.drop(UNPUBLISHED, "router")
                raise

    def _make_and_publish(self, changes: list[_Change]) -> None:
        """Do all edits and publish them, inside an edit that undoes what this leaves."""
        if not self._router.in_force():
            self._router.publish(self._entries())  # the next one needs to know what it removes
        was_ahead = self._router_is_ahead
        try:
            with self._records.edit():
                self._make(changes)
                if any(change.published and change.fault is None for change in changes):
                    self._router_is_ahead = True
                    self._router.publish(self._entries())
        except InferenceError:  # a publication that fails this way has changed nothing
            self._router_is_ahead = was_ahead
            raise
        except BaseException:
            if self._router_is_ahead:  # it may be in force already, so undo it in the router too
                with suppress(InferenceError):
                    self._router.publish(self._entries())
                    self._router_is_ahead = False
            raise

    def _entries(self) -> tuple[EndpointEntry, ...]:
        return () if self._router.reads_records else self._build()

    def _make(self, changes: list[_Change]) -> None:
        for change in changes:
            self._part(change)

    def _part(self, change: _Change) -> None:
        """Do one edit; if it fails, only it is undone, and its caller gets the exception."""
        change.fault = None  # left by an interrupted turn
        try:
            with self._records.edit():
                change.edit()
        except Exception as fault:  # noqa: BLE001 - handed to the thread that asked
            change.fault = fault
