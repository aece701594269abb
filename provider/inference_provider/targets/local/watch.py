"""supervisord's events of one workspace -> how often each program ended, and its event log.

It bounds the access log too, ends logs that are too old (`log_age.py`), has instances and a
workspace service that hang ended (`prober.py`, `service_ward.py`), and tells which instances are
not ready (`readiness.py`). Run by supervisord as its event listener, `python -I -S watch.py ENDS
ACCESS_LOG BYTES WORKSPACE_FOLDER VERSION`, so it starts and ends with it; the version is there for
who looks whether it is still this release's.
Imports only the standard library, and modules of ours that do the same, to start in milliseconds.
`workspace/endings.py` decides which program keeps dying.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

KEPT_MINUTES = 300
"""Ends are counted per minute, for this many minutes; the total since the start is kept too."""

ENDED = ("PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF")
"""Events of a program that ended by itself; the second one when it ran for less than 1 s."""
ANEW = ("PROCESS_GROUP_ADDED", "PROCESS_GROUP_REMOVED")
TOLD = {
    "PROCESS_STATE_RUNNING": ("Started", "Started instance"),
    "PROCESS_STATE_STOPPING": ("Killing", "Stopping instance"),
    "PROCESS_STATE_EXITED": ("ContainerCrash", "Its process ended by itself"),
    "PROCESS_STATE_BACKOFF": ("BackOff", "Back-off restarting failed instance: it ended at once"),
}
"""What is written to the event log: a name, of Azure ML where it has one, and a sentence."""
TICK = "TICK_5"
EVENTS = (*TOLD, *ANEW, TICK)

Ends = dict[str, dict[str, Any]]
"""Per program: `total`, `minutes`, counts keyed by minutes since 1970, and `why` it ended last."""

Tell = Callable[[str, str, str], None]
"""Told a program, the name of an event, and a sentence."""
HUNG = "LivenessProbeFailed"
OWN = "watch"
"""The name of this program, whose own start nobody wants to know."""


def count_end(ends: Ends, program: str, minute: int, why: str = "") -> None:
    """Count one end of a program, and drop counts that are too old."""
    own = ends.setdefault(program, {"total": 0, "minutes": {}})
    own["total"] += 1
    own["why"] = why
    kept = {m: n for m, n in own["minutes"].items() if int(m) > minute - KEPT_MINUTES}
    own["minutes"] = {**kept, str(minute): kept.get(str(minute), 0) + 1}


class Watch:
    """Handles one event at a time."""

    def __init__(
        self,
        ends_file: Path,
        each_tick: Sequence[Callable[[], None]] = (),
        tell: Tell = lambda _program, _name, _message: None,
        was_hung: Callable[[str, int], bool] = lambda _program, _pid: False,
        took: Callable[[str, str], None] = lambda _program, _name: None,
    ) -> None:
        """Prepare to count ends.

        Args:
            ends_file: Where they are counted.
            each_tick: What is called every 5 s.
            tell: Writes down what happened.
            was_hung: Whether a process has been ended as hung.
            took: Told what happened, even where none of it can be written down.
        """
        self._ends_file = ends_file
        self._each_tick = each_tick
        self._tell, self._was_hung, self._took = tell, was_hung, took
        self._ends: Ends = {}
        self._unsaved = False
        with suppress(FileNotFoundError, ValueError):  # a restart of this program alone
            found = json.loads(ends_file.read_text())
            self._ends = found if isinstance(found, dict) else {}

    def take(self, event: str, fields: dict[str, str]) -> None:
        """Handle one event. Raises OSError, once all was tried; the next event retries a count."""
        program = fields.get("processname", "")
        if event in TOLD:
            self._took(program, TOLD[event][0])
        hung = event in ENDED and self._was_hung(program, int(fields.get("pid", 0)))
        if event in ENDED:
            count_end(self._ends, program, int(time.time() // 60), HUNG * hung)
            self._unsaved = True
        elif event in ANEW and fields["groupname"] in self._ends:
            del self._ends[fields["groupname"]]
            self._unsaved = True
        works = [self._save] if self._unsaved else []
        if event in TOLD and not hung and program != OWN:
            works.append(lambda: self._tell(program, *TOLD[event]))
        _each(*works, *(self._each_tick if event == TICK else ()))

    def _save(self) -> None:
        beside = self._ends_file.with_name(f".{self._ends_file.name}")
        beside.write_text(json.dumps(self._ends))
        os.replace(beside, self._ends_file)
        self._unsaved = False


def _each(*works: Callable[[], None]) -> None:
    """Do all of it, also after some that fails. Raises the first OSError at the end."""
    faults: list[OSError] = []
    for work in works:
        try:
            work()
        except OSError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]


def listen(watch: Watch, events: BinaryIO, answers: BinaryIO) -> None:
    """Speak supervisord's event listener protocol until it ends."""
    while True:
        answers.write(b"READY\n")
        answers.flush()
        head = _fields(events.readline())
        if not head:
            return
        try:
            watch.take(head["eventname"], _fields(events.read(int(head["len"]))))
        except OSError as fault:  # a full disk, or a router that does not answer
            print(f"{head['eventname']}: {fault}", file=sys.stderr, flush=True)  # noqa: T201
        answers.write(b"RESULT 2\nOK")
        answers.flush()


def _fields(line: bytes) -> dict[str, str]:
    """Parse `name:value` words."""
    return dict(word.split(":", 1) for word in line.decode().split())


def given(arguments: Sequence[str]) -> tuple[Path, Path, int, Path]:
    """Return the file of ends, the access log, its bound, and the workspace's folder.

    An older release named no folder: until the next `up` supervisord starts this one as it did.
    """
    ends, log, limit, *folder = arguments
    return (
        Path(ends),
        Path(log),
        int(limit),
        Path(folder[0]) if folder else Path(ends).parent / "..",
    )


def _reopen_logs(supervisord: int) -> None:
    if os.getppid() == supervisord:  # else it has ended, and this process is about to
        os.kill(supervisord, signal.SIGUSR2)


def main() -> None:
    # `-I -S` finds no package; last, so that none of site-packages hides one of the library
    sys.path.append(str(Path(__file__).parents[3]))
    from inference_provider.targets.envoy.log_bound import bound_log  # noqa: PLC0415
    from inference_provider.targets.envoy.router_admin import RouterAdmin  # noqa: PLC0415
    from inference_provider.targets.event_log import EventLog, log_of  # noqa: PLC0415
    from inference_provider.targets.local.log_age import LogAge  # noqa: PLC0415
    from inference_provider.targets.local.log_times import LogTimes  # noqa: PLC0415
    from inference_provider.targets.local.prober import Documents, Prober  # noqa: PLC0415
    from inference_provider.targets.local.readiness import Readiness  # noqa: PLC0415
    from inference_provider.targets.local.service_ward import ServiceWard  # noqa: PLC0415

    ends_file, log, limit, folder = given(sys.argv[1:])
    events, times = EventLog(log_of(folder)), LogTimes(folder / "logs")
    prober = Prober(folder, events.write)
    ward = ServiceWard(folder, events.write)
    bound = partial(bound_log, log, limit)
    age = LogAge(folder, events, log, partial(_reopen_logs, os.getppid()))
    ticks = (times.note, ward.look, age.look, bound)  # the last may wait for the router
    watch = Watch(ends_file, ticks, events.write, prober.has_ended, prober.took)
    prober.start()
    admin = RouterAdmin(log.with_name("admin.sock"))
    Readiness(admin, Documents(folder), events.write, prober.is_stopping).start()
    listen(watch, sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # supervisord is gone; a question that is still open waits for nobody


if __name__ == "__main__":
    main()
