"""The page that a router pod serves to the cluster's Prometheus: what this pod itself has counted.

Every pod has its own, as it has its own counters; who asks all of them adds them up.
"""

import time
from collections.abc import Callable

from inference_provider.metrics.growth import Processes
from inference_provider.metrics.series import Reading
from inference_provider.metrics.window import Window
from inference_provider.targets.repeated import repeat

PERIOD_S = 5.0
"""Envoy adds up as often how long requests took."""


class RouterPage:
    """Looks at the router of a pod again and again, and serves what it has seen.

    Args:
        host: Address that it listens on.
        port: The port.
        counts: Returns what the router has counted.
    """

    def __init__(self, host: str, port: int, counts: Callable[[], Processes]) -> None:
        self.port = port
        self.fault = ""
        """Why it is not served; empty when it is."""
        self._counts = counts
        self._window = Window()
        try:
            from inference_provider.targets.page import Page  # noqa: PLC0415 - the only one who does

            Page(port, lambda: self._window.series, host=host)
        except (OSError, ImportError) as fault:
            self.fault = f"no metrics are served on port {port}: {fault}"
            return
        repeat("metrics", self.look, PERIOD_S)

    def look(self) -> None:
        """Look once; of what cannot be read the page has nothing rather than what was."""
        try:
            self._window.add(Reading(time.monotonic(), self._counts()))
        except Exception:  # noqa: BLE001 - a thread that ends would leave what was
            self._window.clear()
