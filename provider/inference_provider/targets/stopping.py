"""A wish to stop that reaches whoever waits: some front ends can only be told in another thread.

`inferctl` is interrupted by a KeyboardInterrupt where it stands. Pulumi's engine asks its plugin by
a call of its own, so the thread that waits for an instance looks here. One wish ends the process's
work: nothing takes it back.
"""

import threading

from inference_provider.errors import Interrupted

_asked = threading.Event()


def ask_to_stop() -> None:
    """Let every wait of this process end."""
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
