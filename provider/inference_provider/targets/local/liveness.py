"""What liveness routes answer -> which instances hang, and which of them is ended now. Pure.

Goes in: who is asked, when and what came of it, on a clock that never goes back. `prober.py` asks,
and ends. Imports only the standard library: `watch.py` runs it.

An instance counts as hung after `failure_threshold` failures in a row. None counts before its
process has answered once, or its start limit is over: it may be slow to start. Of a deployment one
instance is restarted at a time, and of a workspace a quarter: what ails all of them at once, as a
machine that is too busy, is mended by no restart.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

PAUSE_S = 5.0
"""Seconds without a look after which nothing that was seen before counts: the machine was so busy,
or a virtual one paused, that nobody was asked on time. A question counts as lost as long after its
answer should be there."""
AT_ONCE = 4
"""Of so many instances of a workspace one may be restarted at a time, and always one."""


class Asked(NamedTuple):
    """How one instance is asked whether it lives; times in seconds."""

    name: str
    """Of its program."""
    deployment: str
    port: int
    socket: bool
    """Whether it is reached by a Unix socket named after the port."""
    path: str
    initial_delay: int
    period: int
    timeout: int
    failure_threshold: int
    start_limit: int
    """Longest time that a process may take to answer for the first time."""
    stop_wait: int
    """Between SIGTERM and SIGKILL."""


class Ended(NamedTuple):
    """A process that is to end."""

    name: str
    pid: int
    failures: int
    killed: bool
    """Whether it was asked to before, in vain: then it is killed."""


class _Process:
    """What is known of the process that an instance has now."""

    def __init__(self, pid: int, now_s: float) -> None:
        self.pid, self.first_s = pid, now_s
        self.has_answered = False
        self.failures = 0
        self.asked_to_end_s: float | None = None

    def counts_from_s(self, asked: Asked) -> float:
        """Return from when on a failure of it counts."""
        wait_s = asked.initial_delay
        return self.first_s + (wait_s if self.has_answered else max(wait_s, asked.start_limit))


class Ward:
    """The instances of one workspace."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}
        self._due_s: dict[str, float] = {}
        self._in_question: dict[str, float] = {}
        """Until when an answer is waited for."""
        self._processes: dict[str, _Process] = {}
        self._restarted: dict[str, float] = {}
        """Until when a restart of an instance counts as under way, if it does not answer before."""
        self._looked_s: float | None = None
        self._resumed_s = 0.0

    def look(self, asked: Collection[Asked], now_s: float) -> None:
        """Note which instances there are, at least every PAUSE_S seconds."""
        if self._looked_s is not None and now_s - self._looked_s > PAUSE_S:
            self._resumed_s = now_s
            for process in self._processes.values():
                process.failures = 0
        self._looked_s = now_s
        self._asked = {one.name: one for one in asked}
        for known in (self._due_s, self._processes, self._restarted):
            for name in known.keys() - self._asked.keys():
                del known[name]
        for name in self._asked:
            self._due_s.setdefault(name, now_s)

    def due(self, now_s: float, at_once: int) -> list[Asked]:
        """Return whom to ask now, who has waited longest first.

        Args:
            now_s: What the clock shows.
            at_once: How many may be in question side by side. Each is until `answered` or `absent`
                is told of it, or the question counts as lost.
        """
        for name in [n for n, until_s in self._in_question.items() if until_s < now_s]:
            del self._in_question[name]
        names = [n for n in self._due_s if self._due_s[n] <= now_s and n not in self._in_question]
        names.sort(key=lambda name: (self._due_s[name], name))
        asked = [self._asked[n] for n in names[: max(0, at_once - len(self._in_question))]]
        for one in asked:
            self._due_s[one.name] = now_s + one.period
            self._in_question[one.name] = now_s + one.timeout + PAUSE_S
        return asked

    def absent(self, name: str) -> None:
        """Note that an instance has no process now: whoever starts it is on it."""
        self._in_question.pop(name, None)
        self._processes.pop(name, None)

    def answered(self, name: str, pid: int, *, lives: bool, begun_s: float) -> int | None:
        """Note what a process answered.

        Args:
            name: Of the instance.
            pid: Its process, before and after the question.
            lives: Whether it answered as one that lives.
            begun_s: When it was asked.

        Returns:
            How many failures in a row count by now; None where this one does not, or where enough
            did before: it waits for its turn to end.
        """
        self._in_question.pop(name, None)
        asked = self._asked.get(name)
        if asked is None:
            return None
        process = self._processes.get(name)
        if process is None or process.pid != pid:
            process = self._processes[name] = _Process(pid, begun_s)
        if process.asked_to_end_s is not None:
            return None
        if lives:
            process.has_answered, process.failures = True, 0
            self._restarted.pop(name, None)
            return None
        if begun_s < max(process.counts_from_s(asked), self._resumed_s):
            return None
        process.failures += 1
        return process.failures if process.failures <= asked.failure_threshold else None

    def to_end(self, now_s: float) -> Iterator[Ended]:
        """Yield the processes to end now, and those that did not heed it, to be killed."""
        under_way = {name for name, until_s in self._restarted.items() if until_s > now_s}
        for name, process in self._processes.items():
            asked = self._asked[name]
            if process.asked_to_end_s is not None:
                if now_s - process.asked_to_end_s >= asked.stop_wait:
                    process.asked_to_end_s = now_s
                    yield Ended(name, process.pid, process.failures, killed=True)
            elif process.failures >= asked.failure_threshold and self._may(asked, under_way):
                process.asked_to_end_s = now_s
                self._restarted[name] = now_s + asked.stop_wait + asked.start_limit
                under_way.add(name)
                yield Ended(name, process.pid, process.failures, killed=False)

    def _may(self, asked: Asked, under_way: Collection[str]) -> bool:
        others = [self._asked[name].deployment for name in under_way if name != asked.name]
        return asked.deployment not in others and len(others) < max(1, len(self._asked) // AT_ONCE)
