"""Asks the liveness route of each instance of a workspace, and ends those that hang.

Runs as a thread of `watch.py`, so it imports only the standard library and modules of ours that do
the same. supervisord starts again what it ends. `liveness.py` decides.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from inference_provider.targets.local.liveness import Asked, Ended, Ward
from inference_provider.targets.local.pid_notes import means

LOOK_S = 0.5
AT_ONCE = 64
"""Questions side by side, each in a thread, of which there are no more than were ever needed."""
_HOST = "127.0.0.1"
_LONGEST_BYTES = 4096
"""Of an answer, in which its status must have come."""
_MARK = b"INFERENCE_INSTANCE="
"""See `leftovers.py`, which imports more than the standard library."""

Tell = Callable[[str, str, str], None]
"""Told an instance, the name of an event, and a sentence."""


class Processes:
    """The first process of each instance, by its note."""

    def __init__(self, pids: Path) -> None:
        self._pids = pids

    def find(self, instance: str) -> int | None:
        """Return an instance's process; None while there is none."""
        try:
            note = json.loads((self._pids / instance).read_bytes())
            pid = int(note["pid"])
            ours = means(note, pid)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if ours is None:
            ours = _has_mark(pid, instance)
        return pid if ours else None

    def end(self, instance: str, pid: int, number: int) -> bool:
        """Send a signal to a process, if it still is the instance's; never to another of its pid.

        What is opened stays that process. If the pid belongs to another by the time its start is
        read, the signal goes to one that has ended, which is an error.
        """
        try:
            opened = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            if self.find(instance) != pid:
                return False
            signal.pidfd_send_signal(opened, number)
        except OSError:
            return False
        finally:
            os.close(opened)
        return True


def _has_mark(pid: int, instance: str) -> bool:
    """Whether a process has an instance's mark in its environment, where its note says no more.

    A server that sets its title has overwritten it.
    """
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return False
    end = b"/" + instance.encode()
    return any(one.startswith(_MARK) and one.endswith(end) for one in variables)


class Documents:
    """What the workspace's documents say of its instances, read again when they change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[tuple[int, int, int], Any]] = {}

    def asked(self) -> list[Asked]:
        """Return how each admitted instance is asked; without those of older releases.

        The record says how, which is not yet that of instances that start, nor any more that of
        instances that drain: on these is whoever starts or drains them.
        """
        return [one for path in self._instances() for one in self._of(path)]

    def by_port(self) -> dict[str, str]:
        """Return the names of all instances, by their port, which names their socket too."""
        documents = [self._read(path) or () for path in self._instances()]
        with suppress(KeyError, TypeError):  # a document half there
            return {str(one["port"]): one["name"] for some in documents for one in some}
        return {}

    def _instances(self) -> list[Path]:
        return sorted((self._folder / "instances").glob("[!.]*.json"))

    def _of(self, path: Path) -> Iterator[Asked]:
        deployment = unquote(path.name.removesuffix(".json"))
        record = f"Deployment.{deployment}"
        recorded = self._read(self._folder / "records" / f"{quote(record, safe='')}.json")
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # a document half there
            fields, admitted = recorded["properties"], recorded.get("admitted")
            probe, first_s = fields["liveness_probe"], fields["readiness_probe"]["initial_delay"]
            stop_wait = fields["request_settings"]["request_timeout_ms"] // 1000 + 5
            for one in self._read(path) or ():
                if one.get("liveness_path") and (admitted is None or one["name"] in admitted):
                    yield Asked(
                        name=one["name"],
                        deployment=deployment,
                        port=int(one["port"]),
                        socket=bool(one.get("socket")),
                        path=one["liveness_path"],
                        initial_delay=int(probe["initial_delay"]),
                        period=int(probe["period"]),
                        timeout=int(probe["timeout"]),
                        failure_threshold=int(probe["failure_threshold"]),
                        start_limit=int(first_s) + int(fields["start_timeout_s"]),
                        stop_wait=int(stop_wait),
                    )

    def _read(self, path: Path) -> Any:
        try:
            stat = path.stat()
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if path not in self._known or self._known[path][0] != stamp:
                self._known[path] = stamp, json.loads(path.read_bytes())
        except (OSError, ValueError):  # being written, gone, or half there
            self._known.pop(path, None)
            return None
        return self._known[path][1]


def failure(place: str | tuple[str, int], path: str, timeout_s: float) -> str:
    """Ask a liveness route; return why it did not answer 200 to 399 in time, else nothing.

    Args:
        place: Path of a Unix socket, or host and port.
        path: The route.
        timeout_s: For all of it, however slowly an answer comes.
    """
    until_s = time.monotonic() + timeout_s
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as asked:
            asked.settimeout(timeout_s)
            asked.connect(place)
            lines = (f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", "", "")
            asked.sendall("\r\n".join(lines).encode())
            status = _status(asked, until_s)
    except TimeoutError:
        return f"GET {path}: no answer within {timeout_s:g} s"
    except OSError as fault:
        return f"GET {path}: {fault}"
    except (IndexError, ValueError):
        return f"GET {path}: no answer in HTTP"
    return "" if 200 <= status < 400 else f"GET {path}: status {status}"


def _status(asked: socket.socket, until_s: float) -> int:
    heard = b""
    while b"\r\n" not in heard and len(heard) < _LONGEST_BYTES:
        asked.settimeout(max(0.001, until_s - time.monotonic()))  # 0: no wait
        part = asked.recv(256)
        if not part:
            break
        heard += part
    return int(heard.split()[1])


class _Answer(NamedTuple):
    name: str
    pid: int
    """0 where it had none, or another after the question."""
    fault: str
    begun_s: float


class Prober:
    """Asks the instances of one workspace."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        """Prepare to ask the instances of a workspace's folder."""
        self._folder = folder
        self._documents = Documents(folder)
        self._processes = Processes(folder / "supervisor" / "pids")
        self._tell = tell
        self._ward = Ward()
        self._answers: SimpleQueue[_Answer] = SimpleQueue()
        self._ended: set[tuple[str, int]] = set()
        self._stopping: set[str] = set()
        self._is_over = threading.Event()

    def start(self) -> None:
        """Ask from now on, beside whatever this process does."""
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Ask nobody any more."""
        self._is_over.set()

    def took(self, instance: str, event: str) -> None:
        """Ask one no more that was told to stop, until it is started again.

        Args:
            instance: Which.
            event: What supervisord has told of it, by the name of an event.
        """
        if event == "Killing":
            self._stopping.add(instance)
        elif event == "Started":
            self._stopping.discard(instance)

    def is_stopping(self, instance: str) -> bool:
        """Whether one was told to stop, and has not been started since."""
        return instance in self._stopping

    def has_ended(self, instance: str, pid: int) -> bool:
        """Whether a process that has ended did so because it hung; asked once of each."""
        found = (instance, pid) in self._ended
        self._ended.discard((instance, pid))
        return found

    def _run(self) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while not self._is_over.wait(LOOK_S):
                try:
                    self._look(pool)
                except Exception as fault:  # noqa: BLE001 - no fault may end all probes
                    self._complain(fault)

    def _look(self, pool: ThreadPoolExecutor) -> None:
        listed = self._documents.asked()
        self._stopping.intersection_update(one.name for one in listed)  # the others are gone
        there = [one for one in listed if one.name not in self._stopping]
        self._ward.look(there, time.monotonic())
        with suppress(Empty):
            while True:
                self._note(self._answers.get_nowait())
        for ended in self._ward.to_end(time.monotonic()):
            self._end(ended)
        for asked in self._ward.due(time.monotonic(), AT_ONCE):
            pool.submit(self._ask, asked)

    def _ask(self, asked: Asked) -> None:
        begun_s, pid, fault = time.monotonic(), 0, ""
        try:
            pid, fault = self._question(asked)
        except Exception as wrong:  # noqa: BLE001 - whoever asks is to ask again
            self._complain(wrong)
        self._answers.put(_Answer(asked.name, pid, fault, begun_s))

    def _question(self, asked: Asked) -> tuple[int, str]:
        """Return the process that was asked, or 0 where it was not one, and why it failed."""
        pid, fault = self._processes.find(asked.name) or 0, ""
        if pid:
            path = str(self._folder / "sockets" / str(asked.port))
            place = path if asked.socket else (_HOST, asked.port)
            fault = failure(place, asked.path, asked.timeout)
            if self._processes.find(asked.name) != pid:
                pid = 0
        return pid, fault

    def _note(self, answer: _Answer) -> None:
        if not answer.pid:
            self._ward.absent(answer.name)
            return
        counted = self._ward.answered(
            answer.name,
            answer.pid,
            lives=not answer.fault,
            begun_s=answer.begun_s,
        )
        if counted:
            self._say(answer.name, "LivenessProbeFailed", f"Liveness probe failed: {answer.fault}")

    def _end(self, ended: Ended) -> None:
        self._ended.add((ended.name, ended.pid))
        number = signal.SIGKILL if ended.killed else signal.SIGTERM
        if not self._processes.end(ended.name, ended.pid, number):
            self._ended.discard((ended.name, ended.pid))
        elif ended.killed:
            self._say(ended.name, "Killing", "It did not heed SIGTERM, and was killed")
        else:
            times = f"{ended.failures} time{'s' * (ended.failures != 1)}"
            said = f"Instance failed its liveness probe {times}, will be restarted"
            self._say(ended.name, "Killing", said)

    def _say(self, instance: str, name: str, message: str) -> None:
        try:
            self._tell(instance, name, message)
        except OSError as fault:  # a full disk
            self._complain(fault)

    @staticmethod
    def _complain(fault: Exception) -> None:
        print(f"liveness: {type(fault).__name__}: {fault}", file=sys.stderr, flush=True)  # noqa: T201
