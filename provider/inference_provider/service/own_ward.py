"""Ends this process when one of its loops hangs, so that a container's Engine starts it again.

It sees a loop that waits for an answer which never comes. It does not see a process that is stopped
as a whole: on `local` another process looks after that.
"""

import os
import sys
import threading
import time
from collections.abc import Callable

from inference_provider.targets.heartbeat import ENDED_S, Looks, not_looked

_PERIOD_S = 5.0
_TIMES = 3
"""How often in a row it must be seen: where the whole process was not run, no loop was."""


class OwnWard:
    """Looks after the loops of this process.

    Args:
        looks: When they looked last.
        tell: Told of the end, in a sentence.
        end: Ends the process.
    """

    def __init__(
        self,
        looks: Looks,
        tell: Callable[[str], None],
        end: Callable[[], None] = lambda: os._exit(1),  # now: what hangs would keep it
    ) -> None:
        self._looks, self._tell, self._end = looks, tell, end
        self._seen: tuple[str, float] | None = None
        self._times = 0

    def look(self) -> None:
        """Look once; end the process where one loop was seen to hang several times in a row."""
        hangs = self._looks.hanging(ENDED_S)
        if hangs is None:
            self._seen, self._times = None, 0
            return
        loop, last = hangs
        seen = loop, last.at_s
        self._seen, self._times = seen, self._times + 1 if self._seen == seen else 1
        if self._times < _TIMES:
            return
        said = f"The workspace service {not_looked(loop, last.time)}, will be restarted"
        print(said, file=sys.stderr, flush=True)  # noqa: T201 - the log of the process
        self._tell(said)
        self._end()

    def run(self) -> None:
        """Look again and again, in a thread of its own."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(_PERIOD_S)
            self.look()
