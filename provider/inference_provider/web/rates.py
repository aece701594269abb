"""How often one caller may ask: a bucket each, that fills evenly. Pure but for its memory."""

import math
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

PER_MINUTE = 60
"""Requests of one caller."""
_MOST_KNOWN = 10_000
"""Callers; the one that asked longest ago goes, whose bucket is likely full again."""


class Rates:
    """The buckets of all callers.

    Args:
        per_minute: What a bucket holds, and gets in a minute.
    """

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._most = float(per_minute)
        self._per_s = per_minute / 60
        self._known: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def wait_s(self, caller: Hashable, now_s: float) -> int:
        """Take one request of a caller; return how long it must wait instead, or 0.

        Args:
            caller: Who asks.
            now_s: A clock's seconds that only go on.
        """
        with self._lock:
            left, at_s = self._known.pop(caller, (self._most, now_s))
            left = min(self._most, left + (now_s - at_s) * self._per_s)
            taken = left >= 1
            self._known[caller] = (left - taken, now_s)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return 0 if taken else math.ceil((1 - left) / self._per_s)
