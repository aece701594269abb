"""What was measured of the workspaces that somebody looks at, for the charts of their endpoints.

It begins with the first look at a workspace, and goes back an hour at most. A thread for each asks
the target as `inferctl metrics` does; it ends when nobody has looked for an hour.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock, Thread
from typing import NamedTuple

from inference_provider.errors import InferenceError
from inference_provider.metrics.series import Series
from inference_provider.metrics.window import Window
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.measured import Meter

PERIOD_S = 10.0
BACK_S = 3600.0
MOST_VALUES = 300_000
"""Of one workspace; with more series it goes back less far."""


class Moment(NamedTuple):
    """What was known at one time, of the 15 s or so before."""

    at: datetime
    """On this machine's clock, of its time zone."""
    series: tuple[Series, ...]


class Past(NamedTuple):
    """What is known of a workspace."""

    moments: tuple[Moment, ...]
    """Oldest first."""
    fault: str = ""
    """Why nothing is measured now; empty when something is."""


@dataclass
class Watch:
    """One workspace that somebody looks at."""

    moments: deque[tuple[float, Moment]] = field(default_factory=deque)
    """With the time of a clock that never decreases."""
    values: int = 0
    fault: str = ""
    asked_s: float = 0.0

    def add(self, at_s: float, moment: Moment) -> None:
        self.moments.append((at_s, moment))
        self.values += len(moment.series)
        while len(self.moments) > 1 and (
            self.values > MOST_VALUES or self.moments[0][0] < at_s - BACK_S
        ):
            self.values -= len(self.moments.popleft()[1].series)


class History:
    """What was measured, by workspace; any thread may ask.

    Args:
        clock_s: Seconds of a clock that never decreases.
        period_s: Seconds between two looks.
    """

    def __init__(
        self, clock_s: Callable[[], float] = time.monotonic, period_s: float = PERIOD_S
    ) -> None:
        self._clock_s, self._period_s = clock_s, period_s
        self._watched: dict[str, Watch] = {}
        self._lock = Lock()

    def of(self, target: Engine, workspace: str) -> Past | None:
        """Return what is known, and begin to measure; None where a target measures nothing."""
        with self._lock:
            watch = self._watched.get(workspace)
            if watch:
                watch.asked_s = self._clock_s()
                return Past(tuple(moment for _, moment in watch.moments), watch.fault)
        meter = target.meter(workspace)
        if meter is None:
            return None
        with self._lock:
            if workspace not in self._watched:
                watch = self._watched[workspace] = Watch(asked_s=self._clock_s())
                # a daemon: a target that does not answer holds up no end of the process
                Thread(target=self._keep, args=(workspace, meter, watch), daemon=True).start()
        return Past(())

    def _keep(self, workspace: str, meter: Meter, watch: Watch) -> None:
        window, pause = Window(), Event()
        while self._is_asked(workspace, watch):
            self.look(meter, watch, window)
            pause.wait(self._period_s)

    def look(self, meter: Meter, watch: Watch, window: Window) -> None:
        """Measure once."""
        fault = ""
        try:
            window.add(meter())
        except Exception as exc:  # noqa: BLE001 - it is shown, and the next look may go well
            window.clear()
            fault = str(exc) if isinstance(exc, InferenceError) else type(exc).__name__
        with self._lock:
            watch.fault = fault
            watch.add(self._clock_s(), Moment(datetime.now().astimezone(), window.series))

    def _is_asked(self, workspace: str, watch: Watch) -> bool:
        """Whether somebody has looked lately; else it is forgotten."""
        with self._lock:
            is_asked = self._clock_s() - watch.asked_s <= BACK_S
            if not is_asked:
                del self._watched[workspace]
            return is_asked
