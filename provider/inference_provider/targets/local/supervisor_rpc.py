"""One call to supervisord over its Unix socket -> its answer, or an error of ours.

Every call is safe to repeat: queries change nothing, and "already added", "already started" and
"not running" count as answers. So a call whose connection breaks is retried once.
"""

import http.client
import xmlrpc.client
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import psutil

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.targets.local.orphans import is_daemon
from inference_provider.targets.loopback import connection_to

RPC_TIMEOUT_S = 10.0


class Faults(IntEnum):
    """Codes of supervisord's faults. Source: supervisor/xmlrpc.py, which takes 10 ms to import."""

    SHUTDOWN_STATE = 6
    BAD_NAME = 10
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70
    ALREADY_ADDED = 90


_REPLACED = "run `inferctl up` or `start`, which replaces it"
_BROKEN = (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError)
"""A connection that ends early, half an answer, or an answer that is not supervisord's."""


class SupervisorGone(TargetUnreachable):
    """No supervisord runs that can be asked; its programs may live on."""


class SupervisorSocket:
    """Calls the supervisord of one folder."""

    def __init__(self, folder: Path, timeout_s: float = RPC_TIMEOUT_S) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    @property
    def path(self) -> Path:
        return self._folder / "s.sock"

    def call(self, call: Callable[[Any], Any], *tolerated: int) -> Any:
        """Make one call; return None when supervisord answers with a tolerated fault.

        Raises:
            SupervisorGone: It does not run, or its socket was removed.
            TargetUnreachable: It runs, but does not answer or is ending.
            TargetError: It refuses.
        """
        try:
            return self._once(call, tolerated)
        except _BROKEN:
            pass
        try:
            return self._once(call, tolerated)
        except _BROKEN as broken:
            raise self._broken(broken) from broken

    def _once(self, call: Callable[[Any], Any], tolerated: tuple[int, ...]) -> Any:
        transport = _Transport(self.path, self._timeout_s)
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return call(proxy.supervisor)
        except TimeoutError as late:
            raise self.unreachable(f"no answer within {self._timeout_s:.0f} s") from late
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in tolerated:
                return None
            if fault.faultCode == Faults.SHUTDOWN_STATE:  # its programs have time to end
                remedy = "wait for that and run this again"
                raise self.unreachable("it is ending", remedy) from fault
            raise TargetError("ask", "supervisord", fault.faultString) from fault
        finally:
            transport.close()

    def _broken(self, broken: Exception) -> TargetUnreachable:
        if not self.daemon_alive():
            remedy = "run this again: `inferctl up` and `start` start it"
            return SupervisorGone("ask", "supervisord", "it does not run", remedy)
        if isinstance(broken, FileNotFoundError | ConnectionRefusedError):
            daemon, remedy = f"supervisord (process {self.daemon_pid()})", _REPLACED
            return SupervisorGone("ask", daemon, "its socket is gone", remedy)
        return self.unreachable(f"its answer was cut off: {type(broken).__name__}")

    def unreachable(self, reason: str, remedy: str = "") -> TargetUnreachable:
        """Return the error for a daemon that is alive but unusable."""
        look = f"look at {self._folder}/supervisord.log, or end that process and run this again"
        daemon = f"supervisord (process {self.daemon_pid()})"
        return TargetUnreachable("ask", daemon, reason, remedy or look)

    def daemon_pid(self) -> int | None:
        """Return the pid in the daemon's pid file; its process may be gone."""
        try:
            return int((self._folder / "supervisord.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def daemon_alive(self) -> bool:
        """Whether that process runs and is this folder's supervisord."""
        pid = self.daemon_pid()
        try:
            return pid is not None and is_daemon(psutil.Process(pid), self._folder)
        except psutil.Error:
            return False


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket, with a timeout: a stopped daemon would otherwise hang us."""

    accept_gzip_encoding = False

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__()
        self._path, self._timeout_s = path, timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        self._connection = host, connection_to(str(self._path), self._timeout_s)
        return self._connection[1]

    def parse_response(self, response: http.client.HTTPResponse) -> Any:
        parser, unmarshaller = self.getparser()
        parser.feed(response.read())  # whole: read in pieces, a cut answer is no error
        parser.close()
        return unmarshaller.close()
