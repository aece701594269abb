"""What instances of this machine use of its processor and its memory, by their processes."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

MEAN_OF_S = 15.0
"""Seconds of which the processor time is told; a garbage collection is no load."""
LEAST_S = 5.0
"""Seconds that are needed to tell any."""
_LIST_EVERY_S = 10.0


class Used(NamedTuple):
    """What one instance uses now."""

    cores: float | None
    """Mean of the last 15 s, or since it is looked at; None in the first 5 s."""
    memory: int
    """Bytes in memory; what several of its processes share counts in each."""


class _Moment(NamedTuple):
    at_s: float
    cpu_s: float
    """Of the processes that there were then."""
    spent_s: float
    """Of all, since the first look."""


class _Spent:
    """The processor time of one instance in the last seconds."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._moments: deque[_Moment] = deque()

    def cores(self, at_s: float, cpu_s: float) -> float | None:
        """Return the mean, with that of now; None when it is of too short a time."""
        last = self._moments[-1] if self._moments else _Moment(at_s, cpu_s, 0.0)
        # a process that ends unwaited for takes its time with it
        spent_s = last.spent_s + max(cpu_s - last.cpu_s, 0.0)
        self._moments.append(_Moment(at_s, cpu_s, spent_s))
        while len(self._moments) > 1 and self._moments[1].at_s <= at_s - MEAN_OF_S:
            self._moments.popleft()
        first = self._moments[0]
        took_s = at_s - first.at_s
        return (spent_s - first.spent_s) / took_s if took_s >= LEAST_S else None


class Usage:
    """Looks at the processes of instances, each with all that it has started."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent: dict[str, _Spent] = {}
        self._children = _children_of if _TELLS_CHILDREN else _Listed(clock)

    def look(self, pids: Mapping[str, int]) -> dict[str, Used]:
        """Return what instances use, by name; without those that have ended meanwhile.

        Args:
            pids: The first process of each.
        """
        found, there = dict[str, Used](), dict[str, _Spent]()
        for name, pid in pids.items():
            with suppress(psutil.Error):
                at_s, (cpu_s, memory) = self._clock(), self._of_tree(pid)
                known = self._spent.get(name)
                spent = known if known is not None and known.pid == pid else _Spent(pid)
                there[name] = spent
                found[name] = Used(spent.cores(at_s, cpu_s), memory)
        self._spent = there
        return found

    def _of_tree(self, pid: int) -> tuple[float, int]:
        """Return seconds of processor time and bytes of a process and all that it has started.

        Raises psutil.Error when it has ended.
        """
        cpu_s, memory = _of_one(pid)
        for one in self._below(pid):
            with suppress(psutil.Error):
                more_s, more = _of_one(one)
                cpu_s, memory = cpu_s + more_s, memory + more
        return cpu_s, memory

    def _below(self, pid: int) -> Iterator[int]:
        for child in self._children(pid):
            yield child
            yield from self._below(child)


def _of_one(pid: int) -> tuple[float, int]:
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        # those of children that have ended and been waited for
        ended_s = times.children_user + times.children_system
        return times.user + times.system + ended_s, process.memory_info().rss


_TELLS_CHILDREN = Path("/proc/thread-self/children").exists()
"""Whether the kernel tells a process's children; else all processes have to be listed."""


def _children_of(pid: int) -> Iterable[int]:
    """Return the children of a process, which any of its threads may have started."""
    for told in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended
            yield from map(int, told.read_text().split())


class _Listed:
    """The children of each process of this machine, as they were some seconds ago."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until_s = clock()
        self._found: dict[int, list[int]] = {}

    def __call__(self, pid: int) -> Iterable[int]:
        if self._clock() >= self._until_s:
            self._until_s, self._found = self._clock() + _LIST_EVERY_S, {}
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    self._found.setdefault(process.ppid(), []).append(process.pid)
        return self._found.get(pid, ())
