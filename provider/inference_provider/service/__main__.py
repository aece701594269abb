"""The process: `python -m inference_provider.service local STATE_FOLDER WORKSPACE VERSION`.

Or `docker WORKSPACE`, in a container that has the socket of its Engine, or `kubernetes WORKSPACE`,
in a pod. The version is the package's, for who looks whether it is still the one that is installed.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from inference_provider.actor import current_actor
from inference_provider.observed import Actor
from inference_provider.secret_stores.opened import open_store
from inference_provider.service.alert_place import place_of
from inference_provider.service.alerting import Alerting
from inference_provider.service.autoscaler import AT_ONCE, Autoscaler, Samples
from inference_provider.service.canaries import Canaries, Tell, watch
from inference_provider.service.decisions import FILE_BYTES, Decisions
from inference_provider.service.event_age import EventAge
from inference_provider.service.faults import Faults
from inference_provider.service.log_book import FileBook
from inference_provider.service.log_export import LogExport
from inference_provider.service.looking import Beat, look
from inference_provider.service.metering import Metering
from inference_provider.service.own_ward import OwnWard
from inference_provider.service.waking import Waking
from inference_provider.targets import heartbeat
from inference_provider.targets.aging import end_events, limit_s
from inference_provider.targets.event_log import EventLog, log_of
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.system_clock import SystemClock

_Loops = Mapping[str, Callable[[Beat], None]]
"""What begins each loop, by name."""
KINDS = ("local", "docker", "kubernetes")
PERIOD_S = 1.0
_THREADS = 4 * AT_ONCE
"""Those of changes, and of what drains after one."""
_FETCHED_BYTES = 1_000_000
"""Size of a file of decisions that is fetched whole, from a container."""


@dataclass(frozen=True)
class _Place:
    """Where a workspace is whose rules are kept."""

    target: Engine
    workspace: str
    samples: Samples
    actor: Actor
    decisions: Path
    faults: Path
    waking: Waking
    """Ends the pause between two looks where a request waits."""
    file_bytes: int = FILE_BYTES
    look_on: Callable[[], None] = lambda: None
    """Ends this process where it may not go on."""
    begin: Callable[[], None] = lambda: None
    """Begins what runs beside, in threads of its own."""


def main() -> None:
    """Keep the rules of one workspace until this process is ended."""
    kind, given = where(sys.argv[1:])
    if kind == "kubernetes":
        from inference_provider.service.in_cluster import run  # noqa: PLC0415 - of a pod alone

        run(*given)
        return
    place = _on_its_engine(*given) if kind == "docker" else _on_this_machine(*given)
    place.target.open_store = open_store
    place.begin()
    try:
        _keep(place)
    except BaseException:  # noqa: BLE001 - whatever it is, it ends the process
        traceback.print_exc()
        os._exit(1)  # now: its threads drain for minutes, and nobody would look meanwhile


def _keep(place: _Place) -> NoReturn:
    autoscaler = Autoscaler(
        place.target,
        place.workspace,
        place.samples,
        Decisions(place.decisions, place.file_bytes),
        Faults(place.faults),
        actor=place.actor,
        clock=SystemClock(),
        threads=ThreadPoolExecutor(_THREADS),
    )
    said = ""
    while True:
        place.look_on()
        said = look(autoscaler, said)
        place.waking.expects = autoscaler.allows_none
        place.waking.pause(PERIOD_S)


def _on_this_machine(root: str, workspace: str, _version: str) -> _Place:
    """Open a state folder, for a process that ends with the supervisord that has started it.

    Also when that is killed: one that lived on would change counts beside its successor. It keeps
    nothing that its end could lose.
    """
    # a container has nothing of it
    from inference_provider.targets.local.log_sources import log_sources  # noqa: PLC0415
    from inference_provider.targets.local.service_process import is_the_service  # noqa: PLC0415
    from inference_provider.targets.local.target import LocalTarget  # noqa: PLC0415

    parent = os.getppid()
    target = LocalTarget.open(Path(root))
    router = target.local.router(workspace)
    if not is_the_service(router.supervisor):  # or that has ended before this process looked
        sys.exit("it runs under the workspace's supervisord alone; `inferctl up` starts it")

    heart = heartbeat.Heart(heartbeat.beat_file(router.folders.folder))

    def look_on() -> None:
        if os.getppid() != parent:
            os._exit(1)  # in the middle of changes: its successor ends what they have left
        heart.beat()

    folders, samples = router.folders, target.local.samples(workspace)
    files = (folders.decisions, folders.rule_faults)
    actor = current_actor("autoscaler")
    logs = LogExport(
        lambda: log_sources(folders), router.logs, FileBook(folders.sent_logs), workspace
    )
    counts, mover = target.local.counts(workspace), current_actor("rollout")
    lost, tell = partial(target.unreadable_rollouts, workspace), _tells(folders.folder)
    canaries = Canaries(target, workspace, counts, actor=mover, unreadable=lost, tell=tell)
    held = router.beside.held
    waking = Waking(held.room.ask, lambda: target.publish(workspace), held.is_any)
    meter = target.meter(workspace)
    metering = Metering(meter, router.metrics, workspace)
    alerting = Alerting(place_of(target, workspace, meter=meter, file=folders.alerts, tell=tell))

    loops = _loops(metering, logs, canaries, waking, alerting)

    def begin() -> None:
        heart.beat()
        _run(heart, loops)

    return _Place(target, workspace, samples, actor, *files, waking, look_on=look_on, begin=begin)


def _tells(folder: Path) -> Tell:
    """Return what writes down events of endpoints, where `log_of` has them of a folder."""
    events = EventLog(log_of(folder))

    def tell(endpoint: str, name: str, message: str) -> None:
        with suppress(OSError):  # a full disk
            events.write("", name, message, endpoint)

    return tell


def where(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the kind of place, and what names it.

    An older release named no kind: until the next `up` supervisord starts this one as it did.
    """
    kind = arguments[0]
    return (kind, arguments[1:]) if kind in KINDS else ("local", arguments)


def _on_its_engine(workspace: str) -> _Place:
    """Open the Docker host that DOCKER_HOST names."""
    from inference_provider.targets.docker.autoscaler import (  # noqa: PLC0415 - as above
        ALERTS,
        CONTAINERS,
        DECISIONS,
        FAULTS,
        METRICS,
        SENT_LOGS,
    )
    from inference_provider.targets.docker.companion import FOLDER  # noqa: PLC0415
    from inference_provider.targets.docker.target import DockerTarget  # noqa: PLC0415

    target = DockerTarget("docker")
    actor = Actor(user=workspace, command="autoscaler")
    mover = Actor(user=workspace, command="rollout")
    counts, tell = target.docker.counts(workspace), _tells(Path(FOLDER))
    lost = partial(target.unreadable_rollouts, workspace)
    canaries = Canaries(target, workspace, counts, actor=mover, unreadable=lost, tell=tell)
    files = (Path(FOLDER) / DECISIONS, Path(FOLDER) / FAULTS)
    waking = Waking(target.docker.router(workspace).waits)
    meter, settings = target.meter(workspace), target.docker.metrics(workspace)
    metering = Metering(meter, settings, workspace, Path(FOLDER) / METRICS)
    states = Path(FOLDER) / ALERTS
    alerting = Alerting(place_of(target, workspace, meter=meter, file=states, tell=tell))
    sources = target.docker.log_sources(workspace, Path(CONTAINERS))
    declared = target.docker.logs(workspace)
    book = FileBook(Path(FOLDER) / SENT_LOGS)
    logs = LogExport(sources, declared, book, workspace)

    loops = _loops(metering, logs, canaries, waking, alerting)
    looks, events = heartbeat.Looks(), EventLog(log_of(Path(FOLDER)))

    def end(said: str) -> None:
        with suppress(OSError):  # a full disk
            events.write("service", "Killing", said)

    age = EventAge(declared, lambda days: end_events(events, limit_s(time.time(), days)))

    def begin() -> None:
        looks.beat()
        _run(looks, loops)
        age.run()
        OwnWard(looks, end).run()

    samples = target.docker.samples(workspace)
    known = (target, workspace, samples, actor, *files, waking)
    return _Place(*known, file_bytes=_FETCHED_BYTES, look_on=looks.beat, begin=begin)


def _loops(
    metering: Metering, logs: LogExport, canaries: Canaries, waking: Waking, alerting: Alerting
) -> _Loops:
    return {
        heartbeat.METRICS: metering.run,
        heartbeat.LOGS: logs.run,
        heartbeat.ROLLOUTS: partial(watch, canaries),
        heartbeat.WAITING: waking.run,
        heartbeat.ALERTS: alerting.run,
    }


def _run(looks: heartbeat.Looks, loops: _Loops) -> None:
    """Begin what runs beside the loop over rules, and note when each looks."""
    for name, run in loops.items():
        looks.beat(name)  # one that hangs in its first look is seen, too
        run(partial(looks.beat, name))


if __name__ == "__main__":
    main()
