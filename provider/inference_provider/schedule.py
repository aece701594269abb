"""Runs calls that depend on one another, with as much concurrency as allowed.

There are two sorts of call, each with its own limit, so neither uses up the other's threads. Work
on this machine (starting servers, building environments) is limited by `parallel`. The rest edits
records and waits for the router, which publishes all waiting edits together: the more wait, the
fewer publications, so many of these run concurrently.

After the first failure no new call begins, unless the calls go on; running calls are awaited, and
all failures are raised.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from inference_provider.errors import Interrupted, SeveralFailed
from inference_provider.targets.stopping import HeldInterrupts

T = TypeVar("T")

EDITS_AT_ONCE = 64
"""A guess: 1,000 edits take about 16 publications then, and as many threads cost little."""
_LOOK_S = 0.5
"""How often a wait is left: Python does not leave one for a signal that came just before it."""
LEAST_PARALLEL = 8
"""On a machine with fewer cores too: what starts waits for disks and for answers as well."""


def default_parallel() -> int:
    """Return how many starts and builds run side by side when nobody says."""
    return max(LEAST_PARALLEL, 2 * (os.cpu_count() or 1))


@dataclass(frozen=True)
class Calls(Generic[T]):
    """Calls, and for each position what it waits for and whether it is work."""

    call: Callable[[int], T]
    waits: Sequence[Set[int]]
    """For each call, the positions of those that must be done before it; all are lower."""
    work: Set[int] = frozenset()
    """Positions of the calls that do work on this machine."""
    goes_on: bool = False
    """Whether a failure holds up no other call, not even one that waits for the failed one."""


def run(calls: Calls[T], done: Callable[[int, T], None], parallel: int) -> None:
    """Make all calls; if `parallel` is 1, one after another and in order.

    Args:
        calls: What to do.
        done: Told each result, in this thread.
        parallel: How many calls that do work may run at once, 1 or more.

    Raises:
        SeveralFailed: More than one call failed; a single failure is raised as it is.
        KeyboardInterrupt: Re-raised after running calls have ended; failures are notes on it.
    """
    if parallel == 1:
        in_turn = [{i - 1} if i else set[int]() for i in range(len(calls.waits))]
        calls = replace(calls, waits=in_turn)
    _SideBySide(calls, done, parallel).run()


@dataclass
class _SideBySide(Generic[T]):
    """One run of calls in threads; only the caller's thread changes its state."""

    calls: Calls[T]
    done: Callable[[int, T], None]
    parallel: int
    failures: dict[int, BaseException] = field(default_factory=dict)
    _running: dict[Future[T], int] = field(default_factory=dict)
    _ready: tuple[deque[int], deque[int]] = field(default_factory=lambda: (deque(), deque()))
    """Calls that may begin, in order: edits, and work."""

    def __post_init__(self) -> None:
        self._missing = [len(before) for before in self.calls.waits]
        self._after: list[list[int]] = [[] for _ in self.calls.waits]
        for i, before in enumerate(self.calls.waits):
            for other in before:
                self._after[other].append(i)
        self._make_ready(i for i, count in enumerate(self._missing) if not count)

    def run(self) -> None:
        try:
            threads = EDITS_AT_ONCE + self.parallel
            with HeldInterrupts() as interrupts, ThreadPoolExecutor(threads) as pool:
                while not interrupts.arrived and self._step(pool, interrupts):
                    pass  # leaving the pool waits for running calls
            if interrupts.arrived:
                raise KeyboardInterrupt
        except KeyboardInterrupt as exc:
            self._note_failures(exc)
            raise
        self._raise_failures()

    def _step(self, pool: ThreadPoolExecutor, interrupts: HeldInterrupts) -> bool:
        """Begin every ready call, and wait until one ends; return False once none is left."""
        ready = 0 if self._stops() else sum(map(len, self._ready))
        if ready == 1 and not self._running:
            with interrupts.released():
                self._do_alone()
            return True
        if ready:
            self._begin(pool)
        if not self._running:
            return False
        for future in wait(self._running, _LOOK_S, FIRST_COMPLETED).done:
            self._take_in(self._running.pop(future), future)
        return True

    def _stops(self) -> bool:
        """Whether nothing new may begin."""
        if self.calls.goes_on:
            return any(isinstance(error, Interrupted) for error in self.failures.values())
        return bool(self.failures)

    def _do_alone(self) -> None:
        """Make the only call in the caller's thread, where an interrupt reaches it directly."""
        [i] = [ready.popleft() for ready in self._ready if ready]
        alone: Future[T] = Future()
        try:
            alone.set_result(self.calls.call(i))
        except Exception as exc:  # noqa: BLE001 - raised by `_raise_failures`
            alone.set_exception(exc)
        self._take_in(i, alone)

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        work = sum(i in self.calls.work for i in self._running.values())
        free = (EDITS_AT_ONCE - (len(self._running) - work), self.parallel - work)
        for ready, room in zip(self._ready, free, strict=True):
            for _ in range(min(room, len(ready))):
                i = ready.popleft()
                self._running[pool.submit(self.calls.call, i)] = i

    def _take_in(self, i: int, ended: "Future[T]") -> None:
        error = ended.exception()
        if error is None:
            self.done(i, ended.result())
        else:
            self.failures[i] = error
            if not self.calls.goes_on:
                return
        for other in self._after[i]:
            self._missing[other] -= 1
        self._make_ready(other for other in self._after[i] if not self._missing[other])

    def _make_ready(self, positions: Iterable[int]) -> None:
        for i in positions:
            self._ready[i in self.calls.work].append(i)

    def _raise_failures(self) -> None:
        found = [self.failures[i] for i in sorted(self.failures)]
        if len(found) == 1 or any(not isinstance(error, Exception) for error in found):
            raise next((e for e in found if not isinstance(e, Exception)), found[0])
        if found:
            raise SeveralFailed([e for e in found if isinstance(e, Exception)]) from found[0]

    def _note_failures(self, exc: KeyboardInterrupt) -> None:
        """Add to an interrupt the failures that it did not cause."""
        ended = {i: future.exception() for future, i in self._running.items()}
        for error in (ended | self.failures).values():
            if isinstance(error, Exception) and not isinstance(error, Interrupted):
                exc.add_note(str(error))
