"""Keys of identity providers for Envoy: fetched when it asks, or those fetched last.

Envoy keeps what it has while nobody answers, and has nothing when it starts. So it asks here, over
a Unix socket in the router's folder: a question is passed on to the provider once its last answer
is too old, and where that answers no keys those of before are the answer. Only what Envoy has to
ask is answered: whoever else opens the socket could have this process send anything anywhere. A
router's first process has this as a thread; on a machine without one it is a process, `python -m …
FOLDER`.
"""

import http.server
import math
import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inference_provider.errors import InferenceError
from inference_provider.router.provider import KEYS_SOCKET, Asked, asked_in
from inference_provider.router.render import PROVIDER
from inference_provider.targets.envoy.authorities import ca_file
from inference_provider.targets.envoy.fetched_keys import FetchedKeys
from inference_provider.targets.envoy.key_fetch import FetchFault, fetch

_WAIT_S = 3.0
"""Envoy waits for five seconds, and then is without keys if it has just started."""
_LIMIT_S = 10.0


class _Fetch:
    """One question to a provider, for all who ask while it lasts."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.text = ""


class Keeper:
    """Fetches keys for one router, and keeps them.

    Args:
        folder: The router's.
        trusted: Returns the file of authorities that are trusted now; empty for none.
    """

    def __init__(self, folder: Path, trusted: Callable[[], str] = ca_file) -> None:
        self._kept = FetchedKeys(folder)
        self._trusted = trusted
        self._lock = threading.Lock()
        self._fetches: dict[str, _Fetch] = {}
        self._kept_at: dict[str, float] = {}

    def keys(self, uri: str, good_for_s: float = 0) -> str:
        """Return the keys that a URL answers now, or answered last; empty if it never did.

        Args:
            uri: http:// or https://.
            good_for_s: It is not asked if it has answered keys within so many seconds.
        """
        is_good = time.monotonic() - self._kept_at.get(uri, -math.inf) < good_for_s
        if is_good and (known := self._kept.text(uri)):
            return known
        with self._lock:
            asked = self._fetches.get(uri)
            if asked is None:
                asked = self._fetches[uri] = _Fetch()
                threading.Thread(target=self._fetch, args=(uri, asked), daemon=True).start()
        if not asked.ended.wait(_WAIT_S):
            with suppress(InferenceError):
                self._kept.fail(uri, f"no answer within {_WAIT_S:g} s")
        return asked.text or self._kept.text(uri)

    def _fetch(self, uri: str, asked: _Fetch) -> None:
        try:
            # what cannot be kept, on a full disk, is good for now
            with suppress(InferenceError, OSError):
                try:
                    asked.text = fetch(uri, self._trusted(), _LIMIT_S)
                except FetchFault as fault:
                    self._kept.fail(uri, str(fault))
                except Exception as wrong:  # noqa: BLE001 - of ours: it is said, and not lost
                    self._kept.fail(uri, type(wrong).__name__)
                else:
                    self._kept.keep(uri, asked.text)
                    self._kept_at[uri] = time.monotonic()
        finally:
            with self._lock:
                del self._fetches[uri]
            asked.ended.set()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers each question of Envoy with the keys of a URL."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, KeyServer)
        asked = server.questions().get(self.path)
        text = server.keeper.keys(asked.uri, asked.good_for_s).encode() if asked else b""
        self.send_response(200 if text else 503)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_said: object) -> None:
        pass


class KeyServer(socketserver.ThreadingUnixStreamServer):
    """Answers Envoy; who only waits holds up nobody else."""

    daemon_threads = True

    def __init__(self, folder: Path, trusted: Callable[[], str] = ca_file) -> None:
        self.keeper = Keeper(folder, trusted)
        self._checks = folder / PROVIDER
        path = folder / KEYS_SOCKET
        path.unlink(missing_ok=True)  # of one that was killed
        super().__init__(str(path), _Handler)
        path.chmod(0o600)

    def questions(self) -> dict[str, Asked]:
        """Return what Envoy may ask, by path and query; it reads that file before it asks."""
        try:
            return asked_in(self._checks.read_text())
        except (OSError, ValueError):
            return {}

    def start(self) -> None:
        """Answer from now on, in a thread."""
        threading.Thread(target=self.serve_forever, daemon=True).start()


def main() -> None:
    """Answer in the folder that the first argument names, until this process is ended."""
    os.umask(0o077)
    with KeyServer(Path(sys.argv[1])) as server:
        signal.signal(signal.SIGTERM, lambda *_given: sys.exit(0))
        server.serve_forever()


if __name__ == "__main__":
    main()
