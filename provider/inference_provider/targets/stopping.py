"""A request to stop that reaches every waiting thread of this process.

`inferctl` is interrupted by a KeyboardInterrupt in its main thread. Pulumi's engine asks its plugin
to stop with a call in another thread, so the thread that waits for an instance checks here. The
request cannot be taken back: it ends the work of the process.
"""

import threading

from inference_provider.errors import Interrupted

_asked = threading.Event()


def ask_to_stop() -> None:
    """Make every wait of this process end."""
    _asked.set()


def refuse_when_stopped(operation: str, resource: str) -> None:
    """Raise Interrupted once somebody has asked to stop."""
    if _asked.is_set():
        raise Interrupted(
            operation,
            resource,
            "interrupted",
            "what served before keeps serving; run it again to continue",
        )
