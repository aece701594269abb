"""The logs of a workspace on a Docker host, for who sends them, and the rows that their lines are.

What instances print are the files that their Engine writes; its folder of them is mounted where
this runs. A file is held open as long as its container is there, so that the last lines of one that
is gone are read too. Calls are asked of the routers that write them, events of the Engine.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.ruled_router import RuledRouter
from inference_provider.targets.event_tail import Events
from inference_provider.targets.log_lines import call, event, raw
from inference_provider.targets.log_tail import Line, Position, Source, Tail, new_lines
from inference_provider.workspace.log_rows import Row, console_row
from inference_provider.workspace.logged import LogLine
from inference_provider.workspace.statuses import Event

_FILES = 3
"""Of one container; see `containers.py`."""
_MOST_GONE = 50
"""Containers that are gone and whose last lines wait; each may hold 30 MB of the disk."""


class LogSources:
    """Says which logs there are.

    Args:
        host: The workspace's.
        workspace: Its name.
        router: Its router.
        events: Returns what happened in it, oldest first.
        folder: Where the Engine's folder of containers is here.
    """

    def __init__(
        self,
        host: DockerHost,
        workspace: str,
        router: RuledRouter,
        events: Callable[[], Iterable[Event]],
        folder: Path,
    ) -> None:
        self._host, self._workspace, self._router = host, workspace, router
        self._selecting = names.selecting(workspace, names.INSTANCE)
        self._folder = folder
        self._events = Events(events)
        self._printed: dict[str, _Printed] = {}

    def __call__(self) -> Iterator[Source]:
        """Yield the logs of now. Raises TargetError where the Engine does not say."""
        for volume, container in self._router.access_logs():
            tail = partial(self._router.new_calls, container)
            yield Source(f"router/{volume}", tail, partial(call, self._workspace))
        yield Source("events", self._events.tail, partial(event, self._workspace))
        yield from self._of_instances()

    def _of_instances(self) -> Iterator[Source]:
        listed = filter(names.is_instance, self._host.containers(self._selecting))
        there = {str(one["Id"]): one for one in listed}
        for id_ in there.keys() - self._printed.keys():
            of = there[id_]["Labels"][names.DEPLOYMENT]
            log = self._folder / id_ / f"{id_}-json.log"
            self._printed[id_] = _Printed(self._workspace, of, names.of(there[id_]), log)
        gone = [id_ for id_ in self._printed if id_ not in there]
        for number, id_ in enumerate(gone):
            if self._printed[id_].is_read or number < len(gone) - _MOST_GONE:
                self._printed.pop(id_).close()
        for id_, one in self._printed.items():
            one.look(is_there=id_ in there)
            yield Source(f"logs/{one.deployment}/{one.instance}/{id_[:12]}", one.tail, one.row)


class _Printed:
    """What one container prints."""

    def __init__(self, workspace: str, deployment: str, instance: str, log: Path) -> None:
        self.deployment, self.instance = deployment, instance
        self._of = ResourceId(kind=Kind.DEPLOYMENT, workspace=workspace, name=deployment)
        self._paths = (log, *(log.with_name(f"{log.name}.{i}") for i in range(1, _FILES)))
        self._opened: dict[int, int] = {}
        """By the number of a file: by what it is open, the newest first."""
        self._is_there = True
        self.is_read = False
        """Whether it is gone, and nothing of it waits."""

    def look(self, *, is_there: bool) -> None:
        """Hold the files of now open."""
        self._is_there = is_there
        found: dict[int, int] = {}
        # the newest first: what is set aside meanwhile is met twice, never missed
        for path in self._paths if is_there else ():
            with suppress(FileNotFoundError):
                file = os.open(path, os.O_RDONLY)
                number = os.fstat(file).st_ino
                known = found.get(number, self._opened.get(number))
                if known is not None:
                    os.close(file)
                found[number] = file if known is None else known
        if found:  # else it is going, or gone
            for number in self._opened.keys() - found.keys():
                os.close(self._opened[number])
            self._opened = found

    def tail(self, known: Position | None, most_bytes: int, most_lines: int) -> Tail:
        held = [Path(f"/proc/self/fd/{one}") for one in self._opened.values()]
        tail = new_lines(held, known, most_bytes, most_lines)
        self.is_read = not self._is_there and not tail.lines
        return tail

    def row(self, line: Line) -> Row:
        """Return a line as the Engine has written it: `{"log": "…", "time": "…"}`."""
        try:
            read = json.loads(line.text)
            text, time_ = read["log"], datetime.fromisoformat(read["time"])
        except (ValueError, KeyError, TypeError):
            return raw("console", line, {})
        shown = text.removesuffix("\n").removesuffix("\r")
        return console_row(self._of, LogLine(self.instance, shown, time_))

    def close(self) -> None:
        for file in self._opened.values():
            os.close(file)
        self._opened = {}
