"""What a page of the service runs in: it acts as who is signed in, and its calls are written down.

Goes in: who is signed in, by which browser. Comes out: the actor of records and of the journal.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from inference_provider.cli.session import Session
from inference_provider.errors import TargetError
from inference_provider.observed import Actor, ResourceId
from inference_provider.workspace.desk import Caller, Desk

CALLS_TOLD_S = 600.0
"""How long one entry of the journal stands for all calls of a browser to an endpoint."""


class Calls:
    """Writes down who calls an endpoint by its key: the router sees the same key from everybody.

    Args:
        desk: Of the workspace.
        clock: Seconds that only go on.
    """

    def __init__(self, desk: Desk, clock: Callable[[], float] = time.monotonic) -> None:
        self._desk, self._clock = desk, clock
        self._told_s: dict[tuple[str, ResourceId], float] = {}
        self._lock = Lock()

    def note(self, browser: str, endpoint: ResourceId, actor: Actor) -> None:
        """Write down a call that is about to be made, the first in a while of its browser.

        Raises:
            OutOfCapacity: No space is left. The next call tries again.
        """
        one, now_s = (browser, endpoint), self._clock()
        with self._lock:
            since_s = now_s - CALLS_TOLD_S
            self._told_s = {of: at for of, at in self._told_s.items() if at > since_s}
            is_told = one in self._told_s
        if not is_told:
            self._desk.note_call(endpoint, actor)  # it may wait for a disk
            with self._lock:
                self._told_s[one] = now_s


@dataclass
class SessionOf(Session):
    """What handlers of pages run in: the actor is who has signed in."""

    caller: Caller | None = None
    browser: str = ""
    token: str = field(default="", repr=False)
    """By which the caller has signed in."""
    calls: Calls | None = None

    def actor(self, _command: str) -> Actor:
        assert self.caller is not None, "no page runs before somebody is signed in"
        return self.caller.actor.model_copy(update={"command": "workspace console"})

    def callers_token(self, endpoint: ResourceId) -> str:
        assert self.caller is not None, "no page runs before somebody is signed in"
        if not (self.caller.by_provider and self.token):
            reason = (
                "it takes tokens of the workspace's identity_provider alone, and you have signed in"
                " with one of the workspace itself"
            )
            remedy = "sign out, and sign in with a token of the identity_provider"
            raise TargetError("score", str(endpoint), reason, remedy)
        return self.token

    def note_use_of_key(self, endpoint: ResourceId) -> None:
        assert self.calls is not None, "the service writes down who calls"
        self.calls.note(self.browser, endpoint, self.actor("score"))
