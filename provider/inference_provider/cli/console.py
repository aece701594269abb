"""Where a command prints: rich's console, which no text from outside controls."""

from typing import IO, Any

from rich.console import Console

from inference_provider.printable import printable


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **options)


def console(stream: IO[str]) -> Console:
    """Return a console that breaks lines on a terminal only, and colours nothing by itself."""
    width = None if stream.isatty() else 500
    return _Console(
        file=stream, width=width, highlight=False, emoji=False, soft_wrap=not stream.isatty()
    )
