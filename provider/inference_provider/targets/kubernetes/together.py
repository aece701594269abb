"""What many threads ask a cluster at once, asked by one request for all of them."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Given = TypeVar("Given")
Answer = TypeVar("Answer")


class Together(Generic[Given, Answer]):
    """One call for all that wait: who comes while a call runs is part of the next one.

    So an answer is never older than its question. Who is alone never waits.

    Args:
        call: Does it for several at once; what it raises, all of them get.
    """

    def __init__(self, call: Callable[[Sequence[Given]], Answer]) -> None:
        self._call = call
        self._waiting: list[_Asked[Given, Answer]] = []
        self._listing, self._turn = threading.Lock(), threading.Lock()

    def __call__(self, given: Given) -> Answer:
        own = _Asked[Given, Answer](given)
        with self._listing:
            self._waiting.append(own)
        with self._turn:
            if not own.done:
                self._answer(own)
        if own.fault is not None:
            raise own.fault
        return own.answers[0]

    def _answer(self, own: "_Asked[Given, Answer]") -> None:
        """Answer all that wait; an interrupt is this thread's own, and the others ask again."""
        with self._listing:
            asked, self._waiting = self._waiting, []
        try:
            answer = self._call([one.given for one in asked])
        except Exception as fault:  # noqa: BLE001 - each thread raises it
            for one in asked:
                one.fault, one.done = fault, True
        except BaseException:
            with self._listing:
                self._waiting += [one for one in asked if one is not own]
            raise
        else:
            for one in asked:
                one.answers, one.done = [answer], True


class _Asked(Generic[Given, Answer]):
    """One question."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.answers: list[Answer] = []
        self.fault: Exception | None = None
        self.done = False
