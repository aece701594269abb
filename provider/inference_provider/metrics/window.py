"""Readings of a workspace -> the series of the last seconds, for who asks for them."""

from collections import deque

from inference_provider.metrics.series import Reading, Series, series

WINDOW_S = 15.0
"""How far back rates and latencies go. That of a Prometheus that asks as often misses nothing."""


class Window:
    """The last readings, and what they say."""

    def __init__(self, seconds: float = WINDOW_S) -> None:
        self._seconds = seconds
        self._readings: deque[Reading] = deque()
        self.series: tuple[Series, ...] = ()
        """What is known now; replaced as a whole, so that any thread may read it."""

    def add(self, reading: Reading) -> None:
        """Add the newest reading; those of a router that did not answer are no beginning."""
        self._readings.append(reading)
        while len(self._readings) > 2 and self._readings[1].at_s <= reading.at_s - self._seconds:
            self._readings.popleft()
        self.series = series(self._readings[0], reading)
        if not (reading.answered and self._readings[0].answered):
            self._readings = deque([reading])

    def clear(self) -> None:
        """Forget all: what was known is old."""
        self._readings.clear()
        self.series = ()
