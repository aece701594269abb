"""Ends events that are older than a workspace says, where its service writes them down."""

from collections.abc import Callable

from inference_provider.service.looking import look
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.repeated import repeat

PERIOD_S = 15.0
"""What is declared may come a moment after the service; a look costs next to nothing."""


class EventAge:
    """Looks for them.

    Args:
        declared: Returns what the workspace says of its logs. It raises TargetError.
        end: Ends events that stay for so many days. It raises TargetError or OSError.
    """

    def __init__(
        self, declared: Callable[[], LogSettings | None], end: Callable[[int], None]
    ) -> None:
        self._declared, self._end = declared, end
        self._said = ""

    def look(self) -> None:
        """End them, if the workspace says for how long they stay."""
        declared = self._declared()
        if declared and (days := declared.days_of("events")):
            self._end(days)

    def run(self) -> None:
        """Look for ever, in a thread of its own that ends with the process."""
        repeat("event age", self._look_once, PERIOD_S)

    def _look_once(self) -> None:
        self._said = look(self, self._said)
