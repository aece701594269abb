"""The container with the service of a workspace on a Docker host.

It keeps autoscale rules, moves splits that are on their way, watches alerts, and has metrics and
logs go where the workspace declares it. It has the Engine's socket, with which it is root of the
host, so there is one only where the workspace names that socket. It runs the image of the router:
in no network, or in the host's while it has to send or serve something, since the page and most
collectors are on that one's loopback. When it ends, counts and splits stay as they are. What it is
called is from when it did nothing but to keep rules.
"""

import io
import json
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from inference_provider.errors import Interrupted, TargetError, TargetUnreachable
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.docker import names
from inference_provider.targets.docker.archive import packed
from inference_provider.targets.docker.autoscaler_run import is_the_autoscaler, listed
from inference_provider.targets.docker.containers import endings_of, hardened, is_running
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.library import errors
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.event_log import events_in, log_of
from inference_provider.targets.rule_faults import read
from inference_provider.targets.sent_logs import described
from inference_provider.targets.sent_logs import read as read_sent
from inference_provider.targets.service_needs import Needs, needs_of
from inference_provider.workspace.alert_states import States, notes_of
from inference_provider.workspace.alert_states import read as read_alerts
from inference_provider.workspace.endings import keeps_dying, restarts
from inference_provider.workspace.kept_alerts import unreadable_in
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import Event

FOLDER, DECISIONS, FAULTS = "/service", "decisions.jsonl", "faults.json"
METRICS = "metrics.json"
"""File with what keeps metrics from going somewhere: sentences."""
SENT_LOGS = "sent_logs.json"
"""File with how far logs have been sent."""
CONTAINERS = "/run/containers"
"""Where it has the Engine's folder of containers, while logs are sent."""
ALERTS = "alerts.json"
"""File with how alerts stand, and what their webhooks are still to be told."""
FAULT = "fault"
"""Section of the records: why something does not run beside the workspace's router."""
SOCKET = "/run/engine.sock"
"""Where the container has the Engine's."""
_START_LIMIT_S = 20
_TRIES = 3
_NOT_THERE, _NAME_TAKEN = 404, 409
_MODULE = "inference_provider.service"
"""By its name: it stands on targets."""


class Autoscaler:
    """Makes and removes the container of one workspace, and reads what it writes down.

    Args:
        host: Where it is.
        records: The workspace's.
        socket: Returns the path of the Engine's socket on its host, if the workspace names it;
            raises TargetError where its record cannot be read.
    """

    def __init__(
        self, host: DockerHost, records: HostRecords, socket: Callable[[], str | None]
    ) -> None:
        self._host = host
        self._records = records
        self._workspace = records.workspace
        self._state = State(records)
        self._socket = socket
        self._name = names.autoscaler(records.workspace)
        self._selecting = dict(names.selecting(records.workspace, names.AUTOSCALER))

    def settle(self, image: str) -> None:
        """Have it run where it is needed and the socket is named; and only there.

        Args:
            image: Id of the image that it is to run.

        Raises:
            TargetError: The Engine does not start it, or the workspace's record cannot be read,
                and then nothing has changed. What it says is noted for the status.
        """
        if is_the_autoscaler():
            return
        try:
            self._settle_in_turn(image)
        except (Interrupted, TargetUnreachable):  # which says nothing of it
            raise
        except TargetError as fault:
            with suppress(TargetError):  # the first error is the one to report
                self._note(str(fault))
            raise
        self._note(None)

    def _note(self, fault: str | None) -> None:
        """Write down why it was not started, or that nothing kept it from that."""
        if fault == self._fault():
            return
        with self._records.edit():
            if fault is None:
                self._records.drop(FAULT, names.AUTOSCALER)
            else:
                self._records.put(FAULT, names.AUTOSCALER, fault)

    def _fault(self) -> str | None:
        noted = self._records.read(FAULT, names.AUTOSCALER)
        return noted.decode() if noted is not None else None

    def _settle_in_turn(self, image: str) -> None:
        if self._settled(image):
            return
        with self._records.lock("service"):  # a publication does this too, and other machines
            for tries_left in reversed(range(_TRIES)):
                try:
                    self._settle(image)
                except TargetError as fault:
                    if not tries_left or not _is_overtaken(fault):
                        raise
                else:
                    return

    def _settled(self, image: str) -> bool:
        """Whether it is there as it is wanted, or is not and is not wanted."""
        there, needs = self._listed(), needs_of(self._state)
        if not there and not needs:
            return True  # most workspaces: nothing else is asked
        socket = self._wanted_socket()
        if not socket:
            return not there
        return len(there) == 1 and _is_as_wanted(there[0], image, socket, needs)

    def _settle(self, image: str) -> None:
        """Look again, since another may have done it, and do what is to be done."""
        if self._settled(image):
            return
        socket = self._wanted_socket()
        if not needs_of(self._state).alerts and not unreadable_in(self._state):
            self._forget_alerts()
        self.remove()
        if socket:
            self._start(image, socket)

    def names_already(self, socket: str | None) -> bool:
        """Whether the workspace is recorded with this socket."""
        try:
            return self._socket() == socket
        except TargetError:
            return False

    def _wanted_socket(self) -> str | None:
        socket = self._socket()  # first: of a record that cannot be read, needs may not be known
        return socket if needs_of(self._state) else None

    def _listed(self) -> list[dict[str, Any]]:
        return listed(self._host, self._workspace, names.AUTOSCALER)

    def _ids(self) -> list[str]:
        return [str(one["Id"]) for one in self._listed()]

    def remove(self) -> None:
        """End it, so that it changes nothing any more; what it has written down stays."""
        for one in self._ids():
            self._host.remove(one)

    def _forget_alerts(self) -> None:
        """Have nothing of alerts that are gone outlive it: others may have their names later."""
        empty = packed({ALERTS: b"{}"})
        for one in self._ids():
            asked = "end", f"container {one}"
            with suppress(TargetError), self._host.asked(*asked) as api:  # it may have ended
                api.kill(one)  # first: it would write them down again
            with suppress(TargetError):  # somebody removes it too
                self._host.put_files(one, FOLDER, empty)

    def delete(self) -> None:
        """Remove it with what it has written down."""
        self.remove()
        for volume in self._host.volumes(self._selecting):
            self._host.remove_volume(volume)

    def _start(self, image: str, socket: str) -> None:
        from docker.types import Mount  # noqa: PLC0415 - as in `library.py`

        labels = names.labels(self._workspace, names.AUTOSCALER)
        needs = needs_of(self._state)
        more = {names.NAME: self._name, names.MADE_OF: image, names.SOCKET: socket}
        more[names.SENDS_LOGS] = _sends_logs(needs)
        # by a bind that is written as text, the Engine would make a folder of a path that is wrong
        mounts = [Mount(SOCKET, socket, type="bind"), Mount(FOLDER, self._name, type="volume")]
        if needs.logs:
            logs = Mount(CONTAINERS, f"{self._host.folder}/containers", type="bind", read_only=True)
            # what is mounted below, such as shared memory, is none of it
            logs["BindOptions"] = {"NonRecursive": True}
            mounts.append(logs)
        about = f"the {needs.name} of workspace '{self._workspace}'"
        with self._host.asked("start", about) as api:
            api.create_volume(self._name, labels=labels)
            made = api.create_container(
                image,
                ["python3", "-m", _MODULE, "docker", self._workspace],
                name=self._name,
                labels={**labels, **more},
                user="0:0",  # whose the socket is
                hostname=secrets.token_hex(6),  # by which it finds itself; else that of its host
                environment={
                    "DOCKER_HOST": f"unix://{SOCKET}",
                    names.ROLE_VARIABLE: names.AUTOSCALER,
                },
                host_config=api.create_host_config(
                    network_mode=_network(needs), mounts=mounts, userns_mode="host", **hardened()
                ),
            )
            api.start(made["Id"])

    # -- what it says --------------------------------------------------------------------------

    def told(self, is_taken: Callable[[int], bool] = lambda _port: True) -> Mapping[str, Any]:
        """Return what the status of the workspace's router says of it: fields of RouterStatus.

        `is_taken` says whether something listens on a port of the host's loopback.
        """
        needs = needs_of(self._state)
        if not needs:
            return {}
        with suppress(TargetError):  # of a record that cannot be read nothing is known
            if not self._socket():
                why = "the workspace names no engine_socket"
                return {"missing": f"no {needs.name} runs, because {why}: {needs.lost}"}
        container = next(filter(None, map(self._host.container, self._ids())), None)
        if container is None or not is_running(container):
            why = f"; its last start failed: {fault}" if (fault := self._fault()) else ""
            return {"missing": f"the {needs.name} does not run: {needs.lost}{why}"}
        ended = restarts(endings_of(container), _START_LIMIT_S, int(time.time() // 60))
        if keeps_dying(ended):
            said = " ".join(self._host.last_lines(container["Id"], 1).split())[-300:]
            state = f"ends again and again: {needs.lost}; it says: {said}"
            return {"missing": f"the {needs.name} {state}"}
        sent = [*self._said_of_metrics(needs.metrics, is_taken)] if needs.metrics else []
        if needs.logs:
            sent.append(described(needs.logs, read_sent(self._file(SENT_LOGS, b"{}"))))
        alerts = notes_of(self.alerts(), datetime.now(UTC)) if needs.alerts else {}
        unkept = self._unkept() if needs.rules else {}
        return {"beside": needs.running(sent), "unkept": unkept, "alerts": alerts}

    def _said_of_metrics(
        self, declared: MetricsSettings, is_taken: Callable[[int], bool]
    ) -> Iterator[str]:
        """Say where metrics are served, and what keeps them from going somewhere."""
        with suppress(ValueError):
            if faults := json.loads(self._file(METRICS, b"[]")):
                yield from map(str, faults)
                return
        if declared.port:
            verb = "" if is_taken(declared.port) else "start "
            yield f"metrics {verb}on 127.0.0.1:{declared.port}"

    def alerts(self) -> States:
        """Return how alerts stand, as it has written it down; nothing while it is not there."""
        return read_alerts(self._file(ALERTS, b"{}"))

    def events(self) -> Iterator[Event]:
        """Yield what happened to endpoints, as it has written it down, oldest first."""
        now = log_of(Path(FOLDER))
        files = self._files(str(now.parent))
        lines = chain(*(files.get(name, b"").splitlines() for name in (f"{now.name}.1", now.name)))
        for event in events_in(lines):
            with suppress(ValueError):  # of a newer release
                yield Event.model_validate(event)

    def _unkept(self) -> dict[str, str]:
        """Return why rules are not kept, by deployment."""
        faults = read(self._file(FAULTS, b"{}"))
        return {name: str(one) for name, one in faults.items()}

    def decisions(self) -> Iterator[str]:
        """Yield the lines of its log, oldest first."""
        files = self._files(FOLDER)
        for name in (f"{DECISIONS}.1", DECISIONS):
            yield from files.get(name, b"").decode("ascii", errors="replace").splitlines()

    def _file(self, name: str, otherwise: bytes) -> bytes:
        return self._files(f"{FOLDER}/{name}").get(name, otherwise)

    def _files(self, path: str) -> dict[str, bytes]:
        """Return the files at a path of the container, by name; none where it is not there."""
        archive = None
        with suppress(TargetError):
            archive = next((self._host.get_files(one, path) for one in self._ids()), None)
        if not archive:
            return {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as found:
            there = [one for one in found.getmembers() if one.isfile()]
            opened = ((one.name.rpartition("/")[2], found.extractfile(one)) for one in there)
            return {name: file.read() for name, file in opened if file is not None}


def _network(needs: Needs) -> str:
    return "host" if needs.connects else "none"


def _sends_logs(needs: Needs) -> str:
    return "yes" if needs.logs else ""


def _is_as_wanted(there: Mapping[str, Any], image: str, socket: str, needs: Needs) -> bool:
    """Whether it runs, or is started again and again, as it would be made now."""
    labels = there["Labels"]
    made = labels[names.MADE_OF], labels[names.SOCKET], there["HostConfig"]["NetworkMode"]
    same = made == (image, socket, _network(needs))
    reads = labels.get(names.SENDS_LOGS, "") == _sends_logs(needs)
    return there["State"] in ("running", "restarting") and same and reads


def _is_overtaken(fault: TargetError) -> bool:
    """Whether a client of an older release, which takes no lock, did the same meanwhile."""
    refused = fault.__cause__
    return isinstance(refused, errors().APIError) and refused.status_code in (
        _NOT_THERE,
        _NAME_TAKEN,
    )
