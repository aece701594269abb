"""Looks that are made again and again, beside what else a process does."""

import threading
from collections.abc import Callable


def repeat(name: str, look: Callable[[], object], every_s: float) -> None:
    """Look for ever, in a thread that ends with the process; a look raises nothing."""

    def run() -> None:
        pause = threading.Event()
        while True:
            look()
            pause.wait(every_s)

    threading.Thread(target=run, name=name, daemon=True).start()
