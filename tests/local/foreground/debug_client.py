"""The part of an editor that talks to a debugger: the Debug Adapter Protocol, over TCP."""

import json
import queue
import socket
import threading
from contextlib import suppress
from typing import Any

WAIT_S = 60


class DebugClient:
    """One connection to a debugger.

    Args:
        port: Of 127.0.0.1.
        script: File in which it is to stop.
        line: Where.
        process: What the debugger said of a process that it has found; None for the first.
    """

    def __init__(
        self, port: int, script: str, line: int, process: dict[str, Any] | None = None
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self._socket.settimeout(None)
        self._file = self._socket.makefile("rwb")
        self._events: dict[str, queue.Queue[Any]] = {}
        self._answers: dict[int, queue.Queue[Any]] = {}
        self._number, self._lock = 0, threading.Lock()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        self.ask("initialize", adapterID="test", pathFormat="path")
        there = {"connect": {"host": "127.0.0.1", "port": port}}
        self._send("attach", process or there)  # it is answered once all is configured
        self.event("initialized")
        self.ask("setBreakpoints", source={"path": script}, breakpoints=[{"line": line}])
        self.ask("configurationDone")

    def close(self) -> None:
        with suppress(OSError):  # the debugger has closed it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reading.join()
        self._file.close()
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return what a request is answered with."""
        return self._answers[self._send(command, arguments)].get(timeout=WAIT_S)

    def event(self, name: str) -> Any:
        """Wait for an event; return what it says."""
        with self._lock:
            there = self._events.setdefault(name, queue.Queue())
        return there.get(timeout=WAIT_S)

    def _send(self, command: str, arguments: dict[str, Any]) -> int:
        self._number += 1
        self._answers[self._number] = queue.Queue()
        message = {"seq": self._number, "type": "request", "command": command}
        body = json.dumps({**message, "arguments": arguments}).encode()
        self._file.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._file.flush()
        return self._number

    def _read(self) -> None:
        while header := self._file.readline():
            size = int(header.partition(b":")[2])
            self._file.readline()
            message = json.loads(self._file.read(size))
            if message["type"] == "response":
                self._answers[message["request_seq"]].put(message.get("body"))
            else:
                with self._lock:
                    there = self._events.setdefault(message["event"], queue.Queue())
                there.put(message.get("body"))
