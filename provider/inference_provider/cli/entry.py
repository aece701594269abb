"""Where `inferctl` begins: an interrupt before anything can change is a sentence, too."""

import gc
import os
import signal
import sys

COLLECT_EVERY = 500_000
"""New objects between two collections. Loading makes so many that stay that collecting every 700,
as Python does by itself, takes a twelfth of a short command."""
_INTERRUPTED = "interrupted; nothing was changed\n"


def main() -> None:
    gc.set_threshold(COLLECT_EVERY)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, _leave)
    try:
        from inference_provider.cli.main import main as run  # noqa: PLC0415 - this is the wait
    except KeyboardInterrupt:
        sys.stderr.write(_INTERRUPTED)
        sys.exit(130)
    run()


def _leave(*_: object) -> None:
    """End at once. An exception would be lost, or become another, in a module written in C."""
    os.write(2, _INTERRUPTED.encode())
    os._exit(130)


def raise_interrupts() -> None:
    """From now on raise KeyboardInterrupt: what has begun to change has to be tidied up.

    So do the signals of a CI system that cancels a job, and of a terminal that is closed.
    """
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for also in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(also) is signal.SIG_DFL:  # else it is ignored, as by nohup
            signal.signal(also, signal.default_int_handler)
