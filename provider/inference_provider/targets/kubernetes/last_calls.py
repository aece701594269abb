"""Whether the last calls of a router pod were fetched by who sends them, before the pod ends."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from inference_provider.targets.envoy.questions import Answers, Request

_ASKED_S = 20.0
"""Time after which nobody is taken to ask any more: it is asked every five seconds."""


class LastCalls:
    """Notes who asks for the access log of a pod.

    Args:
        answers: What may be asked of it.
    """

    def __init__(self, answers: Answers) -> None:
        self._ask = answers["new_calls"]
        self._asked_s = float("-inf")
        self._has_ended = False
        self._fetched = threading.Event()

    def answers(self) -> Answers:
        """Return the answer that notes it."""
        return {"new_calls": self._answer}

    def _answer(self, asked: Request) -> Mapping[str, Any]:
        self._asked_s = time.monotonic()
        has_ended = self._has_ended
        found: Mapping[str, Any] = self._ask(asked)
        if has_ended and not found["lines"] and not found["left"]:
            self._fetched.set()  # what it asks from on was taken
        return found

    def wait(self, limit_s: float) -> bool:
        """Wait until all is fetched that Envoy, which has ended, has written.

        Returns:
            Whether it was; False at once where nobody asks.
        """
        self._has_ended = True
        if time.monotonic() - self._asked_s > _ASKED_S:
            return False
        return self._fetched.wait(limit_s)
