"""`inferctl serve` as a person runs it, in a folder of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.local.conftest import Lab
from tests.local.server.model import until
from tests.ports import own_port

KEY = "a-key-of-this-test"


class Foreground:
    """A run of the command, and what a person at its terminal sees."""

    def __init__(self, folder: Path, state: Path, words: tuple[str, ...]) -> None:
        self.port = own_port()
        self.folder, self._output = folder, folder / "output.log"
        self.temporary = folder / "t"
        self.temporary.mkdir(exist_ok=True)
        command = Path(sys.executable).with_name("inferctl")
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [str(command), "serve", *words, "--port", str(self.port)],
                cwd=folder,
                env={
                    **os.environ,
                    "INFERENCE_STATE_DIR": str(state),
                    "INFERENCE_SERVE_KEY": KEY,
                    "TMPDIR": str(self.temporary),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str, times: int = 1, timeout_s: float = 60) -> None:
        until(lambda: self.said().count(text) >= times or self.has_ended(), timeout_s)
        assert self.said().count(text) >= times, self.said()

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def score(self, endpoint: str = "iris", key: str = KEY, **body: object) -> httpx.Response:
        return httpx.post(
            f"http://127.0.0.1:{self.port}/endpoints/{endpoint}/score",
            json=body,
            headers={"authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )

    def family(self) -> list[psutil.Process]:
        """Return what it has started, and what that has."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def send(self, signal_number: int) -> None:
        self._process.send_signal(signal_number)

    def wait(self) -> int:
        """Return its exit status."""
        return self._process.wait(30)

    def end(self) -> None:
        if not self.has_ended():
            self.send(signal.SIGINT)
            self.wait()


Start = Callable[..., Foreground]


@pytest.fixture
def serve(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start `inferctl serve` on the files of the lab."""
    begun: list[Foreground] = []

    def start(*words: str) -> Foreground:
        lab.resources()  # writes the stack file
        begun.append(Foreground(lab.folder, lab.state, words))
        return begun[-1]

    yield start
    for one in begun:
        one.end()
