"""Reads the metrics of a workspace again and again, and has them where it declares them to go."""

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from inference_provider.errors import InferenceError
from inference_provider.metrics.series import Series
from inference_provider.metrics.window import Window
from inference_provider.service.looking import Beat, unheard
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.private_file import write_private
from inference_provider.targets.repeated import repeat
from inference_provider.workspace.measured import Meter

PERIOD_S = 5.0


class Sink(Protocol):
    """Where metrics go, as long as it is open."""

    def close(self) -> None: ...


class Metering:
    """Reads, where anything is declared; a fault of one sink holds up no other.

    Args:
        meter: Looks at the workspace.
        settings: Returns what the workspace declares now; None for nothing.
        workspace: Its name.
        faults: File with what is wrong, for who reads it elsewhere; None for the log alone.
    """

    def __init__(
        self,
        meter: Meter,
        settings: Callable[[], MetricsSettings | None],
        workspace: str,
        faults: Path | None = None,
    ) -> None:
        self._meter = meter
        self._settings = settings
        self._workspace = workspace
        self._window = Window()
        self._sinks: dict[int | str, Sink] = {}
        """By the port or the URL."""
        self._faults = faults
        self._said: tuple[str, ...] | None = None

    def run(self, beat: Beat = unheard) -> None:
        """Look for ever, in a thread of its own that ends with the process."""
        repeat("metrics", lambda: beat(self.look()), PERIOD_S)

    def look(self) -> str:
        """Read once; say in the log what is wrong, when it is not what was said last.

        Returns:
            What is wrong; empty for nothing.
        """
        try:
            settings = self._settings()
            wrong = self._settle(settings)
            if settings:
                self._window.add(self._meter())
            else:
                self._window.clear()
        except Exception as fault:  # noqa: BLE001 - a thread that ends would leave what was
            self._window.clear()
            wrong = [_told(fault)]
        if self._said != tuple(wrong):
            self._say(wrong)
        self._said = tuple(wrong)
        return "; ".join(wrong)

    def _say(self, wrong: list[str]) -> None:
        if wrong:
            print(*wrong, sep="\n", file=sys.stderr, flush=True)  # noqa: T201 - its log
        if self._faults:
            with suppress(OSError, InferenceError):  # a full disk
                write_private(self._faults, json.dumps(wrong))

    def _settle(self, settings: MetricsSettings | None) -> list[str]:
        """Open the sinks that are declared and close the others; return what is wrong."""
        wanted = {one for one in (settings.port, settings.otlp_endpoint) if one} if settings else ()
        for one in [one for one in self._sinks if one not in wanted]:
            self._sinks.pop(one).close()
        wrong = []
        for one in [one for one in wanted if one not in self._sinks]:
            try:
                self._sinks[one] = self._opened(one)
            except (OSError, ImportError) as fault:
                wrong.append(f"metrics do not go to {one}: {fault}")
        return wrong

    def _opened(self, sink: int | str) -> Sink:
        if isinstance(sink, int):
            # an image of an older release, or of somebody's own, may have no prometheus-client
            from inference_provider.targets.page import Page  # noqa: PLC0415

            return Page(sink, self._known)
        from inference_provider.service.otlp import Export  # noqa: PLC0415 - it needs an extra

        return Export(sink, self._workspace, self._known)

    def _known(self) -> Iterable[Series]:
        return self._window.series


def _told(fault: Exception) -> str:
    return str(fault) if isinstance(fault, InferenceError) else f"{type(fault).__name__}: {fault}"
