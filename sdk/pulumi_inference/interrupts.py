"""Hides the traceback of the interrupt with which the engine ends a program after a failure.

The language host lets the program's KeyboardInterrupt escape, so Python prints some thirty lines
of asyncio and threads above the one error that counts.
"""

import sys
from pathlib import Path
from types import TracebackType

_LANGUAGE_HOST = "pulumi-language-python-exec"


def end_without_a_traceback() -> None:
    """Keep quiet about an interrupt, in a process that the language host started."""
    started = any(Path(word).name == _LANGUAGE_HOST for word in sys.orig_argv)
    if started and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _all_but_interrupts


def _all_but_interrupts(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
