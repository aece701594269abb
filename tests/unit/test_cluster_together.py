"""One request for what several threads ask a cluster at the same time."""

import threading
import time

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.kubernetes.together import Together


class Asked:
    """A call that lasts until it is let go; a test says what it raises."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.goes = threading.Event()
        self.fault: BaseException | None = None

    def __call__(self, given) -> int:
        self.calls.append(sorted(given))
        self.goes.wait(5)
        if self.fault is not None:
            raise self.fault
        return len(self.calls)


def ask(together, given: int, found: dict) -> threading.Thread:
    def run() -> None:
        try:
            found[given] = together(given)
        except TargetUnreachable as fault:
            found[given] = fault

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def several(asked: Asked) -> dict:
    """Ask once, and three times while that lasts; return what each got."""
    together, found = Together(asked), {}
    threads = [ask(together, 1, found)]
    while not asked.calls:
        time.sleep(0.001)
    threads += [ask(together, number, found) for number in (2, 3, 4)]
    while len(together._waiting) < 3:
        time.sleep(0.001)
    asked.goes.set()
    for thread in threads:
        thread.join()
    return found


def test_who_asks_while_a_call_runs_shares_the_next_one():
    asked = Asked()
    assert several(asked) == {1: 1, 2: 2, 3: 2, 4: 2}
    assert asked.calls == [[1], [2, 3, 4]]


def test_all_learn_why_the_call_for_them_failed():
    asked = Asked()
    asked.fault = TargetUnreachable("list", "pods", "it is away", "wait")
    assert set(several(asked).values()) == {asked.fault}


def test_an_interrupt_of_one_thread_fails_no_other():
    asked = Asked()
    asked.goes.set()
    asked.fault = KeyboardInterrupt()
    together = Together(asked)
    with pytest.raises(KeyboardInterrupt):
        together(1)
    asked.fault = None
    assert together(2) == 2
