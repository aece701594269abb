"""What is asked of the process in which requests wait for an instance (`room_server.py`)."""

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from inference_provider.observed import Frozen

SOCKET = "waiting.sock"
_ANSWERS_S = 2.0
"""Time for an answer beyond the one for which it was asked to wait."""


class Said(Frozen):
    """What the process says."""

    news: int
    """Rises when a request begins to wait for a deployment without an instance, or `woken` has
    changed."""
    waiting: Mapping[str, int] = {}
    """Requests that wait, by `<endpoint>/<deployment>`."""
    woken: tuple[str, ...] = ()
    """Deployments that the routes in force hold requests of, and need not any more."""


class Room:
    """Asks that process.

    Args:
        folder: The router's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / SOCKET

    def ask(self, after: int = -1, wait_s: float = 0.0) -> Said | None:
        """Return what it says; None when it does not answer.

        Args:
            after: It waits for news after those; for none where it is below.
            wait_s: Longest such wait, seconds.
        """
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as link:
            link.settimeout(wait_s + _ANSWERS_S)
            link.connect(str(self._path))
            link.sendall(json.dumps({"after": after, "wait_s": wait_s}).encode() + b"\n")
            with link.makefile("rb") as answer:
                return Said.model_validate_json(answer.read())
        return None
