"""A connection that is closed when it is silent: who sends nothing holds up nobody else."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """HTTP/1.1 with limits of time; uvicorn has one only for what is between two requests."""

    headers_s, body_s = 10.0, 60.0
    """How long the headers of a request may take, and then its body."""
    _limit: asyncio.TimerHandle | None = None
    _waits_for: type[Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_watch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Begin a limit with each part of a request, and have none once it is whole."""
        state = self.conn.their_state
        if state not in (h11.IDLE, h11.SEND_BODY):
            self._end_watch()
        elif self._limit is None or state is not self._waits_for:
            self._end_watch()
            self._waits_for = state
            seconds = self.headers_s if state is h11.IDLE else self.body_s
            self._limit = self.loop.call_later(seconds, self._close)

    def _end_watch(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


SERVER: dict[str, Any] = {
    "access_log": False,
    "date_header": False,
    "http": Connection,
    "lifespan": "off",
    "limit_concurrency": 500,
    "log_level": "critical",  # what a caller sends is of no account here
    "loop": "asyncio",
    "proxy_headers": False,  # or a caller on this machine would say from where it asks
    "server_header": False,
    "timeout_graceful_shutdown": 3,
    "timeout_keep_alive": 10,
    "ws": "none",
}
"""What a server of such connections is made with."""
