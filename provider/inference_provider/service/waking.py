"""Requests that begin to wait for an instance: the autoscaler looks at once.

And the other way round: once an instance takes them, the router need hold them no more, which is a
publication. Until that is made every request still asks first, and goes on.
"""

import os
import threading
import time
import traceback
from collections.abc import Callable

from inference_provider.service.looking import Beat, look, unheard
from inference_provider.targets.envoy.room import Said

_LONGEST_S = 1.0
"""Longest wait for news, and pause where nobody answers: no request waits then."""
_SHORTEST_S = 0.05
"""Pause after news: callers who come and give up again and again are no more of it."""


class Waking:
    """What follows from what the process says in which requests wait.

    Args:
        ask: Asks it; see `Room.ask`.
        publish: Has the router serve what is recorded.
        holds: Whether routes in force hold requests, whatever the rules say by now.
    """

    def __init__(
        self,
        ask: Callable[[int, float], Said | None],
        publish: Callable[[], None] = lambda: None,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ask = ask
        self._publish = publish
        self._holds = holds
        self._said: Said | None = None
        self.expects = True
        """Whether a rule allows no instance."""
        self._after = -1
        self._begun = threading.Event()

    def run(self, beat: Beat = unheard) -> None:
        """Follow it in a thread of its own, as long as this process lives."""
        threading.Thread(target=self._run, args=(beat,), daemon=True).start()

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until a request waits for a deployment without an instance."""
        self._begun.wait(seconds)
        self._begun.clear()

    def look(self) -> None:
        """Wait for news, and do what follows from it; asks only where requests may wait.

        On a Docker host each question runs a process in a container.

        Raises:
            InferenceError: The router does not take a publication.
        """
        left = self._said and (self._said.waiting or self._said.woken)
        may_wait = self.expects or left or self._holds()
        self._said = said = self._ask(self._after, _LONGEST_S) if may_wait else None
        if said is None:
            time.sleep(_LONGEST_S)
            return
        if said.news != self._after:
            self._after = said.news
            self._begun.set()
            time.sleep(_SHORTEST_S)
        if said.woken:
            self._publish()

    def _run(self, beat: Beat) -> None:
        said = ""
        try:
            while True:
                said = look(self, said)
                beat(said)
        except BaseException:  # noqa: BLE001 - the process lives on, and nobody would be woken
            traceback.print_exc()
            os._exit(1)
