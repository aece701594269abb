"""The container that serves a workspace over HTTP: tokens of endpoints, and the console.

It has the Engine's socket, with which it is root of the host, so there is one only where the
workspace names that socket. It runs the image of the router, in the host's network: there callers
have their own addresses, and it listens on the very address that is declared. When it ends, nobody
gets new tokens, and all else goes on.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from inference_provider import __version__
from inference_provider.errors import Interrupted, TargetError, TargetUnreachable
from inference_provider.spec.service import ServiceSettings
from inference_provider.targets.docker import names
from inference_provider.targets.docker.autoscaler_run import listed, own_role
from inference_provider.targets.docker.containers import altered, hardened, is_running
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.web_service import pages_of, service_of
from inference_provider.workspace.state import State

FOLDER, LISTENING = "/service", "listening"
"""Where it keeps keys that it has fetched, and a file there while it listens."""
SOCKET = "/run/engine.sock"
"""Where the container has the Engine's."""
FAULT = "fault"
"""Section of the records: why something does not run beside the workspace's router."""
_MODULE = "inference_provider.web"
"""By its name: it stands on targets."""
_START_S, _LOOK_S, _STOP_S = 20.0, 0.2, 10.0
_UNLISTENED, _TAKEN = "cannot be listened on", "Address already in use"
"""What it says of its port, in its log."""


class Web:
    """Makes and removes the container of one workspace, and tells how it is.

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
        self._name = names.web(records.workspace)

    def settle(self, image: str) -> None:
        """Have it run where it is declared, and wait until it listens, as far as it does soon.

        Args:
            image: Id of the image that it is to run.

        Raises:
            TargetError: The Engine does not start it. What it says is noted for the status.
        """
        if own_role() == names.WEB or self._is_settled(image):  # it ends no change of its own
            return
        try:
            with self._records.lock(names.WEB):  # other publications do this too
                started = not self._is_settled(image) and self._replace(image)
        except (Interrupted, TargetUnreachable):  # which says nothing of it
            raise
        except TargetError as fault:
            with suppress(TargetError):  # the first error is the one to report
                self._note(str(fault))
            raise
        self._note(None)
        if started:
            self._wait()

    def _wanted(self) -> tuple[ServiceSettings, str] | None:
        settings = service_of(self._state)
        socket = self._socket() if settings else None
        return (settings, socket) if settings and socket else None

    def _is_settled(self, image: str) -> bool:
        there, wanted = listed(self._host, self._workspace, names.WEB), self._wanted()
        if wanted is None:
            return not there
        return len(there) == 1 and self._is_as_wanted(there[0], image, *wanted)

    def _is_as_wanted(
        self, there: Mapping[str, Any], image: str, settings: ServiceSettings, socket: str
    ) -> bool:
        """Whether it runs, or is started again and again, as it would be made now."""
        made = [there["Labels"].get(one) for one in (names.MADE_OF, names.SOCKET, names.GIVEN)]
        same = made == [image, socket, json.dumps(self._given(settings))]
        runs = there["State"] in ("running", "restarting")
        return runs and same and not altered(self._host.container(there["Id"]))

    def _given(self, settings: ServiceSettings) -> list[str]:
        scheme = "https" if self._state.speaks_tls() else "http"
        place = (settings.bind_address, str(settings.port), scheme)
        return ["docker", self._workspace, *place, pages_of(settings), __version__]

    def _replace(self, image: str) -> bool:
        """Make it as it is wanted; return whether it was started."""
        self.remove()
        wanted = self._wanted()
        if wanted is not None:
            self._start(image, *wanted)
        return wanted is not None

    def remove(self) -> None:
        """End it, so that it writes down how many calls it has refused; what it keeps stays."""
        for one in listed(self._host, self._workspace, names.WEB):
            self._host.stop(str(one["Id"]), _STOP_S)

    def delete(self) -> None:
        """Remove it with what it keeps."""
        self.remove()
        for volume in self._host.volumes(dict(names.selecting(self._workspace, names.WEB))):
            self._host.remove_volume(volume)

    def _start(self, image: str, settings: ServiceSettings, socket: str) -> None:
        from docker.types import Mount  # noqa: PLC0415 - as in `library.py`

        labels, given = names.labels(self._workspace, names.WEB), self._given(settings)
        more = {names.NAME: self._name, names.MADE_OF: image, names.SOCKET: socket}
        more[names.GIVEN] = json.dumps(given)
        # by a bind that is written as text, the Engine would make a folder of a path that is wrong
        mounts = [Mount(SOCKET, socket, type="bind"), Mount(FOLDER, self._name, type="volume")]
        with self._host.asked("start", f"the service of workspace '{self._workspace}'") as api:
            api.create_volume(self._name, labels=labels)
            made = api.create_container(
                image,
                ["python3", "-m", _MODULE, *given],
                name=self._name,
                labels={**labels, **more},
                user="0:0",  # whose the socket is
                hostname=secrets.token_hex(6),  # by which it finds itself; else that of its host
                environment={"DOCKER_HOST": f"unix://{SOCKET}", names.ROLE_VARIABLE: names.WEB},
                host_config=api.create_host_config(
                    network_mode="host", mounts=mounts, userns_mode="host", **hardened()
                ),
            )
            api.start(made["Id"])

    def _wait(self) -> None:
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s:
            there = self._container()
            if there is None or there["RestartCount"] or self._listens(there):
                return
            if _UNLISTENED in self._said(there):
                return
            time.sleep(_LOOK_S)

    def _container(self) -> dict[str, Any] | None:
        ids = (str(one["Id"]) for one in listed(self._host, self._workspace, names.WEB))
        return next(filter(None, map(self._host.container, ids)), None)

    def _listens(self, container: Mapping[str, Any]) -> bool:
        path = f"{FOLDER}/{LISTENING}"
        return is_running(container) and self._host.stat(container["Id"], path) is not None

    def _said(self, container: Mapping[str, Any]) -> str:
        return " ".join(self._host.last_lines(container["Id"], 1).split())[-300:]

    def _note(self, fault: str | None) -> None:
        """Write down why it was not started, or that nothing kept it from that."""
        if fault == self._fault():
            return
        with self._records.edit():
            if fault is None:
                self._records.drop(FAULT, names.WEB)
            else:
                self._records.put(FAULT, names.WEB, fault)

    def _fault(self) -> str | None:
        noted = self._records.read(FAULT, names.WEB)
        return noted.decode() if noted is not None else None

    # -- what it says --------------------------------------------------------------------------

    def told(self) -> Mapping[str, str]:
        """Return what the status of the workspace's router says of it: fields of RouterStatus."""
        settings = service_of(self._state)
        if settings is None:
            return {}
        host = settings.bind_address
        place = f"{f'[{host}]' if ':' in host else host}:{settings.port}"
        container = self._container()
        if container is not None and self._listens(container):
            scheme = "https" if self._state.speaks_tls() else "http"
            return {"beside": f"service on {scheme}://{place}"}
        return {"missing": f"the service on {place} does not run: {self._why(container)}"}

    def _why(self, container: Mapping[str, Any] | None) -> str:
        with suppress(TargetError):  # of a record that cannot be read nothing is known
            if not self._socket():
                return "the workspace names no engine_socket"
        if container is None or not is_running(container):
            fault = self._fault()
            state = "its container is not there" if container is None else "its container ended"
            return f"its last start failed: {fault}" if fault else f"{state}; apply the workspace"
        said = self._said(container)
        if _TAKEN in said:
            remedy = "end that, or use another service.port"
            return f"the port is taken by another process; {remedy}"
        return f"it says: {said}" if said else f"it starts; its log is that of {self._name}"
