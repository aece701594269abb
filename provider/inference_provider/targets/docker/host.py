"""A Docker host: the Engine's API, with errors of ours in place of the library's.

Every other module of this target talks to Docker through here. A call that fails because the host
does not answer raises TargetUnreachable, whatever it was.
"""

import functools
import os
import queue
import socket as sockets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from inference_provider.errors import OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.spec.target import DockerPlace, Place, docker_host_fault
from inference_provider.targets.docker.ssh import Tunnel

if TYPE_CHECKING:
    from docker import APIClient

TIMEOUT_S = 120
OLDEST_API = (1, 40)
_NOT_THERE = ("is not running", "is paused", "is restarting", "No such container")
"""What the Engine says of a container that cannot be asked now."""
_SHOWN = 400
"""Characters of what the Engine says that an error quotes."""
_CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")


class DockerHost:
    """One Docker Engine."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._tunnel: Tunnel | None = None

    def __str__(self) -> str:
        return f"Docker host {self.url}"

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        return _url(self.place)[0]

    @property
    def hostname(self) -> str:
        """Its name for a client elsewhere; empty when it is this machine."""
        url = self.url
        if url.startswith(("unix:", "http+unix:")):
            return ""
        return url.partition("://")[2].rpartition("@")[2].partition(":")[0].partition("/")[0]

    def close(self) -> None:
        """Close the connections to the Engine, if there are any."""
        if "api" in self.__dict__:
            self.api.close()
        if self._tunnel is not None:
            self._tunnel.close()

    @functools.cached_property
    def api(self) -> "APIClient":
        """The Engine's API; connects when it is first used.

        Raises:
            TargetUnreachable: Nothing answers, or this user may not ask.
            TargetError: The Engine is too old.
        """
        # only this target needs it
        from docker.errors import DockerException, InvalidVersion  # noqa: PLC0415

        url, tls = _url(self.place)
        if url.startswith("ssh://"):
            self._tunnel = Tunnel(url)
            url = self._tunnel.url
        try:
            _try_socket(url)
            client = _connected(url, tls)
        except InvalidVersion as fault:
            raise self._too_old("is older than the library knows") from fault
        except (DockerException, OSError) as fault:
            raise self._unreachable(fault) from fault
        known = tuple(int(part) for part in str(client.api_version).split("."))
        if known < OLDEST_API:
            raise self._too_old(f"is {client.api_version}")
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
        from docker.errors import APIError, DockerException  # noqa: PLC0415 - as above
        from requests.exceptions import RequestException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - of what is read as it comes

        try:
            yield self.api
        except APIError as fault:
            said = str(fault.explanation or fault)[:_SHOWN].strip()
            if "no space left" in said:
                remedy = "free some space on the host and run this again"
                raise OutOfCapacity(operation, resource, said, remedy, str(self)) from fault
            if any(sign in said for sign in _NOT_THERE):
                raise TargetUnreachable(operation, resource, said, "run this again") from fault
            raise TargetError(operation, resource, said, "", str(self)) from fault
        except (RequestException, HTTPError, DockerException, OSError) as fault:
            raise self._unreachable(fault) from fault

    # -- containers ----------------------------------------------------------------------------

    def containers(self, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the containers that a filter finds, stopped ones too, in one call."""
        with self.asked("list", "containers") as api:
            return cast("list[dict[str, Any]]", api.containers(all=True, filters=dict(filters)))

    def container(self, name: str) -> dict[str, Any] | None:
        """Return what the Engine says of one container; None when there is none."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("inspect", f"container {name}") as api:
            try:
                return cast("dict[str, Any]", api.inspect_container(name))
            except NotFound:
                return None

    def remove(self, container: str) -> None:
        """Remove a container, running or not, if it exists."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("remove", f"container {container}") as api, suppress(NotFound):
            api.remove_container(container, force=True, v=False)

    def stop(self, container: str, wait_s: float) -> None:
        """End a container and remove it, if it exists; after `wait_s` seconds it is killed."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("stop", f"container {container}") as api, suppress(NotFound):
            api.stop(container, timeout=int(wait_s))
        self.remove(container)

    def last_lines(self, container: str, count: int) -> str:
        """Return the last lines that a container printed; empty when there is none."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("read the log of", f"container {container}") as api:
            try:
                said = api.logs(container, stdout=True, stderr=True, tail=count)
            except NotFound:
                return ""
        return said.decode(errors="replace")

    def follow(self, containers: Mapping[str, str]) -> Iterator[str]:
        """Yield `<name>: <line>` for each new line of containers, until all have ended.

        Args:
            containers: Their ids, by the names to write.
        """
        lines: queue.Queue[str | None] = queue.Queue()

        def read(name: str, id_: str) -> None:
            with suppress(Exception), self.asked("read the log of", f"container {name}") as api:
                for line in _lines(api.logs(id_, stream=True, follow=True, tail=0)):
                    lines.put(f"{name}: {line}")
            lines.put(None)

        for given in containers.items():
            threading.Thread(target=read, args=given, daemon=True).start()
        left = len(containers)
        while left:
            line = lines.get()
            if line is None:
                left -= 1
            else:
                yield line

    def remove_volume(self, name: str) -> None:
        """Remove a volume, if it exists; nothing may use it any more."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("remove", f"volume {name}") as api, suppress(NotFound):
            api.remove_volume(name)

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
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("inspect", f"volume {name}") as api:
            try:
                api.inspect_volume(name)
            except NotFound:
                return False
        return True

    def has_image(self, name: str) -> bool:
        """Whether the host has an image."""
        return self.image(name) is not None

    def image(self, name: str) -> dict[str, Any] | None:
        """Return what the Engine says of an image; None when the host does not have it."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("inspect", f"image {name}") as api:
            try:
                return cast("dict[str, Any]", cast("Any", api).inspect_image(name))
            except NotFound:
                return None

    # -- files in a container --------------------------------------------------------------------

    def put_files(self, container: str, folder: str, archive: bytes | Iterable[bytes]) -> None:
        """Unpack an archive in a folder of a container, which need not run.

        A file of the same name is replaced, but not at once: readers may see it missing or short.
        """
        with self.asked("write to", f"container {container}") as api:
            api.put_archive(container, folder, archive)

    def get_files(self, container: str, folder: str) -> bytes | None:
        """Return an archive of a folder of a container; None when there is no such folder."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above

        with self.asked("read from", f"container {container}") as api:
            try:
                stream, _stat = api.get_archive(container, folder)
            except NotFound:
                return None
            # to the end: a stream that stalls blocks everything else on this container
            return b"".join(stream)

    def run(self, container: str, command: tuple[str, ...], said: bytes = b"") -> tuple[int, bytes]:
        """Run a command in a running container; return its exit status and what it printed.

        Args:
            container: Its name.
            command: Program and arguments; others on the host can read them.
            said: What it reads from stdin.
        """
        with self.asked("run a command in", f"container {container}") as api:
            made = api.exec_create(container, list(command), stdin=True, tty=False)
            stream = api.exec_start(made["Id"], socket=True)
            try:
                printed = _spoken(stream, said)
            finally:
                _closed(stream)
            return int(api.exec_inspect(made["Id"])["ExitCode"] or 0), printed


def _closed(stream: Any) -> None:
    """Close a command's stream, the socket that it borrows, and the answer that has that."""
    answer, raw = getattr(stream, "_response", None), getattr(stream, "_sock", None)
    stream.close()
    if raw is not None:
        raw.close()
    if answer is not None:
        with suppress(ValueError):  # it flushes what is closed
            answer.close()


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines of a stream that comes in parts of any size."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


def _spoken(stream: Any, said: bytes) -> bytes:
    """Write to a command, end its input, and return its stdout and stderr."""
    from docker.utils.socket import frames_iter  # noqa: PLC0415 - as above

    raw = getattr(stream, "_sock", stream)
    if said:
        raw.sendall(said)
    raw.shutdown(sockets.SHUT_WR)
    frames = cast("Any", frames_iter)(stream, tty=False)
    return b"".join(part for _number, part in frames)


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


def _url(place: Place) -> tuple[str, Any]:
    """Return the address that a place names, and how to secure it.

    As Docker's own command line: a host, a context, `$DOCKER_HOST`, `$DOCKER_CONTEXT`, the current
    context.
    """
    from docker.context.config import get_current_context_name  # noqa: PLC0415 - as above

    host = place.host if isinstance(place, DockerPlace) else None
    name = place.context if isinstance(place, DockerPlace) else None
    if host is None and name is None:
        host, name = os.environ.get("DOCKER_HOST"), os.environ.get("DOCKER_CONTEXT")
    if host:
        return _checked(host, "the Docker host in $DOCKER_HOST"), _tls_from_environment(host)
    return _of_context(name or get_current_context_name())


def _of_context(name: str) -> tuple[str, Any]:
    from docker import ContextAPI  # noqa: PLC0415 - as above
    from docker.utils.config import find_config_file  # noqa: PLC0415

    resource = f"Docker context '{name}'"
    try:
        context = ContextAPI.get_context(name)
    except Exception as bad:  # the library raises no class of its own for a corrupt file
        raise TargetError("read", resource, " ".join(str(bad).split())[:_SHOWN]) from bad
    if context is None:
        remedy = "name another one: `docker context ls` lists them"
        if find_config_file() is None:
            remedy = "write {} into ~/.docker/config.json: contexts are looked for beside it"
        raise TargetError("open", resource, "it does not exist", remedy)
    return _checked(str(context.Host), resource), context.TLSConfig


def _checked(host: str, source: str) -> str:
    fault = docker_host_fault(host)
    if fault:
        raise TargetError("open", source, fault)
    return host


def _tls_from_environment(host: str) -> Any:
    from docker.errors import TLSParameterError  # noqa: PLC0415 - as above
    from docker.utils import kwargs_from_env  # noqa: PLC0415 - as above

    try:
        return kwargs_from_env().get("tls", False)
    except TLSParameterError as missing:
        folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
        lacking = [name for name in _CERTIFICATES if not (folder / name).is_file()]
        raise TargetError(
            "open",
            f"Docker host {host}",
            f"TLS needs {', '.join(lacking) or 'certificates'} in {folder}",
            "put them there, or name their folder in DOCKER_CERT_PATH",
        ) from missing


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
    return fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)


def _is_no_answer_of_an_engine(fault: BaseException) -> bool:
    """Whether something answered, and not as an Engine does."""
    from requests.exceptions import HTTPError  # noqa: PLC0415 - as above

    return isinstance(fault, ValueError | KeyError | TypeError | HTTPError)
