"""Where it is written down how far logs were sent, for a service that is started again."""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from inference_provider.targets.private_file import write_private


class Book(Protocol):
    """Keeps one document."""

    every_s: float
    """Between two times that it is written how far logs were sent; what is wrong is at once."""

    def read(self) -> bytes:
        """Return what was written last; nothing where nothing was. Raises TargetError."""

    def write(self, document: str) -> None:
        """Write it down. Raises InferenceError."""


class FileBook:
    """A file of this machine."""

    every_s = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        with suppress(OSError):
            return self._path.read_bytes()
        return b""

    def write(self, document: str) -> None:
        write_private(self._path, document)
