"""A container beside the router of a workspace that has the Engine's socket: how each is kept.

With the socket it is root of the host, so there is one only where the workspace names it. It runs
the image of the router, keeps what it writes in a volume of its own, and is made again where it is
not as it would be made now. Its end takes nothing else with it.
"""

import io
import secrets
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from inference_provider.errors import Interrupted, TargetError, TargetUnreachable
from inference_provider.targets.docker import names
from inference_provider.targets.docker.autoscaler_run import listed, own_role
from inference_provider.targets.docker.containers import hardened
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.library import errors
from inference_provider.targets.docker.records import HostRecords
from inference_provider.workspace.state import State

FOLDER = "/service"
"""Where it keeps what it writes down."""
SOCKET = "/run/engine.sock"
"""Where the container has the Engine's."""
FAULT = "fault"
"""Section of the records: why something does not run beside the workspace's router."""
_TRIES = 3
_NOT_THERE, _NAME_TAKEN = 404, 409


@dataclass(frozen=True)
class Making:
    """What a container is made of, beside what all have."""

    about: str
    """What it is, for errors."""
    arguments: tuple[str, ...]
    """Of `python3`."""
    network: str
    """Mode of its network."""
    labels: Mapping[str, str]
    mounts: tuple[Any, ...] = ()


class Companion(ABC):
    """Makes and removes the container of one workspace.

    Args:
        host: Where it is.
        records: The workspace's.
        socket: Returns the path of the Engine's socket on its host, if the workspace names it;
            raises TargetError where its record cannot be read.
    """

    role, lock, name_of = "", "", staticmethod(names.autoscaler)
    """What it is, the lock under which it is made, and how it is called, by workspace."""

    def __init__(
        self, host: DockerHost, records: HostRecords, socket: Callable[[], str | None]
    ) -> None:
        self._host = host
        self._records = records
        self._workspace = records.workspace
        self._state = State(records)
        self._socket = socket
        self._name = self.name_of(records.workspace)

    # -- of each -------------------------------------------------------------------------------

    @abstractmethod
    def _is_needed(self) -> bool:
        """Whether the workspace declares what it is for."""

    @abstractmethod
    def _making(self) -> Making:
        """Return how it is made now."""

    @abstractmethod
    def _fits(self, there: Mapping[str, Any]) -> bool:
        """Whether a container of this image, with this socket, is else as it would be made now."""

    def _end(self, container: str) -> None:
        self._host.remove(container)

    def _before_another(self) -> None:  # noqa: B027 - most need no preparation
        """Prepare for the end of one that is removed or replaced."""

    def wait(self) -> None:  # noqa: B027 - not all are worth waiting for
        """Wait for one that was started, if that is worth it; outside of any edit.

        It may begin once what it is made for is recorded.
        """

    # -- made and removed ----------------------------------------------------------------------

    def settle(self, image: str) -> bool:
        """Have it run where it is needed and the socket is named; and only there.

        Args:
            image: Id of the image that it is to run.

        Returns:
            Whether it was started.

        Raises:
            TargetError: The Engine does not start it, or the workspace's record cannot be read,
                and then nothing has changed. What it says is noted for the status.
        """
        if own_role() == self.role:  # it ends no change of its own
            return False
        try:
            started = self._settle_in_turn(image)
        except (Interrupted, TargetUnreachable):  # which says nothing of it
            raise
        except TargetError as fault:
            with suppress(TargetError):  # the first error is the one to report
                self._note(str(fault))
            raise
        self._note(None)
        return started

    def names_already(self, socket: str | None) -> bool:
        """Whether the workspace is recorded with this socket."""
        try:
            return self._socket() == socket
        except TargetError:
            return False

    def remove(self) -> None:
        """End it, so that it changes nothing any more; what it has written down stays."""
        for one in self._ids():
            self._end(one)

    def delete(self) -> None:
        """Remove it with what it has written down."""
        self.remove()
        for volume in self._host.volumes(dict(names.selecting(self._workspace, self.role))):
            self._host.remove_volume(volume)

    def _settle_in_turn(self, image: str) -> bool:
        """Settle it; return whether it was started."""
        if self._settled(image):
            return False
        with self._records.lock(self.lock):  # a publication does this too, and other machines
            for tries_left in reversed(range(_TRIES)):
                try:
                    return self._settle(image)
                except TargetError as fault:
                    if not tries_left or not _is_overtaken(fault):
                        raise
        return False

    def _settled(self, image: str) -> bool:
        """Whether it is there as it is wanted, or is not and is not wanted."""
        there = self._listed()
        if not there and not self._is_needed():
            return True  # most workspaces: nothing else is asked
        socket = self._wanted_socket()
        if not socket:
            return not there
        return len(there) == 1 and self._is_as_wanted(there[0], image, socket)

    def _settle(self, image: str) -> bool:
        """Look again, since another client may have settled it; return whether it was started."""
        if self._settled(image):
            return False
        socket = self._wanted_socket()
        self._before_another()
        self.remove()
        if socket:
            self._start(image, socket)
        return socket is not None

    def _wanted_socket(self) -> str | None:
        socket = self._socket()  # first: of a record that cannot be read, needs may not be known
        return socket if self._is_needed() else None

    def _is_as_wanted(self, there: Mapping[str, Any], image: str, socket: str) -> bool:
        """Whether it runs, or is started again and again, as it would be made now."""
        labels = there["Labels"]
        same = (labels[names.MADE_OF], labels[names.SOCKET]) == (image, socket)
        return there["State"] in ("running", "restarting") and same and self._fits(there)

    def _listed(self) -> list[dict[str, Any]]:
        return listed(self._host, self._workspace, self.role)

    def _ids(self) -> list[str]:
        return [str(one["Id"]) for one in self._listed()]

    def _start(self, image: str, socket: str) -> None:
        from docker.types import Mount  # noqa: PLC0415 - as in `library.py`

        labels, making = names.labels(self._workspace, self.role), self._making()
        more = {names.NAME: self._name, names.MADE_OF: image, names.SOCKET: socket}
        # by a bind that is written as text, the Engine would make a folder of a path that is wrong
        mounts = [Mount(SOCKET, socket, type="bind"), Mount(FOLDER, self._name, type="volume")]
        with self._host.asked("start", making.about) as api:
            api.create_volume(self._name, labels=labels)
            made = api.create_container(
                image,
                ["python3", *making.arguments],
                name=self._name,
                labels={**labels, **more, **making.labels},
                user="0:0",  # whose the socket is
                hostname=secrets.token_hex(6),  # by which it finds itself; else that of its host
                environment={"DOCKER_HOST": f"unix://{SOCKET}", names.ROLE_VARIABLE: self.role},
                host_config=api.create_host_config(
                    network_mode=making.network,
                    mounts=[*mounts, *making.mounts],
                    userns_mode="host",
                    **hardened(),
                ),
            )
            api.start(made["Id"])

    # -- what it has written down --------------------------------------------------------------

    def _file(self, name: str, otherwise: bytes) -> bytes:
        return self._files(f"{FOLDER}/{name}").get(name, otherwise)

    def _files(self, path: str) -> dict[str, bytes]:
        """Return the files at a path of the container, by name.

        None where it is not there or they cannot be read.
        """
        with suppress(TargetError):
            found = self._archived(path)
            return {name.rpartition("/")[2]: content for name, (content, _) in found.items()}
        return {}

    def _archived(self, path: str) -> dict[str, tuple[bytes, float]]:
        """Return the files at a path of the container and when they were written.

        In seconds since 1970, by their paths, which begin with the last part of that path. None
        where it is not there.

        Raises:
            TargetError: They cannot be read.
        """
        archive = next((self._host.get_files(one, path) for one in self._ids()), None)
        if not archive:
            return {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as found:
            there = [one for one in found.getmembers() if one.isfile()]
            opened = ((one, found.extractfile(one)) for one in there)
            return {one.name: (file.read(), float(one.mtime)) for one, file in opened if file}

    # -- what kept it from running -------------------------------------------------------------

    def _container(self) -> dict[str, Any] | None:
        return next(filter(None, map(self._host.container, self._ids())), None)

    def _said(self, container: Mapping[str, Any]) -> str:
        """Return the last line of its log."""
        return " ".join(self._host.last_lines(container["Id"], 1).split())[-300:]

    def _note(self, fault: str | None) -> None:
        """Write down why it was not started, or that nothing kept it from that."""
        if fault == self._fault():
            return
        with self._records.edit():
            if fault is None:
                self._records.drop(FAULT, self.role)
            else:
                self._records.put(FAULT, self.role, fault)

    def _fault(self) -> str | None:
        noted = self._records.read(FAULT, self.role)
        return noted.decode() if noted is not None else None


def _is_overtaken(fault: TargetError) -> bool:
    """Whether a client of an older release, which takes no lock, did the same meanwhile."""
    refused = fault.__cause__
    return isinstance(refused, errors().APIError) and refused.status_code in (
        _NOT_THERE,
        _NAME_TAKEN,
    )
