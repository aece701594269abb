"""What the service says of itself, in its log: what fails again and again, once a minute."""

import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from inference_provider.errors import InferenceError
from inference_provider.printable import one_line
from inference_provider.secret_text import hidden

AGAIN_S = 60.0
_MOST_KNOWN = 100


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - its log


class Log:
    """The log of one service.

    Args:
        write: Takes a line.
        clock: Seconds that only go on.
    """

    def __init__(
        self,
        write: Callable[[str], None] = _to_stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._clock = write, clock
        self._told: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def tell(self, text: str) -> None:
        """Write a line, unless it was written less than a minute ago."""
        line, now_s = one_line(text), self._clock()
        with self._lock:
            before_s = self._told.get(line)
            if before_s is not None and now_s < before_s + AGAIN_S:
                return
            self._told[line] = now_s
            self._told.move_to_end(line)
            while len(self._told) > _MOST_KNOWN:
                self._told.popitem(last=False)
        self._write(line)

    def fault(self, fault: BaseException) -> None:
        """Write what has failed; of what nobody expected, where too."""
        if isinstance(fault, InferenceError | OSError):
            self.tell(hidden(str(fault)))
            return
        last = traceback.extract_tb(fault.__traceback__)[-1:]
        where = "".join(f", {one.filename}:{one.lineno}" for one in last)
        self.tell(f"{type(fault).__name__}{where}")  # its text may quote a token
