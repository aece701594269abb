"""What instances of this machine use of its processor and its memory, by their processes."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from inference_provider.targets.samples import Spent, Used

_LIST_EVERY_S = 10.0


class Usage:
    """Looks at the processes of instances, each with all that it has started."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent: dict[str, Spent] = {}
        self._children = _children_of if _TELLS_CHILDREN else _Listed(clock)

    def look(self, pids: Mapping[str, int]) -> dict[str, Used]:
        """Return what instances use, by name; without those that have ended meanwhile.

        Args:
            pids: The first process of each.
        """
        found, there = dict[str, Used](), dict[str, Spent]()
        for name, pid in pids.items():
            with suppress(psutil.Error):
                at_s, (cpu_s, memory) = self._clock(), self._of_tree(pid)
                known = self._spent.get(name)
                spent = known if known is not None and known.first == pid else Spent(pid)
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
