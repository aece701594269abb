"""Commands in running containers that answer each line with a line, and wait for the next one.

To start one takes 70 ms and as much of a core, to ask one that runs 2 ms.
"""

import socket as sockets
import ssl
import struct
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from inference_provider.serving.image import ROUTER_FOLDER

_KEPT = 8
_IDLE_S = 30.0
"""A firewall may forget a connection on which nothing is said for longer, seconds."""
_HEAD = struct.Struct(">BxxxL")
"""Before each part of what a command says: which of its streams it is of, and how long it is."""
_STDOUT = 1
_MOST = 64 << 20
"""Bytes of an answer: a program of an image of somebody's may never end its line."""


class Command(NamedTuple):
    """What runs, and where."""

    container: str
    """Its id, since another one may get its name."""
    words: tuple[str, ...]
    """Program and arguments; others on the host can read them."""


def program(container: str, module: ModuleType, socket: str, *given: str) -> Command:
    """Return what runs a module in a router, which may be too old to have it."""
    text = Path(str(module.__file__)).read_text()
    words = ("python3", "-I", "-S", "-c", text, f"{ROUTER_FOLDER}/{socket}", *given)
    return Command(container, words)


class Conversation:
    """A command that runs, for one question at a time; its connection is closed with this."""

    def __init__(self, command: Command, id_: str, stream: Any) -> None:
        self.command = command
        self.id = id_
        self._socket: sockets.socket = getattr(stream, "_sock", stream)
        self._until_s = 0.0
        self.close = weakref.finalize(self, _close, stream)

    def answer(self, line: bytes, limit_s: float) -> bytes:
        """Return the line that it answers; without a line's end all that it said, if it ended.

        Raises:
            TimeoutError: It has not answered in time.
        """
        self._until_s, until_s = 0.0, time.monotonic() + limit_s
        heard = _Heard()
        with suppress(ConnectionError, ssl.SSLError):
            self._socket.settimeout(limit_s)
            self._socket.sendall(line)
            while not heard.is_whole() and (part := self._socket.recv(1 << 16)):
                heard.add(part)
                self._socket.settimeout(max(0.001, until_s - time.monotonic()))  # 0: no wait
        if heard.is_whole():
            self._until_s = time.monotonic() + _IDLE_S
            return bytes(heard.said[_STDOUT])
        return b"".join(heard.said.values()).strip()

    def waits(self) -> bool:
        """Whether it has answered, not long ago, and can be asked again."""
        if time.monotonic() > self._until_s:
            return False
        self._socket.settimeout(0)
        try:
            self._socket.recv(1)  # returns at its end: it says nothing unasked
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False


class Conversations:
    """Those that nobody asks now."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._idle: list[Conversation] = []

    def take(self, command: Command) -> Conversation | None:
        """Return one that waits, for the caller alone; None where none does."""
        while True:
            with self._changing:
                found = [one for one in self._idle if one.command == command]
                if not found:
                    return None
                self._idle.remove(found[-1])
            if found[-1].waits():
                return found[-1]
            found[-1].close()

    def keep(self, one: Conversation) -> None:
        """Keep one for the next question, if it can be asked again, and end those too many."""
        if not one.waits():
            one.close()
            return
        with self._changing:
            self._idle.append(one)
            over = self._idle[:-_KEPT]
            del self._idle[:-_KEPT]
        for other in over:
            other.close()

    def close(self) -> None:
        with self._changing:
            left, self._idle = self._idle, []
        for one in left:
            one.close()


class _Heard:
    """What a command has said so far."""

    def __init__(self) -> None:
        self.said = {_STDOUT: bytearray()}
        """By the number of the stream."""
        self._head = bytearray()
        self._number, self._left = _STDOUT, 0
        """The stream of the part that comes, and how much of that is still to come."""

    def is_whole(self) -> bool:
        """Whether it is a line."""
        return self.said[_STDOUT].endswith(b"\n")

    def add(self, more: bytes) -> None:
        """Add what has come. Raises ConnectionError for a command that says too much."""
        rest = memoryview(more)
        while rest:
            if self._left:
                taken, rest = rest[: self._left], rest[self._left :]
                self._left -= len(taken)
                self.said.setdefault(self._number, bytearray()).extend(taken)
            else:
                missing = _HEAD.size - len(self._head)
                self._head += rest[:missing]
                rest = rest[missing:]
                if len(self._head) == _HEAD.size:
                    self._number, self._left = _HEAD.unpack(self._head)
                    self._head.clear()
        if sum(map(len, self.said.values())) > _MOST:
            raise ConnectionError(f"a command says more than {_MOST} bytes")


def _close(stream: Any) -> None:
    """Close a command's stream, the socket that it borrows, and the answer that has that."""
    answer, raw = getattr(stream, "_response", None), getattr(stream, "_sock", None)
    stream.close()
    if raw is not None:
        raw.close()
    if answer is not None:
        with suppress(ValueError):  # it flushes what is closed
            answer.close()
