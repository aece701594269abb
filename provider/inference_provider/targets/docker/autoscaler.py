"""The container with the service of a workspace on a Docker host.

It keeps autoscale rules, moves splits that are on their way, and has metrics go where the workspace
declares it. It has the Engine's socket, with which it is root of the host, so there is one only
where the workspace names that socket. It runs the image of the router: in no network, or in the
host's while metrics are declared, since the page and most collectors are on that one's loopback.
When it ends, counts and splits stay as they are. What it is called is from when it did nothing but
to keep rules.
"""

import io
import json
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from inference_provider.errors import Interrupted, TargetError, TargetUnreachable
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.docker import names
from inference_provider.targets.docker.autoscaler_run import is_the_autoscaler, listed
from inference_provider.targets.docker.containers import endings_of, hardened, is_running
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.library import errors
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.rule_faults import read
from inference_provider.targets.service_needs import metrics_of, needs_of
from inference_provider.workspace.endings import keeps_dying, restarts
from inference_provider.workspace.state import State

FOLDER, DECISIONS, FAULTS = "/service", "decisions.jsonl", "faults.json"
METRICS = "metrics.json"
"""File with what keeps metrics from going somewhere: sentences."""
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
        there = self._listed()
        if not there and not needs_of(self._state):
            return True  # most workspaces: nothing else is asked
        socket = self._wanted_socket()
        if not socket:
            return not there
        return len(there) == 1 and _is_as_wanted(there[0], image, socket, self._network())

    def _settle(self, image: str) -> None:
        """Look again, since another may have done it, and do what is to be done."""
        if self._settled(image):
            return
        socket = self._wanted_socket()
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

    def _network(self) -> str:
        return "host" if metrics_of(self._state) else "none"

    def _listed(self) -> list[dict[str, Any]]:
        return listed(self._host, self._workspace)

    def _ids(self) -> list[str]:
        return [str(one["Id"]) for one in self._listed()]

    def remove(self) -> None:
        """End it, so that it changes nothing any more; what it has written down stays."""
        for one in self._ids():
            self._host.remove(one)

    def delete(self) -> None:
        """Remove it with what it has written down."""
        self.remove()
        for volume in self._host.volumes(self._selecting):
            self._host.remove_volume(volume)

    def _start(self, image: str, socket: str) -> None:
        from docker.types import Mount  # noqa: PLC0415 - as in `library.py`

        labels = names.labels(self._workspace, names.AUTOSCALER)
        more = {names.NAME: self._name, names.MADE_OF: image, names.SOCKET: socket}
        # by a bind that is written as text, the Engine would make a folder of a path that is wrong
        mounts = [Mount(SOCKET, socket, type="bind"), Mount(FOLDER, self._name, type="volume")]
        about = f"the {needs_of(self._state).name} of workspace '{self._workspace}'"
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
                    network_mode=self._network(), mounts=mounts, userns_mode="host", **hardened()
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
        metrics = self._said_of_metrics(needs.metrics, is_taken) if needs.metrics else ()
        return {"beside": needs.running(metrics), "unkept": self._unkept() if needs.rules else {}}

    def _said_of_metrics(
        self, declared: MetricsSettings, is_taken: Callable[[int], bool]
    ) -> Iterator[str]:
        """Say where metrics are served, and what keeps them from going somewhere."""
        with suppress(ValueError):
            if faults := json.loads(self._files(f"{FOLDER}/{METRICS}").get(METRICS, b"[]")):
                yield from map(str, faults)
                return
        if declared.port:
            verb = "" if is_taken(declared.port) else "start "
            yield f"metrics {verb}on 127.0.0.1:{declared.port}"

    def _unkept(self) -> dict[str, str]:
        """Return why rules are not kept, by deployment."""
        faults = read(self._files(f"{FOLDER}/{FAULTS}").get(FAULTS, b"{}"))
        return {name: str(one) for name, one in faults.items()}

    def decisions(self) -> Iterator[str]:
        """Yield the lines of its log, oldest first."""
        files = self._files(FOLDER)
        for name in (f"{DECISIONS}.1", DECISIONS):
            yield from files.get(name, b"").decode("ascii", errors="replace").splitlines()

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


def _is_as_wanted(there: Mapping[str, Any], image: str, socket: str, network: str) -> bool:
    """Whether it runs, or is started again and again, as it would be made now."""
    labels = there["Labels"]
    made = labels[names.MADE_OF], labels[names.SOCKET], there["HostConfig"]["NetworkMode"]
    return there["State"] in ("running", "restarting") and made == (image, socket, network)


def _is_overtaken(fault: TargetError) -> bool:
    """Whether a client of an older release, which takes no lock, did the same meanwhile."""
    refused = fault.__cause__
    return isinstance(refused, errors().APIError) and refused.status_code in (
        _NOT_THERE,
        _NAME_TAKEN,
    )
