"""Requests on a workspace of a Docker host while something is done to it."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx


def _nothing() -> None:
    pass


class Load:
    """A bounded loop of requests to endpoint iris over 6 kept connections."""

    def __init__(
        self,
        lab,
        requests: int,
        limit_s: float = 120.0,
        enter: Callable[[], None] = _nothing,
    ) -> None:
        """Send at least `requests`; `enter` is called first in each thread that sends some."""
        self.answers: Counter = Counter()
        self._url = f"{lab.router_url}/endpoints/iris/score"
        self._key = lab.keys()[0]
        self._wanted = requests
        self._enter = enter
        self._until_s = time.monotonic() + limit_s
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(6)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_given) -> None:
        while self.answers.total() < self._wanted and time.monotonic() < self._until_s:
            time.sleep(0.05)
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> dict:
        return {answer: count for answer, count in self.answers.items() if answer != 200}

    def _run(self) -> None:
        self._enter()
        headers = {"authorization": f"Bearer {self._key}"}
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._over.is_set() and time.monotonic() < self._until_s:
                try:
                    self.answers[client.post(self._url, headers=headers).status_code] += 1
                except httpx.TransportError as fault:
                    self.answers[type(fault).__name__] += 1
                    time.sleep(0.05)  # nobody listens: that is soon said, many times
