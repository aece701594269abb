"""A process that ends with the command that started it, however that ends."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG`."""


class ForegroundProcess:
    """A process in a group of its own: Ctrl-C reaches the command alone, which then ends it.

    It prints where the command does, and reads nothing.
    """

    def __init__(
        self, argv: tuple[str, ...], folder: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        """Start it.

        Args:
            argv: Its command line.
            folder: Its working directory.
            variables: Its environment variables; None for those of the command.

        Raises:
            OSError: It cannot be started.
        """
        parent = os.getpid()
        # bound now: between fork and exec no library may be loaded
        control = ctypes.CDLL(None).prctl

        def end_with_the_command() -> None:
            control(_DEATH_SIGNAL, signal.SIGTERM)
            if os.getppid() != parent:  # it has ended before
                os._exit(1)

        self._process = subprocess.Popen(
            argv,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_the_command,  # noqa: PLW1509 - this process has one Python thread
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> str:
        """Say how it ended; empty while it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit {status}"

    def end(self, wait_s: float) -> None:
        """Let it finish what it does, for at most `wait_s`; then kill it and what it started."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)
        with suppress(ProcessLookupError):  # no process of its group is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
