"""Where handlers run: each in a thread of its own, so many at a time.

A target may answer late or never. The process ends without the requests that wait for one, except
those that change something; and when too many wait, of all or of one browser, the next is refused
at once.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread, current_thread
from typing import NamedTuple

from starlette.responses import Response

from inference_provider.console.answers import Refused

MOST_WAITING = 32
MOST_OF_ONE = 6
"""Of one browser, which opens no more connections to a site; five of them leave room for others."""


class _Runs(NamedTuple):
    changes: bool
    """Whether it changes something."""
    browser: str


class Handlers:
    """The threads of one console."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._running: dict[Thread, _Runs] = {}
        self._lock = Lock()

    async def run(
        self, work: Callable[[], Response], *, changes: bool = False, browser: str = ""
    ) -> Response:
        """Return what a thread answers. Raises Refused while too many wait, or of one browser."""
        done: Future[Response] = Future()
        # a daemon, for which the end of the process does not wait
        thread = Thread(target=self._answer, args=(work, done), daemon=True)
        with self._lock:
            if len(self._running) >= self._most:
                told = f"{self._most} requests wait for the target already. Ask again later."
                raise Refused(503, told)
            of_one = sum(one.browser == browser for one in self._running.values())
            if browser and of_one >= MOST_OF_ONE:
                told = f"{MOST_OF_ONE} requests of this browser wait already. Ask again later."
                raise Refused(429, told)
            self._running[thread] = _Runs(changes, browser)
        thread.start()
        return await asyncio.wrap_future(done)

    def _answer(self, work: Callable[[], Response], done: "Future[Response]") -> None:
        try:
            if done.set_running_or_notify_cancel():
                done.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(exc)
        finally:
            with self._lock:
                del self._running[current_thread()]

    def changing(self) -> tuple[Thread, ...]:
        """Return the threads that change something now."""
        with self._lock:
            return tuple(thread for thread, one in self._running.items() if one.changes)
