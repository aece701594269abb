"""Requests all the time, while a test changes something."""

import collections
import concurrent.futures
import contextlib
import http.client
import threading
from collections.abc import Iterator

from tests.local.server.routing import KEY, Served


@contextlib.contextmanager
def constant_load(served: Served, threads: int = 3) -> Iterator[collections.Counter[int]]:
    """Ask all the time; count the statuses, and what broke as 0."""
    found: collections.Counter[int] = collections.Counter()
    over = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
        while not over.is_set():
            try:
                connection.request("GET", "/endpoints/chat/sleep/0.01", headers=KEY)
                answer = connection.getresponse()
                answer.read()
                found[answer.status] += 1
            except OSError:
                found[0] += 1
                connection.close()
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(ask)
        try:
            yield found
        finally:
            over.set()
