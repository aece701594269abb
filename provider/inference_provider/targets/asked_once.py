"""A question that many threads ask in the same moment, and that is put once."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class AskedOnce(Generic[T]):
    """A question that those who ask it in the same moment ask together.

    A caller gets an answer whose question was put after the call, so it never is an old one.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._turn = threading.Lock()
        self._answer: tuple[float, T] | None = None

    def __call__(self) -> T:
        called_s = time.monotonic()
        with self._turn:
            if self._answer is None or self._answer[0] < called_s:
                began_s = time.monotonic()
                self._answer = began_s, self._ask()
            return self._answer[1]
