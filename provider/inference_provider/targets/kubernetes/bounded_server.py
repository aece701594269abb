"""An HTTP server with a thread a connection, of which there are only so many.

Whoever is in the cluster may reach it: many connections cost it no memory, and those of one address
keep no other from being answered. Imports only the standard library.
"""

import threading
from collections import Counter
from contextlib import suppress
from http.server import ThreadingHTTPServer
from socket import socket
from typing import Any

MOST, MOST_OF_ONE = 256, 128
"""Connections at a time: of all, and of one address. Clients all come from the API server's."""
_BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedServer(ThreadingHTTPServer):
    """Answers side by side; who is one too many is told to come again."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *given: Any, **more: Any) -> None:
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()
        super().__init__(*given, **more)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._admitted(client_address[0]):
            try:
                super().process_request(request, client_address)
            except BaseException:  # no thread could be started
                self._leave(client_address[0])
                raise
        else:
            _refuse(request)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(client_address[0])

    def _admitted(self, address: str) -> bool:
        with self._counting:
            if self._open.total() >= MOST or self._open[address] >= MOST_OF_ONE:
                return False
            self._open[address] += 1
            return True

    def _leave(self, address: str) -> None:
        with self._counting:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


def _refuse(request: socket) -> None:
    request.settimeout(0)
    with suppress(OSError):  # it is gone, or does not read
        request.send(_BUSY)
