"""A connection that is closed when it is silent: who sends nothing holds up nobody else."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """HTTP/1.1 with limits of time; uvicorn has one only for what is between two requests."""

    headers_s, body_s = 10.0, 60.0
    """How long the headers of a request may take, and then its body."""
    answer_s = 60.0
    """How long a part of an answer may wait until it is sent."""
    _limit: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _waits_for: type[Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # so that it is told of all that waits; at 0, one of TLS would stop where nothing does
        transport.set_write_buffer_limits(high=1, low=0)
        self._watch()

    def pause_writing(self) -> None:
        """Begin a limit, as the other side takes less than is sent."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.answer_s, self._close)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_unread()

    def handle_events(self) -> None:  # of a request that waited for an answer too
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_watch()
        self._end_unread()
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

    def _end_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _close(self) -> None:
        self.transport.abort()  # also one that is closing, and waits for who reads nothing


SERVER: dict[str, Any] = {
    "access_log": False,
    "date_header": False,
    "http": Connection,
    "lifespan": "off",
    "log_level": "critical",  # what a caller sends is of no account here
    "loop": "asyncio",
    "proxy_headers": False,  # or a caller on this machine would say from where it asks
    "server_header": False,
    "timeout_graceful_shutdown": 3,
    "timeout_keep_alive": 10,
    "ws": "none",
}
"""What a server of such connections is made with."""
