"""What instances of this machine use of its processor and its memory, by their processes."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import psutil


class Used(NamedTuple):
    """What one instance uses now."""

    cores: float | None
    """Mean since the look before; None at the first."""
    memory: int
    """Bytes in memory; what several of its processes share counts in each."""


@dataclass(frozen=True)
class _Times:
    pid: int
    at_s: float
    cpu_s: float


class Usage:
    """Looks at the processes of instances, each with all that it has started."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[str, _Times] = {}

    def look(self, pids: Mapping[str, int]) -> dict[str, Used]:
        """Return what instances use, by name; without those that have ended meanwhile.

        Args:
            pids: The first process of each.
        """
        children, now = _children(), dict[str, _Times]()
        found = {}
        for name, pid in pids.items():
            with suppress(psutil.Error):
                at_s, (cpu_s, memory) = self._clock(), _of_tree(pid, children)
                now[name] = _Times(pid, at_s, cpu_s)
                found[name] = Used(self._cores(name, now[name]), memory)
        self._before = now
        return found

    def _cores(self, name: str, now: _Times) -> float | None:
        before = self._before.get(name)
        if before is None or before.pid != now.pid or now.at_s <= before.at_s:
            return None
        # a process that ends unwaited for takes its time with it
        return max(now.cpu_s - before.cpu_s, 0.0) / (now.at_s - before.at_s)


def _children() -> Mapping[int, list[int]]:
    """Return the children of each process of this machine."""
    found: dict[int, list[int]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found.setdefault(process.ppid(), []).append(process.pid)
    return found


def _of_tree(pid: int, children: Mapping[int, list[int]]) -> tuple[float, int]:
    """Return seconds of processor time and bytes of a process and all that it has started.

    Raises psutil.Error when it has ended.
    """
    cpu_s, memory = _of_one(pid)
    for one in _below(pid, children):
        with suppress(psutil.Error):
            more_s, more = _of_one(one)
            cpu_s, memory = cpu_s + more_s, memory + more
    return cpu_s, memory


def _of_one(pid: int) -> tuple[float, int]:
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        # those of children that have ended and been waited for
        ended_s = times.children_user + times.children_system
        return times.user + times.system + ended_s, process.memory_info().rss


def _below(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    for child in children.get(pid, ()):
        yield child
        yield from _below(child, children)
