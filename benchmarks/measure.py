"""What the benchmarks share: tables, ports, processes that are ended, a wait.

What is measured is in `router.py`, `weights.py`, `stack.py` and `pulumi_overhead.py`.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
"""The environment's commands: envoy, inferctl."""


@dataclass(frozen=True)
class Table:
    """One printed table, and what its reader has to know."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        aligned = ["---", *["---:"] * (len(self.header) - 1)]
        lines = [f"## {self.title}", ""]
        if self.rows:
            lines += ["| " + " | ".join(row) + " |" for row in (self.header, aligned, *self.rows)]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes), ""])


def skipped(title: str, reason: str) -> Table:
    return Table(title, (), (), (f"Skipped: {reason}.",))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def until(question: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not question():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what} did not happen in {timeout_s:.0f} s")
        time.sleep(0.02)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; it is ended on the way out, whatever happened."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def timed(command: Sequence[str], folder: Path, more: dict[str, str], limit_s: float) -> float:
    """Return the seconds a command ran.

    Raises:
        RuntimeError: It failed; with the end of what it said.
        subprocess.TimeoutExpired: It ran past the limit.
    """
    start_s = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    spent_s = time.perf_counter() - start_s
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-1500:]
        raise RuntimeError(f"{' '.join(command[:3])}: exit code {done.returncode}\n{said}")
    return spent_s


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
