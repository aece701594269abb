"""Calls that were refused -> entries of the journal: the first of each kind, then how many."""

from collections import Counter
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import NamedTuple

from inference_provider.errors import InferenceError
from inference_provider.web.log import Log

WINDOW_S = 600.0
MOST_KINDS = 10
"""Kinds in a window that are told apart: whoever may connect can make calls that are refused."""
_WHY = {401: "no valid token", 403: "not allowed", 429: "above a limit"}


class _Refused(NamedTuple):
    status: int
    who: str
    why: str


_OTHERS = "others"

Note = Callable[[str, str, str], None]
"""Writes down what, why and who."""


class Refusals:
    """Those of one service.

    Args:
        note: Writes an entry; it may wait for a disk.
        clock: Seconds that only go on.
        log: Told of what cannot be written down: who is refused is refused all the same.
    """

    def __init__(
        self, note: Note, clock: Callable[[], float] = monotonic, log: Log | None = None
    ) -> None:
        self._note, self._clock, self._log = note, clock, log or Log()
        self._counts: Counter[_Refused] = Counter()
        self._begun_s = 0.0
        self._lock = Lock()

    def add(self, status: int, who: str, why: str) -> None:
        """Count a call; write it down where it is the first of its kind in a while.

        Args:
            status: What was answered.
            who: The caller by name, or an address.
            why: For the owner of the workspace.
        """
        one = _Refused(status, who, why)
        with self._lock:
            if not self._counts:
                self._begun_s = self._clock()
            if one not in self._counts and len(self._counts) >= MOST_KINDS:
                one = _Refused(status, _OTHERS, "")
            self._counts[one] += 1
            first = self._counts[one] == 1
        if first:
            self._tell(one, 1)

    def flush(self, *, at_end: bool = False) -> None:
        """Write down how many there were more, once a window is over, or all is."""
        with self._lock:
            is_over = at_end or self._clock() >= self._begun_s + WINDOW_S
            if not self._counts or not is_over:
                return
            counts, self._counts = self._counts, Counter()
        for one, count in counts.items():
            if count > 1:
                self._tell(one, count - 1)

    def _tell(self, one: _Refused, count: int) -> None:
        calls = "1 call" if count == 1 else f"{count} calls"
        why = _WHY.get(one.status, "refused")
        what = f"{calls} refused ({one.status}, {why}) by the service of"
        try:
            self._note(what, one.why, one.who)
        except (InferenceError, OSError) as fault:
            self._log.fault(fault)
