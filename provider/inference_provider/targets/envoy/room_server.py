"""The process in which requests wait for an instance, where nobody lives as long as the router.

It has the waiting room of a router that others publish to, `python -m … FOLDER`. They say first
what they publish, in a file (`room_file.py`), and ask who waits over a socket (`room.py`). A
router's first process has the room as a thread instead.

Whoever waits when this ends is answered 503 by Envoy, and who comes next waits in its successor.
"""

import json
import os
import socketserver
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference_provider.targets.envoy import process
from inference_provider.targets.envoy.room import SOCKET, Said
from inference_provider.targets.envoy.room_file import RoomFile
from inference_provider.targets.envoy.room_news import RoomNews
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.envoy.waiting_room import WaitingRoom

_LONGEST_LINE = 1024
_LONGEST_WAIT_S = 60.0


class RoomServer(socketserver.ThreadingUnixStreamServer):
    """The waiting room of one router, and answers about it.

    Args:
        folder: The router's.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self._file = RoomFile(folder)
        self._news = RoomNews()
        self._room = WaitingRoom(
            folder,
            RouterAdmin(folder / "admin.sock"),
            self._news.tell,
            catch_up=self._catch_up,
            begun=self._news.tell,
        )
        self._catch_up()
        self._room.start()
        path = folder / SOCKET
        path.unlink(missing_ok=True)  # of one that was killed
        super().__init__(str(path), _Handler)
        path.chmod(0o600)

    def lives(self) -> bool:
        """Whether requests can wait."""
        return self._room.lives()

    def said(self, after: int, wait_s: float) -> Said:
        """Return what there is to say, once there is news after those that somebody has."""
        return self._news.said(self._room, after, wait_s)

    def _catch_up(self) -> None:
        if (endpoints := self._file.news()) is not None:
            self._room.follow(endpoints)

    def service_actions(self) -> None:
        """End with the room: what starts this starts it again."""
        if not self.lives():
            os._exit(1)


class _Handler(socketserver.StreamRequestHandler):
    """Answers one question."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, RoomServer)
        with suppress(OSError, ValueError, TypeError):  # who asked has gone, or asks nonsense
            asked: Any = json.loads(self.rfile.readline(_LONGEST_LINE))
            found = server.said(int(asked["after"]), min(float(asked["wait_s"]), _LONGEST_WAIT_S))
            self.wfile.write(found.model_dump_json().encode())


def main() -> None:
    """Let requests wait in the folder that the first argument names, until this is ended."""
    os.umask(0o077)
    process.raise_open_files()
    with RoomServer(Path(sys.argv[1])) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
