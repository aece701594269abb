"""How instances are got ready one by one, where a target starts each of them itself.

A target says what an instance of its own is, starts it and ends it. Which may go on serving, when
a new one is ready, and what becomes of those that are not, is decided here.
"""

import itertools
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from inference_provider.errors import NotReady, TargetError
from inference_provider.quoting import without_secrets
from inference_provider.targets.stopping import refuse_when_stopped
from inference_provider.workspace.drain import stop_wait_after
from inference_provider.workspace.endings import keeps_dying, restarts
from inference_provider.workspace.logged import LogQuery
from inference_provider.workspace.ports import MakeRoom, Progress, Unit
from inference_provider.workspace.statuses import InstanceStatus

LOG_LINES = 15
_LINE_CHARS = 300
"""Lines of an instance's log that an error quotes, and characters of each."""
REMEDY = "fix the cause and run this again"


class Awaited(Protocol):
    """A new instance that somebody waits for."""

    def answers(self, limit_s: float) -> bool:
        """Whether its readiness route answers; it pauses as it sees fit, `limit_s` at most."""

    def ended(self) -> str:
        """Say that it has ended since it was begun; empty while it runs."""


class Instances(Protocol):
    """The instances of a workspace, each of which its target starts and ends."""

    def found(self, unit: Unit) -> Sequence[InstanceStatus]:
        """Return those of a unit's deployment, of every generation, with their faults as of it."""

    def begin(
        self, unit: Unit, count: int, kept: Collection[str], progress: Progress, begun: list[str]
    ) -> None:
        """Start new ones; add each name to `begun` before anything of it exists.

        All others of the deployment but those that are kept end once these are ready.
        """

    def awaited(self, unit: Unit, name: str) -> Awaited: ...

    def last_lines(self, unit: Unit, name: str) -> tuple[str, str]:
        """Return how an error calls the end of a log, and its last LOG_LINES lines."""

    def retire(self, deployment: str, names: Sequence[str], stop_wait_s: float) -> None: ...


def ensure(
    instances: Instances, unit: Unit, count: int, progress: Progress, make_room: MakeRoom
) -> tuple[str, ...]:
    """Get ready instances, as `workspace.ports.Compute.ensure` says."""
    kept = () if unit.afresh or not count else _usable(instances, unit, count, progress)
    missing = count - len(kept)
    if missing <= 0:
        return kept
    make_room(kept)
    return (*kept, *_started(instances, unit, missing, kept, progress))


def _usable(instances: Instances, unit: Unit, count: int, progress: Progress) -> tuple[str, ...]:
    """Return up to `count` instances of this generation that run, stay alive and answer."""
    this_minute = int(time.time() // 60)
    same = [
        instance
        for instance in instances.found(unit)
        if instance.generation == unit.generation
        and instance.runs
        and not instance.fault
        and not keeps_dying(restarts(instance.endings, unit.start_limit_s, this_minute))
    ]
    same.sort(key=lambda instance: instance.name not in unit.admitted)
    usable: list[str] = []
    until_s = time.monotonic() + unit.start_limit_s  # for all: they load side by side
    for instance in same:
        if len(usable) == count:
            break
        told = f"waiting for instance {instance.name}, which runs and does not answer yet"
        with suppress(NotReady):  # after a reboot another process may have its address
            _wait_ready(instances, unit, instance.name, until_s, partial(progress, unit.id, told))
            usable.append(instance.name)
    return tuple(usable)


def _started(
    instances: Instances, unit: Unit, count: int, kept: Collection[str], progress: Progress
) -> tuple[str, ...]:
    begun: list[str] = []
    try:
        instances.begin(unit, count, kept, progress, begun)
        for number, name in enumerate(begun, 1):
            _wait_ready(instances, unit, name, time.monotonic() + unit.start_limit_s)
            progress(unit.id, f"{number} of {count} new instances ready")
    except BaseException as fault:
        instances.retire(unit.id.name, begun, stop_wait_after(fault))
        raise
    return tuple(begun)


def _wait_ready(
    instances: Instances,
    unit: Unit,
    name: str,
    until_s: float,
    waits: Callable[[], None] = lambda: None,
) -> None:
    """Wait until an instance answers; `waits` is called once if it does not at first."""
    awaited = instances.awaited(unit, name)
    for waited in itertools.count():
        refuse_when_stopped("start", str(unit.id))
        left_s = until_s - time.monotonic()
        if awaited.answers(max(0.0, left_s)):
            return
        ended = awaited.ended()
        if ended:
            raise _not_ready(instances, unit, name, ended)
        if left_s <= 0:
            raise _not_ready(instances, unit, name, silent_for(unit))
        if not waited:
            waits()


def _not_ready(instances: Instances, unit: Unit, name: str, reason: str) -> NotReady:
    what, said = instances.last_lines(unit, name)
    return not_ready(unit, f"instance {name}: {reason}", what, said)


def not_ready(unit: Unit, reason: str, what: str, said: str) -> NotReady:
    """Return the error for an instance that did not get ready.

    Args:
        unit: What it is of.
        reason: Which it is, and why.
        what: How its last lines are called.
        said: Those lines, whose secrets are hidden.
    """
    lines = without_secrets(said, unit.secrets).splitlines()
    shown = "\n".join(f"    {line[:_LINE_CHARS]}" for line in lines)
    remedy = f"{REMEDY}; {what}:\n{shown or '    (none)'}"
    return NotReady("start", str(unit.id), reason, remedy)


def silent_for(unit: Unit) -> str:
    """Say that an instance took too long."""
    waited = f"did not answer 200 to 399 within {unit.start_limit_s} s"
    return f"GET {unit.readiness_path} {waited}"


def no_logs(deployment: object, instance: str = "") -> TargetError:
    """Return the error for a deployment of which no instance has a log, or not that one."""
    remedy = "run `inferctl status`"
    reason = f"there is no instance '{instance}'" if instance else "there are none"
    return TargetError("read the logs of", str(deployment), reason, remedy)


def refuse_container(deployment: object, query: LogQuery) -> None:
    """Raise where nothing but the server runs for an instance."""
    if query.container != "inference-server":
        reason = f"there is no {query.container}: models and code are there when an instance starts"
        raise TargetError("read the logs of", str(deployment), reason, "leave --container out")
