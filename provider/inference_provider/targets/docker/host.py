"""A Docker host: the Engine's API, with errors of ours in place of the library's.

Every other module of this target talks to Docker through here. A call that fails because the host
does not answer raises TargetUnreachable, whatever it was.
"""

import base64
import functools
import json
import socket as sockets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from inference_provider.errors import InferenceError, OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.spec.target import Place
from inference_provider.targets.docker.address import address_of
from inference_provider.targets.docker.conversation import Command, Conversation, Conversations
from inference_provider.targets.docker.library import errors
from inference_provider.targets.docker.ssh import Tunnel
from inference_provider.workspace.logged import LogLine

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")

TIMEOUT_S = 120
OLDEST_API = (1, 40)
_FULL = {
    "no space left": "free some space on the host and run this again",
    "address pool": "remove unused networks, or give the Engine more `default-address-pools`",
}
"""What the Engine says when the host has no more of something, and what to do."""
_REFUSED = {
    "error setting rlimit": "lower resources.ulimits: the Engine itself has no more",
    "bind source path does not exist": (
        "set the workspace's engine_socket to where its Engine's socket is on the host"
    ),
}
"""What the Engine says of what it may not give, and what to do."""
_NOT_THERE = ("is not running", "is paused", "is restarting", "No such container", "No such exec")
"""What the Engine says of a container, or a command in it, that cannot be asked now."""
_PODMAN = "Podman"
"""It gives an imported image another tag, and lists containers without their network (4.3.1)."""
_REMOVING = "already in progress"
_SHOWN = 400
"""Characters of what the Engine says that an error quotes."""


class DockerHost:
    """One Docker Engine."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._opening = threading.RLock()
        self._api: APIClient | None = None
        self._conversations = Conversations()
        self._tunnel: Tunnel | None = None

    def __str__(self) -> str:
        return f"Docker host {self.url}"

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        return address_of(self.place)[0]

    @property
    def hostname(self) -> str:
        """Its name for a client elsewhere; empty when it is this machine."""
        url = self.url
        if url.startswith(("unix:", "http+unix:")):
            return ""
        return urlsplit(url).hostname or ""

    def close(self) -> None:
        """Close the connections to the Engine, if there are any."""
        with self._opening:
            api, tunnel, self._api, self._tunnel = self._api, self._tunnel, None, None
        self._conversations.close()
        if api is not None:
            api.close()
        if tunnel is not None:
            tunnel.close()

    @property
    def api(self) -> "APIClient":
        """The Engine's API; connects when it is first used, and again when ssh has ended.

        Raises:
            TargetUnreachable: Nothing answers, or this user may not ask.
            TargetError: The Engine is too old.
        """
        with self._opening:
            if self._tunnel is not None and not self._tunnel.runs():
                self.close()
            if self._api is None:
                self._api = self._opened()
            return self._api

    def _opened(self) -> "APIClient":
        url, tls = address_of(self.place)
        if url.startswith("ssh://"):
            self._tunnel = Tunnel(url)
            url = self._tunnel.url
        try:
            _try_socket(url)
            client = _connected(url, tls)
            parts = client.version().get("Components") or ()
        except errors().InvalidVersion as fault:
            raise self._too_old("is older than the library knows") from fault
        except (errors().DockerException, OSError) as fault:
            raise self._unreachable(fault) from fault
        known = tuple(int(part) for part in str(client.api_version).split("."))
        if known < OLDEST_API:
            raise self._too_old(f"is {client.api_version}")
        if any(_PODMAN in str(part.get("Name")) for part in parts):
            reason = "it is Podman, whose API lacks what this needs"
            raise TargetError("use", str(self), reason, "name a host with a Docker Engine")
        return client

    def _too_old(self, version: str) -> TargetError:
        reason = f"its API {version}; this needs {'.'.join(map(str, OLDEST_API))} or newer"
        return TargetError("use", str(self), reason, "update the Docker Engine")

    def _unreachable(self, fault: BaseException) -> TargetUnreachable:
        said = _why(fault)
        if "permission denied" in said.lower():
            remedy = "add this user to the group 'docker', or name another host"
            return TargetUnreachable("open", str(self), "permission denied on its socket", remedy)
        if self._tunnel is not None and (cause := self._tunnel.cause()):
            said = f"{said} (ssh: {cause})"
        remedy = "start the Engine, or name the right host or context in `target`"
        if "HTTPS server" in said:
            remedy = "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the certificates' folder"
        return TargetUnreachable("open", str(self), said[:_SHOWN], remedy)

    @contextmanager
    def asked(self, operation: str, resource: str) -> Iterator["APIClient"]:
        """Ask the Engine; its errors become ours.

        Args:
            operation: What is done, for the error.
            resource: With what.
        """
        # only this target needs them
        from requests.exceptions import RequestException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - of what is read as it comes

        try:
            yield self.api
        except errors().APIError as fault:
            said = str(fault.explanation or fault)[:_SHOWN].strip()
            for sign, remedy in _FULL.items():
                if sign in said:
                    raise OutOfCapacity(operation, resource, said, remedy, str(self)) from fault
            if any(sign in said for sign in _NOT_THERE):
                raise TargetUnreachable(operation, resource, said, "run this again") from fault
            remedy = next((do for sign, do in _REFUSED.items() if sign in said), "")
            raise TargetError(operation, resource, said, remedy, str(self)) from fault
        except (RequestException, HTTPError, errors().DockerException, OSError) as fault:
            raise self._unreachable(fault) from fault

    def _unless_gone(self, operation: str, resource: str, ask: Callable[[Any], T]) -> T | None:
        """Return what the Engine answers; None where it has no such thing."""
        with self.asked(operation, resource) as api, suppress(errors().NotFound):
            return ask(api)
        return None

    @property
    def cores(self) -> int:
        """Cores that the Engine may give to containers."""
        return int(self._info["NCPU"])

    @property
    def memory(self) -> int:
        """Bytes of memory of the Engine's machine."""
        return int(self._info["MemTotal"])

    @property
    def folder(self) -> str:
        """Where the Engine keeps its volumes, images and containers on its host."""
        return str(self._info.get("DockerRootDir") or "/")

    @property
    def id(self) -> str:
        """Its own id: an Engine keeps what it finds, so a clone of its machine has the same one."""
        return str(self._info.get("ID") or "")

    @functools.cached_property
    def _info(self) -> Mapping[str, Any]:
        with self.asked("ask", str(self)) as api:
            return cast("Mapping[str, Any]", api.info())

    # -- containers ----------------------------------------------------------------------------

    def containers(self, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the containers that a filter finds, stopped ones too, in one call."""
        with self.asked("list", "containers") as api:
            return cast("list[dict[str, Any]]", api.containers(all=True, filters=dict(filters)))

    def container(self, name: str) -> dict[str, Any] | None:
        """Return what the Engine says of one container; None when there is none."""
        asked = "inspect", f"container {name}"
        return self._unless_gone(*asked, lambda api: api.inspect_container(name))

    def remove(self, container: str) -> None:
        """Remove a container, running or not, and its unnamed volumes.

        It need not exist, and another client may be removing it.
        """
        with self.asked("remove", f"container {container}") as api:
            try:
                api.remove_container(container, force=True, v=True)
            except errors().APIError as refused:
                if refused.status_code != 404 and _REMOVING not in str(refused.explanation):
                    raise

    def stop(self, container: str, wait_s: float) -> None:
        """End a container and remove it, if it exists; after `wait_s` seconds it is killed."""
        limit_s = int(wait_s)
        asked = "stop", f"container {container}"
        self._unless_gone(*asked, lambda api: api.stop(container, timeout=limit_s))
        self.remove(container)

    def last_lines(
        self, container: str, count: int, *, timed: bool = False, since: datetime | None = None
    ) -> str:
        """Return the last lines that a container printed; empty when there is none.

        `timed` puts its time before each.
        """
        said = self._unless_gone(
            "read the log of",
            f"container {container}",
            lambda api: api.logs(container, tail=count, timestamps=timed, since=since),
        )
        return (said or b"").decode(errors="replace")

    def follow(self, name: str, id_: str) -> Iterator[LogLine]:
        """Yield each new line of a container until it has ended, or nobody knows it any more."""
        with suppress(Exception), self.asked("read the log of", f"container {name}") as api:
            said = api.logs(id_, stream=True, follow=True, tail=0, timestamps=True)
            for line in _lines(said):
                yield timed(name, line)

    def remove_volume(self, name: str) -> None:
        """Remove a volume, if it exists; nothing may use it any more."""
        self._unless_gone("remove", f"volume {name}", lambda api: api.remove_volume(name))

    def volumes(self, filters: Mapping[str, Any]) -> list[str]:
        """Return the names of the volumes that a filter finds."""
        with self.asked("list", "volumes") as api:
            return [volume["Name"] for volume in api.volumes(dict(filters))["Volumes"] or ()]

    def image_ids(self) -> list[str]:
        """Return the ids of all images."""
        with self.asked("list", "images") as api:
            return [image["Id"] for image in api.images()]

    def has_volume(self, name: str) -> bool:
        """Whether the host has a volume of this name."""
        asked = "inspect", f"volume {name}"
        return self._unless_gone(*asked, lambda api: api.inspect_volume(name)) is not None

    def has_image(self, name: str) -> bool:
        """Whether the host has an image."""
        return self.image(name) is not None

    def image(self, name: str) -> dict[str, Any] | None:
        """Return what the Engine says of an image; None when the host does not have it."""
        return self._unless_gone("inspect", f"image {name}", lambda api: api.inspect_image(name))

    # -- files in a container --------------------------------------------------------------------

    def put_files(self, container: str, folder: str, archive: bytes | Iterable[bytes]) -> None:
        """Unpack an archive in a folder of a container, which need not run.

        A file of the same name is replaced, but not at once: readers may see it missing or short.
        """
        with self.asked("write to", f"container {container}") as api:
            api.put_archive(container, folder, archive)

    def get_files(self, container: str, folder: str) -> bytes | None:
        """Return an archive of a folder of a container; None when there is no such folder."""
        # to the end: a stream that stalls blocks everything else on this container
        return self._unless_gone(
            "read from",
            f"container {container}",
            lambda api: b"".join(api.get_archive(container, folder)[0]),
        )

    def stat(self, container: str, path: str) -> dict[str, Any] | None:
        """Return `size` and `mtime` of a file or folder of a container; None when there is none."""
        with self.asked("read from", f"container {container}") as api:
            url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
            answer = api.head(url, params={"path": path}, timeout=TIMEOUT_S)
        told = answer.headers.get("X-Docker-Container-Path-Stat")
        return cast("dict[str, Any]", json.loads(base64.b64decode(told))) if told else None

    def ask(self, command: Command, line: bytes, limit_s: float, *, again: bool = False) -> bytes:
        """Ask a command in a running container that answers each line with a line.

        Args:
            command: Which one.
            line: What it reads from stdin, whose end does not follow.
            limit_s: How long its answer may take, seconds.
            again: Whether one may be asked that runs already: in a paused container none answers.

        Returns:
            Its answer; without a line's end it has ended, or was too late.
        """
        with self.asked("run a command in", f"container {command.container}") as api:
            one = self._conversations.take(command) if again else None
            one = one or _started(api, command)
            try:
                said = one.answer(line, limit_s)
            except TimeoutError:
                return f"nothing within {limit_s:g} s".encode()
            finally:
                self._conversations.keep(one)
            if not said.endswith(b"\n"):
                api.exec_inspect(one.id)  # tells that the container or the Engine has ended
            return said


def _started(api: "APIClient", command: Command) -> Conversation:
    made = api.exec_create(command.container, list(command.words), stdin=True, tty=False)
    return Conversation(command, made["Id"], api.exec_start(made["Id"], socket=True))


def timed(name: str, line: str) -> LogLine:
    """Return a line of a container, before which the Engine has put its time."""
    time, _, text = line.partition(" ")
    try:
        began = datetime.fromisoformat(time)
    except ValueError:
        return LogLine(name, line)
    return LogLine(name, text.rstrip("\r"), began) if began.tzinfo else LogLine(name, line)


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines of a stream that comes in parts of any size."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


def _connected(url: str, tls: Any) -> "APIClient":
    from docker import APIClient  # noqa: PLC0415 - as above

    class Client(APIClient):
        def merge_environment_settings(
            self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
        ) -> Any:
            # else $REQUESTS_CA_BUNDLE would take the place of the Engine's own CA
            found = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, found, cert)

    return Client(base_url=url, tls=tls, version="auto", timeout=TIMEOUT_S, num_pools=64)


def _try_socket(url: str) -> None:
    """Raise OSError for a Unix socket on which nobody listens; the library's own try leaks."""
    if url.startswith("unix://"):
        with sockets.socket(sockets.AF_UNIX) as tried:
            tried.connect(url.removeprefix("unix://"))


def _why(fault: BaseException) -> str:
    """Return, in one line, what the error at the bottom says, or what an Engine answered."""
    causes: list[BaseException] = [fault]
    while (inner := _cause_of(causes[-1])) and len(causes) < 10:
        causes.append(inner)
    told = (getattr(cause, "explanation", None) for cause in causes)
    last, explained = causes[-1], str(next((text for text in told if text), ""))
    if _is_no_answer_of_an_engine(last) and "HTTPS server" not in explained:
        return "what answers there is no Docker Engine"
    said = last.strerror if isinstance(last, OSError) and last.strerror else str(last)
    return " ".join((explained or said or str(fault)).split())


def _cause_of(fault: BaseException) -> BaseException | None:
    inner = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    # what comes of cleaning up has an error before it, which is not its cause
    return None if isinstance(inner, InferenceError) else inner


def _is_no_answer_of_an_engine(fault: BaseException) -> bool:
    """Whether something answered, and not as an Engine does."""
    from requests.exceptions import HTTPError  # noqa: PLC0415 - as above

    if isinstance(fault, OSError) and not isinstance(fault, HTTPError):
        return False  # a certificate that is not trusted is a ValueError, too
    return isinstance(fault, ValueError | KeyError | TypeError | HTTPError)
