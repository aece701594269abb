"""Calls side by side: order, bounds, failures, interrupts."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from inference_provider.errors import SeveralFailed, TargetError
from inference_provider.schedule import EDITS_AT_ONCE, Calls, default_parallel, run


class Trace:
    """Calls that note when they begin and end, and how many ran at once."""

    def __init__(self, pause_s=0.01, failing=()):
        self.begun, self.ended, self.most = [], [], 0
        self._pause_s, self._failing = pause_s, failing
        self._running = 0
        self._lock = threading.Lock()

    def __call__(self, i):
        with self._lock:
            self.begun.append(i)
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(self._pause_s)
        with self._lock:
            self._running -= 1
            self.ended.append(i)
        if i in self._failing:
            raise TargetError("start", f"call {i}", "it failed")
        return i


def free(count):
    return [set() for _ in range(count)]


def silent(_i, _result):
    pass


def test_one_at_a_time_keeps_the_order_and_this_thread():
    threads = []
    run(Calls(lambda i: threads.append((i, threading.current_thread())), free(3)), silent, 1)
    assert threads == [(i, threading.main_thread()) for i in (0, 1, 2)]


def test_one_at_a_time_stops_at_the_first_failure():
    trace = Trace(failing={1})
    with pytest.raises(TargetError, match="start call 1: it failed"):
        run(Calls(trace, free(3)), silent, 1)
    assert trace.begun == [0, 1]


def test_a_call_begins_after_all_that_it_waits_for():
    trace = Trace()
    run(Calls(trace, [set(), set(), {0, 1}, {2}, set()]), silent, 2)
    assert trace.begun.index(2) >= 2
    assert trace.ended.index(3) > trace.ended.index(2) > trace.ended.index(0)


def test_work_is_bounded_and_edits_are_not():
    work, edits = Trace(), Trace(pause_s=0.2)
    calls = Calls(lambda i: work(i) if i < 10 else edits(i), free(30), work=frozenset(range(10)))
    run(calls, silent, 3)
    assert (work.most, edits.most) == (3, 20)
    assert len(work.ended) + len(edits.ended) == 30


def test_edits_have_a_bound_of_their_own():
    trace = Trace(pause_s=0.2)
    run(Calls(trace, free(100)), silent, 2)
    assert trace.most == EDITS_AT_ONCE == 64


def test_results_are_told_in_the_callers_thread():
    told = []
    run(Calls(lambda i: i * 10, free(3)), lambda i, r: told.append((i, r, _here())), 2)
    assert sorted(told) == [(0, 0, True), (1, 10, True), (2, 20, True)]


def _here():
    return threading.current_thread() is threading.main_thread()


def test_what_runs_alone_runs_in_the_callers_thread():
    where = []
    run(Calls(lambda i: where.append(_here()), [set(), {0}, {1}]), silent, 4)
    assert where == [True, True, True]


def test_after_a_failure_nothing_begins_and_what_runs_is_waited_for():
    trace = Trace(failing={0})

    def call(i):
        time.sleep(0.2 * i)  # call 1 ends long after the failure is known
        return trace(i)

    calls = Calls(call, [*free(2), {0}, {1}], work=frozenset(range(4)))
    with pytest.raises(TargetError, match="call 0"):
        run(calls, silent, 2)
    assert sorted(trace.begun) == [0, 1]
    assert sorted(trace.ended) == [0, 1]


def test_all_failures_are_told_in_the_order_of_the_calls():
    both = threading.Barrier(2)

    def call(i):
        both.wait(5)
        time.sleep(0.05 * (1 - i))  # the second fails first
        raise TargetError("start", f"call {i}", "it failed;\nthe last lines of its log")

    with pytest.raises(SeveralFailed) as caught:
        run(Calls(call, free(2)), silent, 2)
    assert str(caught.value) == (
        "2 changes failed:\n"
        "  start call 0: it failed;\n    the last lines of its log\n"
        "  start call 1: it failed;\n    the last lines of its log"
    )


def test_an_error_that_is_not_ours_says_its_type():
    error = SeveralFailed([TargetError("start", "blue", "it failed"), ValueError("odd")])
    assert str(error) == "2 changes failed:\n  start blue: it failed\n  ValueError: odd"


def test_equal_failures_are_told_once_and_counted():
    error = SeveralFailed([TargetError("publish", "the routes", "refused")] * 3)
    assert str(error) == "3 changes failed:\n  publish the routes: refused (3 times)"


def test_there_are_some_at_once_on_a_single_core_too():
    assert default_parallel() == max(8, 2 * os.cpu_count())


INTERRUPTED = """
import sys, threading, time
from inference_provider.errors import TargetError
from inference_provider.schedule import Calls, run
from inference_provider.targets.stopping import refuse_when_stopped

def call(i):
    if i == 0:
        raise TargetError("start", "call 0", "it failed")
    sys.stdout.write("waits\\n")
    sys.stdout.flush()
    while True:
        refuse_when_stopped("start", f"call {i}")
        time.sleep(0.01)

try:
    run(Calls(call, [set(), set(), set(), {0}]), lambda i, result: None, 4)
except KeyboardInterrupt as exc:
    print("interrupted", exc.__notes__)
print("threads", threading.active_count())
"""


def test_an_interrupt_reaches_the_threads_and_a_failure_is_not_lost():
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED)], stdout=subprocess.PIPE, text=True
    ) as started:
        assert [started.stdout.readline(), started.stdout.readline()] == ["waits\n", "waits\n"]
        started.send_signal(signal.SIGINT)
        assert output_of(started) == "interrupted ['start call 0: it failed']\nthreads 1\n"


HOLDING = """
import concurrent.futures._base as futures, os, signal
take = futures._AcquireFutures.__enter__

def take_and_be_interrupted(self):
    take(self)
    os.kill(os.getpid(), signal.SIGINT)
    sum(range(1000))

futures._AcquireFutures.__enter__ = take_and_be_interrupted
"""


def test_an_interrupt_while_a_lock_of_the_calls_is_held_stops_them_too():
    program = HOLDING + textwrap.dedent(INTERRUPTED)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        said = output_of(started)
    assert said.splitlines()[-2:] == ["interrupted ['start call 0: it failed']", "threads 1"]


MISSED = """
import concurrent.futures._base as futures, signal
take = futures._AcquireFutures.__enter__

def take_unwoken(self):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # another thread gets it
    take(self)

futures._AcquireFutures.__enter__ = take_unwoken
"""


def test_an_interrupt_that_does_not_wake_the_thread_that_waits_stops_the_calls_too():
    program = MISSED + textwrap.dedent(INTERRUPTED)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert [started.stdout.readline(), started.stdout.readline()] == ["waits\n", "waits\n"]
        time.sleep(0.2)  # it waits by then
        started.send_signal(signal.SIGINT)
        assert output_of(started) == "interrupted ['start call 0: it failed']\nthreads 1\n"


def output_of(process: subprocess.Popen) -> str:
    try:
        return process.communicate(timeout=30)[0]
    finally:
        process.kill()
