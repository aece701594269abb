"""A look of the service at what it keeps: what is wrong is said once, and the next look comes."""

import sys
import traceback
from collections.abc import Callable
from typing import Protocol

from inference_provider.errors import InferenceError

_FORESEEN = (InferenceError, OSError)


Beat = Callable[[str], None]
"""Told of each look of a loop, with why it failed; empty where it did not."""


def unheard(_fault: str) -> None:
    """Note no look: nobody looks after the loops of this process."""


class Keeper(Protocol):
    """Keeps something as it is declared, look by look."""

    def look(self) -> None: ...


def look(keeper: Keeper, said: str) -> str:
    """Look once; say what is wrong when it is not what was said last, and return it."""
    try:
        keeper.look()
    except Exception as fault:  # noqa: BLE001 - it is said, and the next look may go well
        wrong = said_of(fault)
        if wrong != said:
            told = wrong if isinstance(fault, _FORESEEN) else traceback.format_exc().rstrip()
            print(told, file=sys.stderr, flush=True)  # noqa: T201 - the log of the process
        return wrong
    return ""


def said_of(fault: Exception) -> str:
    """Say what is wrong; of what nobody foresaw, of which kind it is too."""
    return str(fault) if isinstance(fault, _FORESEEN) else f"{type(fault).__name__}: {fault}"
