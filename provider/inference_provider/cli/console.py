"""Where a command prints: rich's console on a terminal, plain lines elsewhere."""

import os
from typing import IO, TYPE_CHECKING, Any

from inference_provider.printable import printable

if TYPE_CHECKING:
    from rich.console import Console


class Lines:
    """Prints to a pipe or a file, without rich, whose import takes 15 ms."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def print(self, text: str, *, markup: bool = False) -> None:
        """Write one text and a newline at once; no text is read as markup."""
        self._stream.write(f"{printable(text)}\n")
        self._stream.flush()


def console(stream: IO[str]) -> "Console | Lines":
    """Return what prints to a stream; no text from outside controls a terminal."""
    if stream.isatty() or "FORCE_COLOR" in os.environ:
        return _on_a_terminal(stream)
    return Lines(stream)


def _on_a_terminal(stream: IO[str]) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - for a terminal only

    class Terminal(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **options)

    real = stream.isatty()
    return Terminal(
        file=stream, width=None if real else 500, highlight=False, emoji=False, soft_wrap=not real
    )
