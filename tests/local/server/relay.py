"""Stands between a caller and a real supervisord, and spoils the answer to one call."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import psutil

METHOD = re.compile(rb"<methodName>supervisor\.(\w+)</methodName>")


class Relay:
    """Passes calls on; from the first `method` on, `times` answers are spoiled.

    `killed`: supervisord dies before it answers. `silent`: it is stopped. `cut`: half an answer.
    """

    def __init__(self, folder: Path, method: str, fault: str, times: int = 1) -> None:
        self._real, self._path = folder / "real.sock", folder / "s.sock"
        self._daemon = int((folder / "supervisord.pid").read_text())
        self._method, self._fault, self._left = method, fault, times
        self.calls: list[str] = []
        self._path.rename(self._real)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._fault == "silent":
            os.kill(self._daemon, signal.SIGCONT)
        if self._real.exists():
            self._real.rename(self._path)

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        gone = contextlib.suppress(OSError)  # who asked a silent one waits no longer
        with gone, connection, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as real:
            request = _message(connection)
            method = METHOD.search(request)[1].decode()
            self.calls.append(method)
            spoil = method == self._method and self._left > 0
            self._left -= spoil
            if spoil and self._fault == "killed":
                os.kill(self._daemon, signal.SIGKILL)
                _wait_until_gone(self._daemon)
                self._close()
                return
            if spoil and self._fault == "silent":
                os.kill(self._daemon, signal.SIGSTOP)
            real.connect(str(self._real))
            real.sendall(request)
            answer = _message(real)
            connection.sendall(answer[: len(answer) // 2] if spoil else answer)


def _wait_until_gone(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def _message(connection: socket.socket) -> bytes:
    """Return one HTTP message, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
