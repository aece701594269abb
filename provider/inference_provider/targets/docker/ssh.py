"""A Docker host behind SSH: the user's own `ssh` carries the Engine's socket to this machine.

One connection for all requests, with the user's configuration, keys and known hosts. It asks
nothing: a password or an unknown host key is an error, because nobody may be there to answer.
"""

import contextlib
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, urlsplit

from inference_provider.errors import TargetUnreachable

ENGINE_SOCKET = "/var/run/docker.sock"
CONNECT_LIMIT_S = 20
"""Longest wait for the host to answer, seconds."""
ALIVE_EVERY_S, ALIVE_MISSED = 10, 3
"""A connection is given up after so many unanswered questions, so many seconds apart."""
_READY = "ready\n"
_SHOWN = 400


class Tunnel:
    """A socket on this machine, for this user alone, that leads to one of a host: its Engine's.

    On the host runs `cat`, whose input is a pipe from this process: when this process ends,
    however that happens, `cat` does too, and with it the connection.
    """

    def __init__(self, url: str, to: str = "") -> None:
        """Connect to `ssh://[user@]host[:port][/path of the Engine's socket]`.

        Args:
            url: Which host.
            to: Where it leads instead of to the Engine: `127.0.0.1:18080`, as the host sees it.

        Raises:
            TargetUnreachable: ssh is not installed, or could not connect; says what ssh said.
        """
        self._url, self._to = url, to
        self._folder = Path(tempfile.mkdtemp(prefix="inference-ssh-"))
        self.socket = self._folder / "sock"
        # ssh shares the place in the file with us: it writes at the end, and we read elsewhere
        self._said = (self._folder / "said").open("ab")
        try:
            ssh = self._started()
        except BaseException:
            _forget(self._said, self._folder)
            raise
        self._ssh = ssh
        self.close = weakref.finalize(self, _end, ssh, self._said, self._folder)
        """Ends the connection; at the end of the process at the latest."""

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def runs(self) -> bool:
        """Whether ssh has not ended."""
        return self._ssh.poll() is None

    def cause(self) -> str:
        """Return the last line that ssh said; empty when it said nothing."""
        try:
            said = (self._folder / "said").read_text(errors="replace")
        except FileNotFoundError:  # the connection was closed
            return ""
        lines = said.strip().splitlines()
        return lines[-1].strip().rstrip(".")[:_SHOWN] if lines else ""

    def _started(self) -> "subprocess.Popen[str]":
        try:
            ssh = subprocess.Popen(
                ssh_command(self._url, self.socket, self._to),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                start_new_session=True,  # after Ctrl-C what was begun is tidied up through it
            )
        except FileNotFoundError as missing:
            raise self._unreachable("there is no `ssh` on PATH", "install OpenSSH") from missing
        assert ssh.stdin is not None
        assert ssh.stdout is not None
        try:
            with contextlib.suppress(OSError):
                ssh.stdin.write(_READY)
                ssh.stdin.flush()
            while (line := ssh.stdout.readline()) != _READY:  # a shell may greet first
                if not line:
                    ssh.wait()
                    host = _host(urlsplit(self._url))
                    raise self._unreachable(
                        self.cause() or f"ssh ended with status {ssh.returncode}",
                        f"mend it so that `ssh -o BatchMode=yes {host} true` works",
                    )
        except BaseException:
            _ended(ssh)
            raise
        return ssh

    def _unreachable(self, reason: str, remedy: str) -> TargetUnreachable:
        return TargetUnreachable("open", f"Docker host {self._url}", reason, remedy)


def _end(ssh: "subprocess.Popen[str]", said: IO[bytes], folder: Path) -> None:
    _ended(ssh)
    _forget(said, folder)


def _forget(said: IO[bytes], folder: Path) -> None:
    said.close()
    shutil.rmtree(folder, ignore_errors=True)


def _ended(ssh: "subprocess.Popen[str]") -> None:
    ssh.kill()
    ssh.wait()
    for pipe in (ssh.stdin, ssh.stdout):
        with contextlib.suppress(OSError):  # what it did not read
            pipe.close()  # type: ignore[union-attr]


def _host(parts: SplitResult) -> str:
    """Return the host as it is written: ssh's configuration tells `GPU` from `gpu`."""
    lower, written = parts.hostname or "", parts.netloc.rpartition("@")[2]
    at = written.lower().find(lower)
    return written[at : at + len(lower)]


def ssh_command(url: str, socket: Path, to: str = "") -> list[str]:
    """Return the command whose `socket` leads to the Engine of an address, or elsewhere there."""
    parts = urlsplit(url)
    options = (
        "BatchMode=yes",
        f"ConnectTimeout={CONNECT_LIMIT_S}",
        f"ServerAliveInterval={ALIVE_EVERY_S}",
        f"ServerAliveCountMax={ALIVE_MISSED}",
        "ExitOnForwardFailure=yes",
        # not through a connection that the user shares: it would keep the socket open
        "ControlMaster=no",
        "ControlPath=none",
        "RemoteCommand=none",
        "RequestTTY=no",
    )
    return [
        "ssh",
        *(word for option in options for word in ("-o", option)),
        *("-L", f"{socket}:{to or parts.path.rstrip('/') or ENGINE_SOCKET}"),
        *(("-l", parts.username) if parts.username else ()),
        *(("-p", str(parts.port)) if parts.port else ()),
        *("--", _host(parts), "cat"),
    ]
