"""A new instance of this machine that somebody waits for."""

import time

from inference_provider.router.table import Backend
from inference_provider.targets.local.addresses import listens
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.targets.loopback import answers
from inference_provider.workspace.ports import Unit

READY_POLL_S = 0.05
READY_POLL_SHARE = 20
"""What starts for seconds is asked less often: a twentieth of the time that it has taken so far."""
_ENDED = ("BACKOFF", "FATAL", "EXITED")


class Awaited:
    """A process that has to answer, and must not be another than at first."""

    def __init__(self, unit: Unit, name: str, backend: Backend, supervisor: Supervisor) -> None:
        self._path = unit.readiness_path
        self._timeout_s = unit.spec.readiness_probe.timeout
        self._name = name
        self._backend = backend
        self._supervisor = supervisor
        self._begun_s = time.monotonic()
        self._asked = False
        self._first_pid = 0
        self._process: ProcessState | None = None

    def answers(self, limit_s: float) -> bool:
        if self._asked:
            spent_s = time.monotonic() - self._begun_s
            time.sleep(min(max(READY_POLL_S, spent_s / READY_POLL_SHARE), 1.0, limit_s))
        self._asked = True
        at = self._backend
        found = answers(at.socket or (at.host, at.port), self._path, self._timeout_s)
        self._process = self._supervisor.process_among_all(self._name)
        return found and self._process is not None and listens(self._process.pid, at)

    def ended(self) -> str:
        pid = self._process.pid if self._process else 0
        restarted = bool(self._first_pid and pid and pid != self._first_pid)
        self._first_pid = self._first_pid or pid
        gone = self._process is None or self._process.state in _ENDED
        return "its process ended before it was ready" if restarted or gone else ""
