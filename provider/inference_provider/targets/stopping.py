"""A request to stop that reaches every waiting thread of this process.

`inferctl` is interrupted by signals, which Python answers in its main thread. Pulumi's engine asks
its plugin to stop with a call in another thread. What waits for an instance checks here, in
whichever thread it runs. The request cannot be taken back: it ends the work of the process.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from inference_provider.errors import Interrupted

_asked: list[None] = []
"""Not an Event: setting one takes a lock, and a signal may arrive while its holder sets it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ask_to_stop() -> None:
    """Make every wait of this process end."""
    _asked.append(None)


def refuse_when_stopped(operation: str, resource: str) -> None:
    """Raise Interrupted once somebody has asked to stop."""
    if _asked:
        raise Interrupted(
            operation,
            resource,
            "interrupted",
            "what served before keeps serving; run it again to continue",
        )


class HeldInterrupts:
    """Within, an interrupt asks every thread to stop instead of raising KeyboardInterrupt.

    An exception at an arbitrary moment can leave a lock of Python's library held, between taking it
    and the `with` that gives it back. A thread that needs the lock then waits forever.

    Only signals that raise KeyboardInterrupt are held; in a thread none does.
    """

    def __init__(self) -> None:
        self.arrived = False
        self._held: list[signal.Signals] = []

    def __enter__(self) -> Self:
        self._hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self._release()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Raise again at once: for a call during which no other thread runs."""
        self._release()
        try:
            yield
        finally:
            self._hold()

    def _hold(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.default_int_handler:
                self._held.append(number)
                signal.signal(number, self._arrive)

    def _release(self) -> None:
        while self._held:
            signal.signal(self._held[-1], signal.default_int_handler)
            self._held.pop()

    def _arrive(self, *_: object) -> None:
        self.arrived = True
        ask_to_stop()
